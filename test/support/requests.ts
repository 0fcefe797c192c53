/** A valid request of every operation that is served, over things that were made for it. */
import { constants, createPublicKey, publicEncrypt } from 'node:crypto'
import type { ApiClient } from './kms.ts'

/** What the requests are about. */
export interface World {
  /** An enabled key with an alias `app`, a tag and a ciphertext. */
  readonly KeyId: string
  readonly CiphertextBlob: string
  /** A key that waits for imported material. */
  readonly external: string
  /** Keys of the other usages: ECC_NIST_P256, HMAC_256, ECC_NIST_P256, ML_KEM_512; and what each has made of `Message`. */
  readonly signing: string
  readonly mac: string
  readonly agreement: string
  readonly kem: string
  readonly Signature: string
  readonly Mac: string
  /** Of `agreement`, as a peer has it. */
  readonly PublicKey: string
  readonly SharedSecretCiphertextBlob: string
  /** The account that owns all this, and a grant of the key. */
  readonly account: string
  readonly GrantId: string
}

const SIGN = { Message: 'AA==', SigningAlgorithm: 'ECDSA_SHA_256' } as const
const MAC = { Message: 'AA==', MacAlgorithm: 'HMAC_SHA_256' } as const
const KEM = { EncapsulationAlgorithm: 'ML_KEM' } as const

export async function makeWorld(client: ApiClient): Promise<World> {
  const { KeyMetadata } = await client.ok('CreateKey', {})
  const KeyId = KeyMetadata.KeyId
  const { CiphertextBlob } = await client.ok('Encrypt', { KeyId, Plaintext: 'c2VjcmV0' })
  await client.ok('CreateAlias', { AliasName: 'alias/app', TargetKeyId: KeyId })
  await client.ok('TagResource', { KeyId, Tags: [{ TagKey: 'a', TagValue: 'b' }] })
  const external = (await client.ok('CreateKey', { Origin: 'EXTERNAL' })).KeyMetadata.KeyId
  const keyFor = async (KeySpec: string, KeyUsage: string): Promise<string> =>
    (await client.ok('CreateKey', { KeySpec, KeyUsage })).KeyMetadata.KeyId
  const signing = await keyFor('ECC_NIST_P256', 'SIGN_VERIFY')
  const mac = await keyFor('HMAC_256', 'GENERATE_VERIFY_MAC')
  const agreement = await keyFor('ECC_NIST_P256', 'KEY_AGREEMENT')
  const kem = await keyFor('ML_KEM_512', 'ENCAPSULATE_DECAPSULATE')
  const { Signature } = await client.ok('Sign', { KeyId: signing, ...SIGN })
  const { Mac } = await client.ok('GenerateMac', { KeyId: mac, ...MAC })
  const { PublicKey } = await client.ok('GetPublicKey', { KeyId: agreement })
  const { SharedSecretCiphertextBlob } = await client.ok('Encapsulate', { KeyId: kem, ...KEM })
  const keys = { KeyId, external, signing, mac, agreement, kem }
  const account = KeyMetadata.AWSAccountId
  const GranteePrincipal = rootOf(account)
  const { GrantId } = await client.ok('CreateGrant', { KeyId, GranteePrincipal, Operations: ['Encrypt'] })
  return { ...keys, account, GrantId, CiphertextBlob, Signature, Mac, PublicKey, SharedSecretCiphertextBlob }
}

const rootOf = (account: string): string => `arn:aws:iam::${account}:root`

