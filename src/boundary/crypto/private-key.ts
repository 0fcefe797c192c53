/** One operation with a private RSA key of somebody, which was opened for it: a signature of a digest, or a decryption. */
import { createHash, createPrivateKey, type KeyObject, timingSafeEqual } from 'node:crypto'
import type { PrivateKeyAlgorithm } from '../algorithms.ts'
import { BoundaryError } from '../words.ts'
import type { OaepHash } from './oaep.ts'
import { Pair, publicBytes } from './pairs.ts'
import type { PrivateWork } from './private-work.ts'
import { checkMessage } from './signing.ts'

const MODULUS_BITS = { min: 2048, max: 4096 }

/** `input`: the digest, or the ciphertext. `label`: of OAEP. */
type Work = (by: PrivateWork, pair: Pair, input: Buffer, label: Buffer) => Promise<Buffer>

const signing =
  (algorithm: Extract<PrivateKeyAlgorithm, `RSASSA_${string}`>): Work =>
  async (by, pair, digest) => {
    checkMessage(algorithm, 'DIGEST', digest)
    return by.sign(pair, algorithm, 'DIGEST', digest)
  }

const oaep =
  (hash: OaepHash): Work =>
  (by, { privateKey }, ciphertext, label) =>
    by.rsaDecrypt(privateKey, { kind: 'oaep', hash, label }, ciphertext)

const pkcs1: Work = (by, { privateKey }, ciphertext) => by.rsaDecrypt(privateKey, { kind: 'pkcs1' }, ciphertext)

const WORK: Readonly<Record<PrivateKeyAlgorithm, Work>> = {
  RSASSA_PKCS1_V1_5_SHA_256: signing('RSASSA_PKCS1_V1_5_SHA_256'),
  RSASSA_PKCS1_V1_5_SHA_384: signing('RSASSA_PKCS1_V1_5_SHA_384'),
  RSASSA_PKCS1_V1_5_SHA_512: signing('RSASSA_PKCS1_V1_5_SHA_512'),
  RSASSA_PSS_SHA_256: signing('RSASSA_PSS_SHA_256'),
  RSASSA_PSS_SHA_384: signing('RSASSA_PSS_SHA_384'),
  RSASSA_PSS_SHA_512: signing('RSASSA_PSS_SHA_512'),
  RSAES_PKCS1_V1_5: pkcs1,
  RSAES_OAEP_SHA_1: oaep('sha1'),
  RSAES_OAEP_SHA_256: oaep('sha256'),
  RSAES_OAEP_SHA_512: oaep('sha512'),
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
  by: PrivateWork,
): Promise<Buffer> {
  const privateKey = readKey(pkcs8)
  const digest = createHash('sha256').update(publicBytes(privateKey)).digest()
  if (spki.length !== digest.length || !timingSafeEqual(spki, digest)) throw new BoundaryError('InvalidCiphertext')
  const decrypts = algorithm.startsWith('RSAES')
  if (decrypts && input.length !== bitsOf(privateKey) / 8) throw new BoundaryError('InvalidCiphertext')
  return WORK[algorithm](by, new Pair(privateKey), input, label)
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
