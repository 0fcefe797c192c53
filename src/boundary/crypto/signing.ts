/**
 * Signatures of every algorithm of the KMS (aws-kms.md §3.4), as data: which hash and scheme each has, which message types, and who does it. Messages go
 * through node:crypto, digests and mu through OpenSSL itself.
 */
import * as crypto from 'node:crypto'
import { constants, type KeyObject } from 'node:crypto'
import type { MessageType, SigningAlgorithm } from '../algorithms.ts'
import { type HashName, type SignatureScheme, unavailable } from '../pkcs11/libcrypto.ts'
import { BoundaryError, type KeySpec } from '../words.ts'
import type { Pair, PublicHalf } from './pairs.ts'

/** RAW messages; longer ones are hashed by the caller. */
export const MAX_MESSAGE_BYTES = 4096
const HASH_BYTES: Readonly<Record<HashName, number>> = { sha256: 32, sha384: 48, sha512: 64 }

interface Scheme {
  readonly hash: HashName | null
  /** Of RSA. */
  readonly options?: { readonly padding: number; readonly saltLength?: number }
  /** Whether it takes messages of type RAW. */
  readonly raw: boolean
  /** The other message types that it takes, with the bytes that they have. */
  readonly ready: Partial<Record<'DIGEST' | 'EXTERNAL_MU', number>>
}

const pkcs1 = (hash: HashName): Scheme => ({
  hash,
  options: { padding: constants.RSA_PKCS1_PADDING },
  ready: { DIGEST: HASH_BYTES[hash] },
  raw: true,
})
const pss = (hash: HashName): Scheme => ({
  hash,
  options: { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST },
  ready: { DIGEST: HASH_BYTES[hash] },
  raw: true,
})
const ecdsa = (hash: HashName): Scheme => ({ hash, ready: { DIGEST: HASH_BYTES[hash] }, raw: true })

const SCHEMES: Readonly<Record<SigningAlgorithm, Scheme>> = {
  RSASSA_PSS_SHA_256: pss('sha256'),
  RSASSA_PSS_SHA_384: pss('sha384'),
  RSASSA_PSS_SHA_512: pss('sha512'),
  RSASSA_PKCS1_V1_5_SHA_256: pkcs1('sha256'),
  RSASSA_PKCS1_V1_5_SHA_384: pkcs1('sha384'),
  RSASSA_PKCS1_V1_5_SHA_512: pkcs1('sha512'),
  ECDSA_SHA_256: ecdsa('sha256'),
  ECDSA_SHA_384: ecdsa('sha384'),
  ECDSA_SHA_512: ecdsa('sha512'),
  ED25519_SHA_512: { hash: null, ready: {}, raw: true },
  /** As AWS has it: the 64 bytes given are the message of Ed25519ph, which hashes them (FIPS 186-5 §7.8.1, step 1). */
  ED25519_PH_SHA_512: { hash: null, ready: { DIGEST: 64 }, raw: false },
  ML_DSA_SHAKE_256: { hash: null, ready: { EXTERNAL_MU: 64 }, raw: true },
}

/** Below about a tenth of a millisecond, where handing over to another thread costs as much as doing it. The others take up to three milliseconds. */
const FAST: Readonly<Partial<Record<KeySpec, 'both' | 'verify'>>> = {
  RSA_2048: 'verify',
  RSA_3072: 'verify',
  RSA_4096: 'verify',
  ECC_NIST_P256: 'both',
  ECC_NIST_EDWARDS25519: 'both',
}
export const signsFast = (spec: KeySpec): boolean => FAST[spec] === 'both'
export const verifiesFast = (spec: KeySpec): boolean => FAST[spec] !== undefined

/** Throws InvalidRequest for a message that the algorithm does not take as this type. */
export function checkMessage(algorithm: SigningAlgorithm, type: MessageType, message: Buffer): void {
  const scheme = SCHEMES[algorithm]
  if (type === 'RAW') {
    if (!scheme.raw) throw new BoundaryError('InvalidRequest', `${algorithm} takes no messages of type RAW`)
    if (message.length > MAX_MESSAGE_BYTES) {
      throw new BoundaryError('InvalidRequest', `a message is at most ${MAX_MESSAGE_BYTES} bytes`)
    }
    return
  }
  const bytes = scheme.ready[type]
  if (bytes === undefined) throw new BoundaryError('InvalidRequest', `${algorithm} takes no messages of type ${type}`)
  if (message.length !== bytes) {
    throw new BoundaryError('InvalidRequest', `a message of type ${type} has ${bytes} bytes with ${algorithm}`)
  }
}

/** How OpenSSL is asked for what node:crypto does not do. */
function nativeScheme(key: KeyObject, algorithm: SigningAlgorithm): SignatureScheme {
  if (unavailable !== undefined) throw new BoundaryError('NotPermitted', unavailable)
  const { hash, options } = SCHEMES[algorithm]
  if (hash !== null) {
    if (options === undefined) return { kind: 'ecdsa', hash }
    return { kind: options.padding === constants.RSA_PKCS1_PADDING ? 'rsa-pkcs1' : 'rsa-pss', hash }
  }
  if (algorithm === 'ED25519_PH_SHA_512') return { kind: 'ed25519ph' }
  return { kind: key.asymmetricKeyType as 'ml-dsa-44' | 'ml-dsa-65' | 'ml-dsa-87' }
}

const keyAnd = (key: KeyObject, algorithm: SigningAlgorithm) => ({ key, ...SCHEMES[algorithm].options })
/** The message has been checked. */
export function sign(
  pair: Pick<Pair, 'privateKey' | 'native'>,
  algorithm: SigningAlgorithm,
  type: MessageType,
  message: Buffer,
): Buffer {
  if (type !== 'RAW') return pair.native().sign(nativeScheme(pair.privateKey, algorithm), message)
  return crypto.sign(SCHEMES[algorithm].hash, message, keyAnd(pair.privateKey, algorithm))
}

/** Whether the signature is valid. */
export function verify(
  half: Pick<PublicHalf, 'publicKey' | 'nativePublic'>,
  algorithm: SigningAlgorithm,
  type: MessageType,
  message: Buffer,
  signature: Buffer,
): boolean {
  // RFC 8017 §8.1.2 and §8.2.2, step 1: OpenSSL also takes one that has lost a leading zero.
  const modulusBits = half.publicKey.asymmetricKeyDetails?.modulusLength
  if (modulusBits !== undefined && signature.length !== modulusBits / 8) return false
  if (type !== 'RAW') return half.nativePublic().verify(nativeScheme(half.publicKey, algorithm), message, signature)
  return crypto.verify(SCHEMES[algorithm].hash, message, keyAnd(half.publicKey, algorithm), signature)
}
