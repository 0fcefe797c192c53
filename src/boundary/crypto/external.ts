/**
 * AES-256-GCM of an owner's external keys in the form that the protocols fix (XKS proxy API §2.5). See docs/formats/external.md.
 */
import { createCipheriv, createDecipheriv, createHash, type KeyObject } from 'node:crypto'
import type { ExternalCiphertext } from '../client/api.ts'
import { BoundaryError } from '../words.ts'
import { publicSource, type RandomOption } from './random.ts'

const METADATA_FORMAT = 1
const IV_BYTES = 12

/** GCM's additional data: u16 length, `aad`, u8 length, `metadata`. Shared with the token's GCM. Throws InvalidRequest above 65535 and 255. */
export function externalAadBytes(aad: Buffer, metadata: Buffer): Buffer {
  if (aad.length > 0xffff || metadata.length > 0xff)
    throw new BoundaryError('InvalidRequest', 'additional data or metadata is too long')
  const bytes = Buffer.allocUnsafe(3 + aad.length + metadata.length)
  bytes.writeUInt16BE(aad.length)
  bytes.set(aad, 2)
  bytes[2 + aad.length] = metadata.length
  bytes.set(metadata, 3 + aad.length)
  return bytes
}

/** 5 bytes: 0x01, key version as u32. */
export function externalMetadata(version: number): Buffer {
  const metadata = Buffer.allocUnsafe(5)
  metadata[0] = METADATA_FORMAT
  metadata.writeUInt32BE(version, 1)
  return metadata
}

/** Whether metadata could be ours: in our form, or empty. */
export const isExternalMetadata = (metadata: Buffer): boolean =>
  metadata.length === 0 || (metadata.length === 5 && metadata[0] === METADATA_FORMAT)

/** The key version; undefined for empty metadata. Throws InvalidCiphertext for any other form. */
export function readExternalMetadata(metadata: Buffer): number | undefined {
  if (metadata.length === 0) return undefined
  if (!isExternalMetadata(metadata)) throw new BoundaryError('InvalidCiphertext')
  return metadata.readUInt32BE(1)
}

/** SHA-256(aad ‖ metadata ‖ iv ‖ ciphertext ‖ tag). */
export function integrityValue(aad: Buffer, parts: Omit<ExternalCiphertext, 'integrityValue'>): Buffer {
  const { metadata, iv, ciphertext, tag } = parts
  return createHash('sha256').update(aad).update(metadata).update(iv).update(ciphertext).update(tag).digest()
}

/** Encrypts under a key of this boundary. With `integrity`, the value is computed first and the ciphertext then opened to verify it. */
export function encryptExternal(
  key: KeyObject,
  version: number,
  plaintext: Buffer,
  aad: Buffer,
  integrity: boolean,
  options?: RandomOption,
): ExternalCiphertext {
  const iv = Buffer.allocUnsafe(IV_BYTES)
  publicSource(options)(iv, 0, IV_BYTES)
  const metadata = externalMetadata(version)
  const cipher = createCipheriv('aes-256-gcm', key, iv, { authTagLength: 16 })
  cipher.setAAD(externalAadBytes(aad, metadata))
  const ciphertext = cipher.update(plaintext)
  cipher.final()
  const parts = { iv, ciphertext, tag: cipher.getAuthTag(), metadata }
  if (!integrity) return { ...parts, integrityValue: undefined }
  // XKS §2.5: the value first, then the decryption that verifies what it was computed of.
  const value = integrityValue(aad, parts)
  const opened = decryptExternal(key, { ...parts, integrityValue: undefined }, aad)
  if (!opened.equals(plaintext)) throw new BoundaryError('Internal', 'an encryption did not verify')
  return { ...parts, integrityValue: value }
}

/** Throws InvalidCiphertext, always the same. The caller has chosen `key` by `readExternalMetadata`. */
export function decryptExternal(key: KeyObject, parts: ExternalCiphertext, aad: Buffer): Buffer {
  if (parts.iv.length < IV_BYTES || parts.iv.length > 16 || parts.tag.length !== 16)
    throw new BoundaryError('InvalidCiphertext')
  const decipher = createDecipheriv('aes-256-gcm', key, parts.iv, { authTagLength: 16 })
  decipher.setAAD(externalAadBytes(aad, parts.metadata))
  decipher.setAuthTag(parts.tag)
  const plaintext = decipher.update(parts.ciphertext)
  try {
    decipher.final()
  } catch {
    plaintext.fill(0)
    throw new BoundaryError('InvalidCiphertext')
  }
  return plaintext
}
