/** COSE_Sign1 (RFC 9052 §4.2) as the Nitro system signs its documents: ES384, no unprotected header, the document as payload. */
import { type KeyObject, verify } from 'node:crypto'
import { CborError, type CborValue, readCbor } from './cbor.ts'
import { AttestationError } from './refusal.ts'

export interface SignedDocument {
  /** The protected header as it was sent: these very bytes are signed. */
  readonly protectedHeader: Buffer
  readonly payload: Buffer
  /** r ‖ s. */
  readonly signature: Buffer
}

const TAG_SIGN1 = 18
const HEADER_ALGORITHM = 1
const ES384 = -35
const MAX_PAYLOAD = 16_384
const SIGNATURE_BYTES = 96

/** Takes a signed document apart; its signature is not verified. Throws AttestationError. */
export function readSignedDocument(bytes: Buffer): SignedDocument {
  const parts = cbor(bytes, TAG_SIGN1)
  if (!Array.isArray(parts) || parts.length !== 4) throw new AttestationError('is not a COSE_Sign1 structure')
  const [protectedHeader, unprotectedHeader, payload, signature] = parts as readonly CborValue[]
  if (!Buffer.isBuffer(protectedHeader) || !(unprotectedHeader instanceof Map))
    throw new AttestationError('has no COSE headers')
  if (unprotectedHeader.size !== 0) throw new AttestationError('has unprotected headers')
  const header = cbor(protectedHeader)
  if (!(header instanceof Map) || header.size !== 1 || header.get(HEADER_ALGORITHM) !== ES384)
    throw new AttestationError('is not signed with ES384')
  if (!Buffer.isBuffer(payload) || payload.length === 0 || payload.length > MAX_PAYLOAD)
    throw new AttestationError(`has no payload of 1 to ${MAX_PAYLOAD} bytes`)
  if (!Buffer.isBuffer(signature) || signature.length !== SIGNATURE_BYTES)
    throw new AttestationError(`has no signature of ${SIGNATURE_BYTES} bytes`)
  return { protectedHeader, payload, signature }
}

/** Whether `key`, a P-384 key, has signed the document: the Sig_structure of RFC 9052 §4.4 with no external data. */
export function isSignedBy(key: KeyObject, { protectedHeader, payload, signature }: SignedDocument): boolean {
  const signed = Buffer.concat([
    Buffer.from('846a5369676e617475726531', 'hex'),
    byteString(protectedHeader),
    byteString(Buffer.alloc(0)),
    byteString(payload),
  ])
  return verify('sha384', signed, { key, dsaEncoding: 'ieee-p1363' }, signature)
}

/** A CBOR byte string with its head in the shortest form; no longer than 65,535 bytes. */
function byteString(bytes: Buffer): Buffer {
  const { length } = bytes
  const head = length < 24 ? [0x40 | length] : length < 256 ? [0x58, length] : [0x59, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from(head), bytes])
}

/** What the bytes hold, where they hold what the reader takes. */
export function cbor(bytes: Buffer, optionalTag?: number): CborValue {
  try {
    return readCbor(bytes, optionalTag)
  } catch (error) {
    if (error instanceof CborError) throw new AttestationError(`is not well-formed CBOR: ${error.message}`)
    throw error
  }
}
