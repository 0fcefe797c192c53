/**
 * Key specs, usages and algorithms as data: aws-kms.md §3.4. The boundary decides by this table, the front end answers by it, and tests are generated
 * from it. Codes stand on the sockets and are for ever.
 */
import type { KeySpec, KeyUsage } from './words.ts'

export const ENCRYPTION_ALGORITHMS = { SYMMETRIC_DEFAULT: 1, RSAES_OAEP_SHA_1: 2, RSAES_OAEP_SHA_256: 3 } as const
export type EncryptionAlgorithm = keyof typeof ENCRYPTION_ALGORITHMS

export const SIGNING_ALGORITHMS = {
  RSASSA_PSS_SHA_256: 1,
  RSASSA_PSS_SHA_384: 2,
  RSASSA_PSS_SHA_512: 3,
  RSASSA_PKCS1_V1_5_SHA_256: 4,
  RSASSA_PKCS1_V1_5_SHA_384: 5,
  RSASSA_PKCS1_V1_5_SHA_512: 6,
  ECDSA_SHA_256: 7,
  ECDSA_SHA_384: 8,
  ECDSA_SHA_512: 9,
  ED25519_SHA_512: 10,
  ED25519_PH_SHA_512: 11,
  ML_DSA_SHAKE_256: 12,
} as const
export type SigningAlgorithm = keyof typeof SIGNING_ALGORITHMS

export const MESSAGE_TYPES = { RAW: 1, DIGEST: 2, EXTERNAL_MU: 3 } as const
export type MessageType = keyof typeof MESSAGE_TYPES

export const MAC_ALGORITHMS = { HMAC_SHA_224: 1, HMAC_SHA_256: 2, HMAC_SHA_384: 3, HMAC_SHA_512: 4 } as const
export type MacAlgorithm = keyof typeof MAC_ALGORITHMS

export const KEY_AGREEMENT_ALGORITHMS = { ECDH: 1 } as const
export const ENCAPSULATION_ALGORITHMS = { ML_KEM: 1 } as const

/** How the material of a key is made and kept. */
export type MaterialKind =
  /** Random bytes: `bytes` when generated, `min` to `max` when imported. */
  | { readonly kind: 'secret'; readonly bytes: number; readonly min: number; readonly max: number }
  /** PKCS #8, DER. */
  | { readonly kind: 'rsa'; readonly modulusBits: 2048 | 3072 | 4096 }
  | { readonly kind: 'ec'; readonly curve: 'prime256v1' | 'secp384r1' | 'secp521r1' | 'secp256k1' }
  | { readonly kind: 'ed25519' | 'ml-dsa-44' | 'ml-dsa-65' | 'ml-dsa-87' | 'ml-kem-512' | 'ml-kem-768' | 'ml-kem-1024' }

export interface SpecInfo {
  readonly material: MaterialKind
  /** The usages that a key of this spec can be made for, each with its algorithms in AWS's order. */
  readonly usages: Readonly<Partial<Record<KeyUsage, readonly string[]>>>
  /** Whether GenerateDataKeyPair makes such pairs. */
  readonly pair: boolean
  /** Whether its material can be imported (aws-kms.md §3.6). */
  readonly importable: boolean
}

const secret = (bytes: number, min = bytes, max = bytes): MaterialKind => ({ kind: 'secret', bytes, min, max })
const OAEP = ['RSAES_OAEP_SHA_1', 'RSAES_OAEP_SHA_256'] as const
const RSASSA = [
  'RSASSA_PKCS1_V1_5_SHA_256',
  'RSASSA_PKCS1_V1_5_SHA_384',
  'RSASSA_PKCS1_V1_5_SHA_512',
  'RSASSA_PSS_SHA_256',
  'RSASSA_PSS_SHA_384',
  'RSASSA_PSS_SHA_512',
] as const
const rsa = (modulusBits: 2048 | 3072 | 4096): SpecInfo => ({
  material: { kind: 'rsa', modulusBits },
  usages: { ENCRYPT_DECRYPT: OAEP, SIGN_VERIFY: RSASSA },
  pair: true,
  importable: true,
})
const nist = (curve: 'prime256v1' | 'secp384r1' | 'secp521r1', signing: SigningAlgorithm): SpecInfo => ({
  material: { kind: 'ec', curve },
  usages: { SIGN_VERIFY: [signing], KEY_AGREEMENT: ['ECDH'] },
  pair: true,
  importable: true,
})
const mlDsa = (kind: 'ml-dsa-44' | 'ml-dsa-65' | 'ml-dsa-87'): SpecInfo => ({
  material: { kind },
  usages: { SIGN_VERIFY: ['ML_DSA_SHAKE_256'] },
  pair: false,
  importable: true,
})
const mlKem = (kind: 'ml-kem-512' | 'ml-kem-768' | 'ml-kem-1024'): SpecInfo => ({
  material: { kind },
  usages: { ENCAPSULATE_DECAPSULATE: ['ML_KEM'] },
  pair: true,
  importable: false,
})
/** `bytes`: of the hash's output; a generated key has as many. */
const hmac = (bytes: number, min: number, max: number, algorithm: MacAlgorithm): SpecInfo => ({
  material: secret(bytes, min, max),
  usages: { GENERATE_VERIFY_MAC: [algorithm] },
  pair: false,
  importable: true,
})

