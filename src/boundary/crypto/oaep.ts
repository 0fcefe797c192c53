/**
 * RSAES-OAEP (RFC 8017 §7.1) with an empty label; MGF1 uses the same hash.
 */
import { constants, type KeyObject, privateDecrypt, publicEncrypt, subtle } from 'node:crypto'
import { BoundaryError } from '../words.ts'

export type OaepHash = 'sha1' | 'sha256'
const WEB_HASHES = { sha1: 'SHA-1', sha256: 'SHA-256' } as const
const HASH_BYTES = { sha1: 20, sha256: 32 } as const

const modulusBytes = (key: KeyObject): number => (key.asymmetricKeyDetails?.modulusLength ?? 0) / 8

/** The longest plaintext. */
export const oaepLimit = (key: KeyObject, hash: OaepHash): number => modulusBytes(key) - 2 * HASH_BYTES[hash] - 2

/** Throws InvalidRequest for a plaintext that is too long. */
export function oaepEncrypt(publicKey: KeyObject, hash: OaepHash, plaintext: Buffer): Buffer {
  const limit = oaepLimit(publicKey, hash)
  if (plaintext.length > limit) throw new BoundaryError('InvalidRequest', `a plaintext is at most ${limit} bytes`)
  return publicEncrypt({ key: publicKey, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: hash }, plaintext)
}

/** Takes a millisecond or two. Throws InvalidCiphertext, always the same, whatever is wrong. */
export function oaepDecrypt(privateKey: KeyObject, hash: OaepHash, ciphertext: Buffer): Buffer {
  if (ciphertext.length !== modulusBytes(privateKey)) throw new BoundaryError('InvalidCiphertext')
  try {
    return privateDecrypt({ key: privateKey, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: hash }, ciphertext)
  } catch {
    throw new BoundaryError('InvalidCiphertext')
  }
}

/** The same on the thread pool. */
export async function oaepDecryptSlowly(privateKey: KeyObject, hash: OaepHash, ciphertext: Buffer): Promise<Buffer> {
  if (ciphertext.length !== modulusBytes(privateKey)) throw new BoundaryError('InvalidCiphertext')
  try {
    const name = 'RSA-OAEP'
    const key = privateKey.toCryptoKey({ name, hash: WEB_HASHES[hash] }, false, ['decrypt'])
    return Buffer.from(await subtle.decrypt({ name }, key, new Uint8Array(ciphertext)))
  } catch {
    throw new BoundaryError('InvalidCiphertext')
  }
}
