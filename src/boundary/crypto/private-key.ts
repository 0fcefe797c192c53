/**
 * One operation with a private RSA key of somebody, which was opened for it: a signature of a digest, or a decryption. The padding of PKCS #1 v1.5 is taken
 * off with implicit rejection (OpenSSL 3.2 and later): what is wrongly padded decrypts to bytes that depend on key and ciphertext alone, so that nobody
 * learns whether it was.
 */
import {
  constants,
  createHash,
  createPrivateKey,
  type KeyObject,
  privateDecrypt,
  subtle,
  timingSafeEqual,
} from 'node:crypto'
import type { PrivateKeyAlgorithm } from '../algorithms.ts'
import { BoundaryError } from '../words.ts'
import { Pair, publicBytes } from './pairs.ts'
import { checkMessage, type Signs } from './signing.ts'

const MODULUS_BITS = { min: 2048, max: 4096 }

/** `input`: the digest, or the ciphertext. `label`: of OAEP. */
type Work = (pair: Pair, input: Buffer, label: Buffer, signs: Signs) => Promise<Buffer>

const signing =
  (algorithm: Extract<PrivateKeyAlgorithm, `RSASSA_${string}`>): Work =>
  async (pair, digest, _label, signs) => {
    checkMessage(algorithm, 'DIGEST', digest)
    return signs(pair, algorithm, 'DIGEST', digest)
  }

const oaep =
  (hash: 'SHA-1' | 'SHA-256' | 'SHA-512'): Work =>
  async ({ privateKey }, ciphertext, label) => {
    const name = 'RSA-OAEP'
    const key = privateKey.toCryptoKey({ name, hash }, false, ['decrypt'])
    try {
      return Buffer.from(await subtle.decrypt({ name, label: new Uint8Array(label) }, key, new Uint8Array(ciphertext)))
    } catch {
      throw new BoundaryError('InvalidCiphertext')
    }
  }

const pkcs1: Work = async ({ privateKey }, ciphertext) => {
  try {
    return privateDecrypt({ key: privateKey, padding: constants.RSA_PKCS1_PADDING }, ciphertext)
  } catch {
    // A number that is not below the modulus, which whoever sent it knows.
    throw new BoundaryError('InvalidCiphertext')
  }
}

const WORK: Readonly<Record<PrivateKeyAlgorithm, Work>> = {
  RSASSA_PKCS1_V1_5_SHA_256: signing('RSASSA_PKCS1_V1_5_SHA_256'),
  RSASSA_PKCS1_V1_5_SHA_384: signing('RSASSA_PKCS1_V1_5_SHA_384'),
  RSASSA_PKCS1_V1_5_SHA_512: signing('RSASSA_PKCS1_V1_5_SHA_512'),
  RSASSA_PSS_SHA_256: signing('RSASSA_PSS_SHA_256'),
  RSASSA_PSS_SHA_384: signing('RSASSA_PSS_SHA_384'),
  RSASSA_PSS_SHA_512: signing('RSASSA_PSS_SHA_512'),
  RSAES_PKCS1_V1_5: pkcs1,
  RSAES_OAEP_SHA_1: oaep('SHA-1'),
  RSAES_OAEP_SHA_256: oaep('SHA-256'),
  RSAES_OAEP_SHA_512: oaep('SHA-512'),
}

/**
 * `pkcs8`: DER. `spki`: SHA-256 of its DER SPKI, which has to be that of the key. InvalidRequest where it is no RSA key of 2048 to 4096 bits or the digest has
 * not the algorithm's length; InvalidCiphertext, always the same, for another key and for what does not decrypt.
 */
export async function usePrivateKey(
  pkcs8: Buffer,
  spki: Buffer,
  algorithm: PrivateKeyAlgorithm,
  input: Buffer,
  label: Buffer,
  signs: Signs,
): Promise<Buffer> {
  const privateKey = readKey(pkcs8)
  const digest = createHash('sha256').update(publicBytes(privateKey)).digest()
  if (spki.length !== digest.length || !timingSafeEqual(spki, digest)) throw new BoundaryError('InvalidCiphertext')
  const decrypts = algorithm.startsWith('RSAES')
  if (decrypts && input.length !== bitsOf(privateKey) / 8) throw new BoundaryError('InvalidCiphertext')
  return WORK[algorithm](new Pair(privateKey), input, label, signs)
}

const bitsOf = (key: KeyObject): number => key.asymmetricKeyDetails?.modulusLength ?? 0

function readKey(pkcs8: Buffer): KeyObject {
  let key: KeyObject
  try {
    key = createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' })
  } catch {
    throw new BoundaryError('InvalidRequest', 'not a private key')
  }
  const bits = bitsOf(key)
  if (key.asymmetricKeyType !== 'rsa' || bits < MODULUS_BITS.min || bits > MODULUS_BITS.max || bits % 8 !== 0)
    throw new BoundaryError('InvalidRequest', 'not an RSA key of 2048 to 4096 bits')
  return key
}