/** A request that the validator of that operation passes. */
export function requestOf(operation: string, world: World): Record<string, unknown> {
  const { KeyId, CiphertextBlob, external, signing, mac, agreement, kem } = world
  const { Signature, Mac, PublicKey, SharedSecretCiphertextBlob } = world
  const { account, GrantId } = world
  const requests: Readonly<Record<string, Record<string, unknown>>> = {
    CreateKey: { Tags: [{ TagKey: 'a', TagValue: 'b' }] },
    Encrypt: { KeyId, Plaintext: 'AA==' },
    Decrypt: { CiphertextBlob, KeyId },
    ReEncrypt: { CiphertextBlob, SourceKeyId: KeyId, DestinationKeyId: KeyId },
    GenerateDataKey: { KeyId, NumberOfBytes: 1 },
    GenerateDataKeyWithoutPlaintext: { KeyId, NumberOfBytes: 1 },
    GenerateDataKeyPair: { KeyId, KeyPairSpec: 'ECC_NIST_P256' },
    GenerateDataKeyPairWithoutPlaintext: { KeyId, KeyPairSpec: 'ECC_NIST_P256' },
    GenerateRandom: { NumberOfBytes: 1 },
    GetPublicKey: { KeyId: signing },
    Sign: { KeyId: signing, ...SIGN },
    Verify: { KeyId: signing, ...SIGN, Signature },
    GenerateMac: { KeyId: mac, ...MAC },
    VerifyMac: { KeyId: mac, ...MAC, Mac },
    DeriveSharedSecret: { KeyId: agreement, KeyAgreementAlgorithm: 'ECDH', PublicKey },
    Encapsulate: { KeyId: kem, ...KEM },
    Decapsulate: { KeyId: kem, ...KEM, SharedSecretCiphertextBlob },
    CreateAlias: { AliasName: 'alias/new', TargetKeyId: KeyId },
    UpdateAlias: { AliasName: 'alias/app', TargetKeyId: KeyId },
    DeleteAlias: { AliasName: 'alias/app' },
    TagResource: { KeyId, Tags: [{ TagKey: 'a', TagValue: 'b' }] },
    UntagResource: { KeyId, TagKeys: ['a'] },
    PutKeyPolicy: { KeyId, Policy: '{"Version":"2012-10-17","Statement":[]}' },
    UpdateKeyDescription: { KeyId, Description: 'd' },
    GetParametersForImport: {
      KeyId: external,
      WrappingAlgorithm: 'RSAES_OAEP_SHA_256',
      WrappingKeySpec: 'RSA_2048',
    },
    ImportKeyMaterial: { KeyId: external, ImportToken: 'AA==', EncryptedKeyMaterial: 'AA==' },
    DeleteImportedKeyMaterial: { KeyId: external },
    CreateCustomKeyStore: {
      CustomKeyStoreName: 'owner',
      CustomKeyStoreType: 'EXTERNAL_KEY_STORE',
      XksProxyUriEndpoint: 'https://127.0.0.1.example.invalid',
      XksProxyUriPath: '/kms/xks/v1',
      XksProxyConnectivity: 'PUBLIC_ENDPOINT',
      XksProxyAuthenticationCredential: { AccessKeyId: 'A'.repeat(20), RawSecretAccessKey: 'a'.repeat(43) },
    },
    CreateGrant: { KeyId, GranteePrincipal: rootOf(account), Operations: ['Encrypt'] },
    RetireGrant: { KeyId, GrantId },
    RevokeGrant: { KeyId, GrantId },
    ListRetirableGrants: { RetiringPrincipal: rootOf(account) },
    ReplicateKey: { KeyId, ReplicaRegion: 'eu-west-1', Tags: [{ TagKey: 'a', TagValue: 'b' }] },
    UpdatePrimaryRegion: { KeyId, PrimaryRegion: 'eu-west-1' },
    ListKeys: {},
    ListAliases: {},
    DescribeCustomKeyStores: {},
  }
  const own = requests[operation]
  if (own !== undefined) return own
  return operation.endsWith('CustomKeyStore') ? { CustomKeyStoreId: 'cks-1234567890abcdef0' } : { KeyId }
}

/** Whether an operation changes nothing: it reads, or uses a key. */
export const changesNothing = (operation: string): boolean =>
  /^(Describe|List|Get|Encrypt|Decrypt|Generate|ReEncrypt|Sign|Verify|Derive|Encapsulate|Decapsulate)/.test(operation)

/** The members of ImportKeyMaterial that bring this material into a key. */
export async function importOf(client: ApiClient, KeyId: string, material: Buffer): Promise<Record<string, unknown>> {
  const { PublicKey, ImportToken } = await client.ok('GetParametersForImport', {
    KeyId,
    WrappingAlgorithm: 'RSAES_OAEP_SHA_256',
    WrappingKeySpec: 'RSA_2048',
  })
  const key = createPublicKey({ key: Buffer.from(PublicKey, 'base64'), format: 'der', type: 'spki' })
  const padding = constants.RSA_PKCS1_OAEP_PADDING
  const EncryptedKeyMaterial = publicEncrypt({ key, padding, oaepHash: 'sha256' }, material).toString('base64')
  return { KeyId, ImportToken, EncryptedKeyMaterial, ExpirationModel: 'KEY_MATERIAL_DOES_NOT_EXPIRE' }
}
