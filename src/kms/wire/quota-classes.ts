/**
 * Which rate counts a request (aws-kms.md §11.3, and AWS's page "Request quotas" for what is newer): tables. The rates are settings, in
 * src/config/quotas.ts.
 */
import type { KeySpec } from '../../boundary/words.ts'
import type { RequestQuotas } from '../../config/quotas.ts'

export type QuotaClass = Exclude<keyof RequestQuotas, 'enforced'>

interface Members {
  /** They share one bucket; else each has its own. */
  readonly shared: boolean
  readonly operations: readonly string[]
}

/** Operations whose class is known by their name. What is here and in `BY_KEY` in none is of `rareChanges`. */
export const BY_OPERATION: Readonly<Partial<Record<QuotaClass, Members>>> = {
  // Only symmetric and HMAC keys have these.
  cryptographic: {
    shared: true,
    operations: ['GenerateDataKey', 'GenerateDataKeyWithoutPlaintext', 'GenerateMac', 'VerifyMac', 'GenerateRandom'],
  },
  ecc: { shared: true, operations: ['DeriveSharedSecret'] },
  mlKem: { shared: true, operations: ['Encapsulate', 'Decapsulate'] },
  descriptions: { shared: false, operations: ['DescribeKey', 'GetPublicKey', 'ListResourceTags'] },
  policies: { shared: false, operations: ['GetKeyPolicy', 'GetKeyRotationStatus'] },
  lists: { shared: false, operations: ['ListKeys', 'ListAliases'] },
  keyLists: {
    shared: false,
    operations: ['ListGrants', 'ListRetirableGrants', 'ListKeyPolicies', 'ListKeyRotations'],
  },
  grants: { shared: false, operations: ['CreateGrant', 'RetireGrant', 'RevokeGrant'] },
  changes: {
    shared: false,
    operations: [
      'PutKeyPolicy',
      'ScheduleKeyDeletion',
      'DeleteAlias',
      'EnableKeyRotation',
      'ImportKeyMaterial',
      'DeleteImportedKeyMaterial',
    ],
  },
  tags: { shared: false, operations: ['TagResource'] },
  importParameters: { shared: false, operations: ['GetParametersForImport'] },
}

/** The class of a use by its key's spec. */
export const CLASS_OF_SPEC: Readonly<Record<KeySpec, QuotaClass>> = {
  SYMMETRIC_DEFAULT: 'cryptographic',
  EXTERNAL_AES_256: 'cryptographic',
  HMAC_224: 'cryptographic',
  HMAC_256: 'cryptographic',
  HMAC_384: 'cryptographic',
  HMAC_512: 'cryptographic',
  RSA_2048: 'rsa',
  RSA_3072: 'rsa',
  RSA_4096: 'rsa',
  ECC_NIST_P256: 'ecc',
  ECC_NIST_P384: 'ecc',
  ECC_NIST_P521: 'ecc',
  ECC_SECG_P256K1: 'ecc',
  ECC_NIST_EDWARDS25519: 'ecc',
  ML_DSA_44: 'mlDsa',
  ML_DSA_65: 'mlDsa',
  ML_DSA_87: 'mlDsa',
  ML_KEM_512: 'mlKem',
  ML_KEM_768: 'mlKem',
  ML_KEM_1024: 'mlKem',
}

/** The class of a data key pair by its spec. Each spec has a bucket of its own. */
export const CLASS_OF_PAIR: Readonly<Partial<Record<KeySpec, QuotaClass>>> = {
  RSA_2048: 'dataKeyPairsRsa2048',
  RSA_3072: 'dataKeyPairsRsa3072',
  RSA_4096: 'dataKeyPairsRsa4096',
  ECC_NIST_P256: 'dataKeyPairsEcc',
  ECC_NIST_P384: 'dataKeyPairsEcc',
  ECC_NIST_P521: 'dataKeyPairsEcc',
  ECC_SECG_P256K1: 'dataKeyPairsEcc',
  ECC_NIST_EDWARDS25519: 'dataKeyPairsEcc',
}

/**
 * Operations whose class only their key tells, or the key pair that is wanted; with the classes that it may be, one for each bucket. An operation of a
 * key that does not have it counts in that key's class all the same.
 */
export const BY_KEY: readonly { readonly operations: readonly string[]; readonly classes: readonly QuotaClass[] }[] = [
  { operations: ['Encrypt', 'Decrypt', 'ReEncrypt'], classes: ['cryptographic', 'rsa'] },
  { operations: ['Sign', 'Verify'], classes: ['rsa', 'ecc', 'mlDsa'] },
  {
    operations: ['GenerateDataKeyPair', 'GenerateDataKeyPairWithoutPlaintext'],
    classes: Object.values(CLASS_OF_PAIR),
  },
]

/** Operations that count toward the key's custom key store too. */
export const OF_KEY_STORES: ReadonlySet<string> = new Set([
  'Decrypt',
  'Encrypt',
  'GenerateDataKey',
  'GenerateDataKeyWithoutPlaintext',
  'GenerateRandom',
  'ReEncrypt',
])
