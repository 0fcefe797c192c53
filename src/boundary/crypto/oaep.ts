/**
 * Encryption with RSA (RFC 8017): RSAES-OAEP, whose MGF1 uses the same hash (§7.1), and for private keys of others RSAES-PKCS1-v1_5 (§7.2), whose padding is
 * taken off with implicit rejection (OpenSSL 3.2 and later): what is wrongly padded decrypts to bytes that depend on key and ciphertext alone, so that nobody
 * learns whether it was.
 */
import { constants, type KeyObject, privateDecrypt, publicEncrypt } from 'node:crypto'
import { BoundaryError } from '../words.ts'

export type OaepHash = 'sha1' | 'sha256' | 'sha512'
const HASH_BYTES = { sha1: 20, sha256: 32, sha512: 64 } as const

/** OAEP's label is empty where none is given. */
export type Padding =
  | { readonly kind: 'oaep'; readonly hash: OaepHash; readonly label?: Uint8Array }
  | { readonly kind: 'pkcs1' }

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
export function rsaDecrypt(privateKey: KeyObject, padding: Padding, ciphertext: Buffer): Buffer {
  if (ciphertext.length !== modulusBytes(privateKey)) throw new BoundaryError('InvalidCiphertext')
  try {
    return privateDecrypt({ key: privateKey, ...optionsOf(padding) }, ciphertext)
  } catch {
    throw new BoundaryError('InvalidCiphertext')
  }
}

function optionsOf(padding: Padding) {
  if (padding.kind === 'pkcs1') return { padding: constants.RSA_PKCS1_PADDING }
  const { hash, label } = padding
  const named = label === undefined || label.length === 0 ? {} : { oaepLabel: label }
  return { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: hash, ...named }
}
