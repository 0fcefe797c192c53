/** What is known to be different from AWS KMS. Printed into docs/compatibility.md. */
export interface Difference {
  readonly number: number
  /** Operations whose line points here; none for what concerns all. */
  readonly operations: readonly string[]
  readonly text: string
}

const list: readonly Omit<Difference, 'number'>[] = [
  {
    operations: [],
    text: 'Changes are in force when they are answered. AWS’s grants, policies and aliases may take minutes.',
  },
  {
    operations: [],
    text: 'Ciphertexts have the format of docs/formats/message.md. AWS does not open them, and its are not opened here.',
  },
  {
    operations: ['CreateKey', 'GenerateDataKeyPair', 'GenerateDataKeyPairWithoutPlaintext'],
    text: 'Key spec SM2, which AWS offers in its Chinese Regions, is refused.',
  },
  {
    operations: ['CreateCustomKeyStore', 'UpdateCustomKeyStore'],
    text: 'There are no VPC endpoint services: XksProxyConnectivity VPC_ENDPOINT_SERVICE is refused.',
  },
  {
    operations: ['CreateCustomKeyStore', 'ConnectCustomKeyStore'],
    text: 'A CloudHSM cluster is a PKCS#11 token of the configuration (`cloudHsm.clusters`). The password is the token’s PIN. The key is used for each request to wrap a root of the message, which is encrypted in the boundary.',
  },
  {
    operations: ['Sign', 'Verify'],
    text: 'ED25519_PH_SHA_512: the 64 bytes given are the message of Ed25519ph, as AWS documents it; this was not compared with the real service.',
  },
  {
    operations: ['Encrypt', 'Decrypt', 'ReEncrypt', 'GenerateDataKey', 'GenerateDataKeyWithoutPlaintext'],
    text: 'DryRun does not ask the owner of a key in an external key store, whose protocol has no dry run: state, permission and the form of the ciphertext are looked at. Whether AWS asks is not documented.',
  },
  {
    operations: ['Decrypt', 'GenerateDataKey', 'GenerateDataKeyPair', 'GenerateRandom', 'DeriveSharedSecret'],
    text: 'Recipient: attestation documents are refused unless the configuration names roots; they may be 5 minutes old, a bound of ours. The texts of refusals are ours (docs/attestation.md).',
  },
  {
    operations: ['GetKeyLastUsage'],
    text: 'There is no CloudTrail: CloudTrailEventId names the record in the log of this service.',
  },
  {
    operations: ['GetKeyRotationStatus'],
    text: 'Asymmetric and HMAC keys answer KeyRotationEnabled false, as AWS does by now; older documentation has UnsupportedOperationException.',
  },
  {
    operations: ['ReplicateKey', 'UpdatePrimaryRegion'],
    text: 'Regions are those that this deployment serves. The texts for other Regions, and for Regions without a member of the set, are ours (docs/multi-region.md).',
  },
  {
    operations: [],
    text: 'STS has GetCallerIdentity, AssumeRole and GetSessionToken; PolicyArns, MFA and the federated operations are refused (docs/iam.md).',
  },
]

export const DIFFERENCES: readonly Difference[] = list.map((difference, index) => ({
  number: index + 1,
  ...difference,
}))
