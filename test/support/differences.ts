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
    operations: ['CreateKey', 'GenerateDataKeyPair', 'GenerateDataKeyPairWithoutPlaintext'],
    text: 'Key spec SM2, which AWS offers in its Chinese Regions, is refused.',
  },
  {
    operations: ['CreateCustomKeyStore', 'UpdateCustomKeyStore'],
    text: 'There are no VPC endpoint services: XksProxyConnectivity VPC_ENDPOINT_SERVICE is refused.',
  },
  {
    operations: ['Sign', 'Verify'],
    text: 'ED25519_PH_SHA_512: the 64 bytes given are the message of Ed25519ph, as AWS documents it; this was not compared with the real service.',
  },
  {
    operations: ['GetKeyLastUsage'],
    text: 'There is no CloudTrail: CloudTrailEventId names the record in the log of this service.',
  },
  {
    operations: [],
    text: 'Ciphertexts have the format of docs/formats/message.md. AWS does not open them, and its are not opened here.',
  },
]

export const DIFFERENCES: readonly Difference[] = list.map((difference, index) => ({
  number: index + 1,
  ...difference,
}))
