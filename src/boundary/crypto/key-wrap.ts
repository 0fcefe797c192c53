/**
 * AES Key Wrap (RFC 3394) and AES Key Wrap with Padding (RFC 5649) under a key of 32 bytes, and the two-step wrapping of imports that stands on it: RSAES-OAEP of a fresh AES key,
 * then the material under that key.
 */
import { createCipheriv, createDecipheriv, type KeyObject } from 'node:crypto'
import { BoundaryError } from '../words.ts'
import { type OaepHash, oaepEncrypt } from './oaep.ts'
import type { PrivateWork } from './private-work.ts'
import { type RandomOption, secretBytes } from './random.ts'

const CIPHER = 'id-aes256-wrap-pad'
const INITIAL = Buffer.from('a65959a6', 'hex')
const PLAIN_CIPHER = 'id-aes256-wrap'
const PLAIN_INITIAL = Buffer.from('a6a6a6a6a6a6a6a6', 'hex')
const KEY_BYTES = 32

/** As many bytes as the next multiple of 8, and 8 more. */
export function wrapPadded(key: Buffer | KeyObject, bytes: Buffer): Buffer {
  const cipher = createCipheriv(CIPHER, key, INITIAL)
  return Buffer.concat([cipher.update(bytes), cipher.final()])
}

/** Throws InvalidCiphertext, always the same, whatever is wrong. */
export function unwrapPadded(key: Buffer | KeyObject, wrapped: Buffer): Buffer {
  if (wrapped.length < 16 || wrapped.length % 8 !== 0) throw new BoundaryError('InvalidCiphertext')
  try {
    const decipher = createDecipheriv(CIPHER, key, INITIAL)
    const bytes = decipher.update(wrapped)
    decipher.final()
    return bytes
  } catch {
    throw new BoundaryError('InvalidCiphertext')
  }
}

/** 8 bytes more than `bytes`, whose length must be a multiple of 8 and at least 16. Throws InvalidRequest. */
export function wrapPlain(key: KeyObject, bytes: Buffer): Buffer {
  if (bytes.length < 16 || bytes.length % 8 !== 0)
    throw new BoundaryError('InvalidRequest', 'A256KW takes a multiple of 8 bytes, at least 16')
  const cipher = createCipheriv(PLAIN_CIPHER, key, PLAIN_INITIAL)
  return Buffer.concat([cipher.update(bytes), cipher.final()])
}

/** Throws InvalidCiphertext, always the same, whatever is wrong. */
export function unwrapPlain(key: KeyObject, wrapped: Buffer): Buffer {
  if (wrapped.length < 24 || wrapped.length % 8 !== 0) throw new BoundaryError('InvalidCiphertext')
  try {
    const decipher = createDecipheriv(PLAIN_CIPHER, key, PLAIN_INITIAL)
    const bytes = decipher.update(wrapped)
    decipher.final()
    return bytes
  } catch {
    throw new BoundaryError('InvalidCiphertext')
  }
}

/** OAEP of a fresh AES key ‖ the bytes wrapped under it. */
export function wrapInTwo(publicKey: KeyObject, hash: OaepHash, bytes: Buffer, options?: RandomOption): Buffer {
  const key = secretBytes(KEY_BYTES, options)
  try {
    return Buffer.concat([oaepEncrypt(publicKey, hash, key), wrapPadded(key, bytes)])
  } finally {
    key.fill(0)
  }
}

/** Throws InvalidCiphertext, always the same, whatever is wrong. */
export async function unwrapInTwo(
  privateKey: KeyObject,
  hash: OaepHash,
  wrapped: Buffer,
  work: PrivateWork,
): Promise<Buffer> {
  const modulusBytes = (privateKey.asymmetricKeyDetails?.modulusLength ?? 0) / 8
  const key = await work.rsaDecrypt(privateKey, { kind: 'oaep', hash }, wrapped.subarray(0, modulusBytes))
  try {
    if (key.length !== KEY_BYTES) throw new BoundaryError('InvalidCiphertext')
    return unwrapPadded(key, wrapped.subarray(modulusBytes))
  } finally {
    key.fill(0)
  }
}
