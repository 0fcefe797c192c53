/**
 * What the KMS returns to its callers for keys in an external key store: the owner's answer around the encrypted inner message.
 * See docs/formats/message.md, "Envelope".
 */
import { FormatError, Reader, Writer } from '../bytes.ts'
import { BoundaryError } from '../words.ts'
import { boundData, digestWith } from './additional-data.ts'
import { KEY_ID_BYTES, keyIdBytes, materialIdBytes, readKeyId } from './ids.ts'
import { MAX_PLAINTEXT_BYTES, MESSAGE_OVERHEAD, MESSAGE_VERSION, TOKEN_MESSAGE_VERSION } from './message.ts'

export const ENVELOPE_VERSION = 2
const MAX_BLOB_BYTES = 6144

/** The owner's encryption of the inner message, with what is needed to ask the owner to undo it. */
export interface Envelope {
  readonly keyId: string
  readonly materialId: string
  /** 12 or 16 bytes. */
  readonly iv: Buffer
  /** 16 bytes. */
  readonly tag: Buffer
  /** At most 20 bytes; empty where the owner sent none. */
  readonly metadata: Buffer
  /** As long as the inner message: 127..4222 bytes. */
  readonly ciphertext: Buffer
}

/** What is wrong with the parts of an envelope, or undefined. One rule for what is written and what is read. */
function outOfBounds({ iv, tag, metadata, ciphertext }: Omit<Envelope, 'keyId' | 'materialId'>): string | undefined {
  if (iv.length !== 12 && iv.length !== 16) return 'an initialisation vector is 12 or 16 bytes'
  if (tag.length !== 16) return 'a tag is 16 bytes'
  if (metadata.length > 20) return 'metadata is at most 20 bytes'
  if (ciphertext.length <= MESSAGE_OVERHEAD || ciphertext.length > MESSAGE_OVERHEAD + MAX_PLAINTEXT_BYTES)
    return 'a ciphertext of impossible length'
  return undefined
}

/** The blob, at most 6144 bytes. Throws `RangeError` for parts out of their bounds: the owner's answer must be checked before. */
export function encodeEnvelope(envelope: Envelope): Buffer {
  const problem = outOfBounds(envelope)
  if (problem !== undefined) throw new RangeError(problem)
  const { iv, tag, metadata, ciphertext } = envelope
  return new Writer(128 + ciphertext.length)
    .u8(ENVELOPE_VERSION)
    .raw(keyIdBytes(envelope.keyId))
    .raw(materialIdBytes(envelope.materialId))
    .u8(iv.length)
    .raw(iv)
    .raw(tag)
    .u8(metadata.length)
    .raw(metadata)
    .raw(ciphertext)
    .done()
}

/** Throws `BoundaryError` InvalidCiphertext for anything that is not an envelope. Byte strings are views of the input. */
export function parseEnvelope(blob: Buffer): Envelope {
  try {
    if (blob.length > MAX_BLOB_BYTES) throw new FormatError('too long')
    const reader = new Reader(blob)
    if (reader.u8() !== ENVELOPE_VERSION) throw new FormatError('of another version')
    const keyId = readKeyId(reader.raw(KEY_ID_BYTES), 0)
    const materialId = reader.raw(32).toString('hex')
    const iv = reader.raw(reader.u8())
    const tag = reader.raw(16)
    const metadata = reader.raw(reader.u8())
    const parts = { iv, tag, metadata, ciphertext: reader.raw(reader.left) }
    const problem = outOfBounds(parts)
    if (problem !== undefined) throw new FormatError(problem)
    return { keyId, materialId, ...parts }
  } catch {
    throw new BoundaryError('InvalidCiphertext')
  }
}

/** What a blob that a caller hands in claims to be, by its first byte; undefined where it is neither. */
export function blobKind(blob: Buffer): 'message' | 'envelope' | 'token-message' | undefined {
  if (blob[0] === MESSAGE_VERSION) return 'message'
  if (blob[0] === TOKEN_MESSAGE_VERSION) return 'token-message'
  if (blob[0] === ENVELOPE_VERSION) return 'envelope'
  return undefined
}

/**
 * The 32-byte digest that the KMS sends to the owner's key manager as additional authenticated data: of account, key id, material id and
 * the canonical encryption context, so that the owner's layer is bound to them and learns none of them.
 */
export function externalAad(input: { account: string; keyId: string; materialId: string; context: Buffer }): Buffer {
  return digestWith(boundData(ENVELOPE_VERSION, input, 'envelope'), input.context)
}
