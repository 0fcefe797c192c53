/**
 * The opaque blob that protocols get whose wire leaves the form to the key manager: Kubernetes, Google Cloud EKM, Google Workspace. Self-describing, and
 * bound to the protocol, tenant, key and the protocol's own words by its additional data. See docs/formats/blob.md.
 */
import { Reader, Writer } from '../../boundary/bytes.ts'
import type { ExternalCiphertext } from '../../boundary/client/api.ts'

/** Codes are for ever. */
export const BLOB_KINDS = { kubernetes: 1, google: 2, kacls: 3, 'kacls-private-key': 4 } as const
export type BlobKind = keyof typeof BLOB_KINDS

const VERSION = 1
const METADATA_BYTES = 5
const IV_BYTES = 12
const TAG_BYTES = 16
/** Bytes that a blob has more than its plaintext. */
export const BLOB_OVERHEAD = 2 + METADATA_BYTES + IV_BYTES + TAG_BYTES
const LABEL = 'holdfast blob v1'
/** What the boundary takes of additional data. */
const MAX_AAD = 0xffff

export function encodeBlob(kind: BlobKind, { metadata, iv, tag, ciphertext }: ExternalCiphertext): Buffer {
  if (metadata.length !== METADATA_BYTES || iv.length !== IV_BYTES || tag.length !== TAG_BYTES)
    throw new Error('not a ciphertext of the boundary')
  return Buffer.concat([Buffer.of(VERSION, BLOB_KINDS[kind]), metadata, iv, tag, ciphertext])
}

/** Undefined for anything that is no blob of this kind and version. The parts are views of `blob`. */
export function decodeBlob(kind: BlobKind, blob: Buffer): ExternalCiphertext | undefined {
  if (blob.length < BLOB_OVERHEAD || blob[0] !== VERSION || blob[1] !== BLOB_KINDS[kind]) return undefined
  const reader = new Reader(blob.subarray(2))
  const metadata = reader.raw(METADATA_BYTES)
  const iv = reader.raw(IV_BYTES)
  const tag = reader.raw(TAG_BYTES)
  return { metadata, iv, tag, ciphertext: reader.raw(reader.left), integrityValue: undefined }
}

/**
 * Additional data of a blob: the label, its kind, tenant and key, and what the protocol binds it to, each with its length. Undefined where that is more than
 * the boundary takes.
 */
export function blobAad(
  kind: BlobKind,
  tenant: string,
  keyId: string,
  bound: readonly (string | Buffer)[],
): Buffer | undefined {
  const parts = [tenant, keyId, ...bound]
  const writer = new Writer()
    .raw(Buffer.from(`${LABEL}\0`))
    .u8(BLOB_KINDS[kind])
    .u8(parts.length)
  for (const part of parts) writer.long(typeof part === 'string' ? Buffer.from(part, 'utf8') : part)
  const bytes = writer.done()
  return bytes.length > MAX_AAD ? undefined : bytes
}