/**
 * How keys are wrapped under an owner's external key, by JOSE's names (RFC 7518 §4.1; A256KWP as draft and clouds have it). A256KW: RFC 3394, A256KWP:
 * RFC 5649, both under AES-256. RSA-OAEP, RSA-OAEP-256: RSAES-OAEP (RFC 8017 §7.1) with SHA-1 or SHA-256 in both places and an empty label.
 */
export const EXTERNAL_WRAP_ALGORITHMS = { A256KW: 1, A256KWP: 2, 'RSA-OAEP': 3, 'RSA-OAEP-256': 4 } as const
export type ExternalWrapAlgorithm = keyof typeof EXTERNAL_WRAP_ALGORITHMS

/** What is done once with a private RSA key that was opened for it. RSASSA: a signature of a digest; RSAES: a decryption. OAEP has its hash in both places. */
export const PRIVATE_KEY_ALGORITHMS = {
  RSASSA_PKCS1_V1_5_SHA_256: 1,
  RSASSA_PKCS1_V1_5_SHA_384: 2,
  RSASSA_PKCS1_V1_5_SHA_512: 3,
  RSASSA_PSS_SHA_256: 4,
  RSASSA_PSS_SHA_384: 5,
  RSASSA_PSS_SHA_512: 6,
  RSAES_PKCS1_V1_5: 16,
  RSAES_OAEP_SHA_1: 17,
  RSAES_OAEP_SHA_256: 18,
  RSAES_OAEP_SHA_512: 19,
} as const
export type PrivateKeyAlgorithm = keyof typeof PRIVATE_KEY_ALGORITHMS

/** What an owner's external key may be. EXTERNAL_AES_256: AES-GCM and AES key wrap. RSA: RSAES-OAEP. */
export const EXTERNAL_SPECS = [
  'EXTERNAL_AES_256',
  'RSA_2048',
  'RSA_3072',
  'RSA_4096',
] as const satisfies readonly KeySpec[]
export type ExternalSpec = (typeof EXTERNAL_SPECS)[number]

/** EXTERNAL_AES_256 is the ekm's own and has no algorithm of this API. */
export const SPECS: Readonly<Record<KeySpec, SpecInfo>> = {
  SYMMETRIC_DEFAULT: {
    material: secret(32),
    usages: { ENCRYPT_DECRYPT: ['SYMMETRIC_DEFAULT'] },
    pair: false,
    importable: true,
  },
  EXTERNAL_AES_256: { material: secret(32), usages: { ENCRYPT_DECRYPT: [] }, pair: false, importable: false },
  RSA_2048: rsa(2048),
  RSA_3072: rsa(3072),
  RSA_4096: rsa(4096),
  ECC_NIST_P256: nist('prime256v1', 'ECDSA_SHA_256'),
  ECC_NIST_P384: nist('secp384r1', 'ECDSA_SHA_384'),
  ECC_NIST_P521: nist('secp521r1', 'ECDSA_SHA_512'),
  ECC_SECG_P256K1: {
    material: { kind: 'ec', curve: 'secp256k1' },
    usages: { SIGN_VERIFY: ['ECDSA_SHA_256'] },
    pair: true,
    importable: true,
  },
  ECC_NIST_EDWARDS25519: {
    material: { kind: 'ed25519' },
    usages: { SIGN_VERIFY: ['ED25519_SHA_512', 'ED25519_PH_SHA_512'] },
    pair: true,
    importable: true,
  },
  ML_DSA_44: mlDsa('ml-dsa-44'),
  ML_DSA_65: mlDsa('ml-dsa-65'),
  ML_DSA_87: mlDsa('ml-dsa-87'),
  ML_KEM_512: mlKem('ml-kem-512'),
  ML_KEM_768: mlKem('ml-kem-768'),
  ML_KEM_1024: mlKem('ml-kem-1024'),
  HMAC_224: hmac(28, 28, 64, 'HMAC_SHA_224'),
  HMAC_256: hmac(32, 32, 64, 'HMAC_SHA_256'),
  HMAC_384: hmac(48, 48, 128, 'HMAC_SHA_384'),
  HMAC_512: hmac(64, 64, 128, 'HMAC_SHA_512'),
}

/** Whether a key of this spec has a private and a public half. */
export const isAsymmetric = (spec: KeySpec): boolean => SPECS[spec].material.kind !== 'secret'

/** Whether a key of this spec and usage has this algorithm. */
export function hasAlgorithm(spec: KeySpec, usage: KeyUsage, algorithm: string): boolean {
  return SPECS[spec].usages[usage]?.includes(algorithm) ?? false
}
