/**
 * The message format of the KMS: what Encrypt and GenerateDataKey return, and what Decrypt opens. See docs/formats/message.md.
 *
 * The message key and a key commitment are derived for each message; the commitment is compared before AES-256-GCM is tried.
 */
import { createCipheriv, createDecipheriv, type KeyObject, timingSafeEqual } from 'node:crypto'
import { BoundaryError } from '../words.ts'
import { boundData, digestWith } from './additional-data.ts'
import { KEY_ID_BYTES, keyIdBytes, materialIdBytes, readKeyId } from './ids.ts'
import { Derivation } from './kdf.ts'
import { publicSource, type RandomOption } from './random.ts'

export const MAX_PLAINTEXT_BYTES = 4096
/** What a message adds to its plaintext: header 110, tag 16. */
export const MESSAGE_OVERHEAD = 126
export const MESSAGE_VERSION = 1
/** A message under a key in a token (token-message.ts), which has its wrapped root between prefix and nonce: IV 12, root 32, tag 16. */
export const TOKEN_MESSAGE_VERSION = 3
export const WRAPPED_ROOT_BYTES = 60

/** Message key ‖ commitment, of nonce (16) ‖ SHA-256 of the additional data (32). */
const derivation = new Derivation('holdfast message 1', 48, 2)

/** Where each field of the header stands. */
const MATERIAL_AT = 1 + KEY_ID_BYTES
const NONCE_AT = MATERIAL_AT + 32
const IV_AT = NONCE_AT + 16
const COMMITMENT_AT = IV_AT + 12
const HEADER_BYTES = COMMITMENT_AT + 32
const TAG_BYTES = 16
const GCM = { authTagLength: TAG_BYTES } as const
/** Where a commitment is put to be compared. */
const expected = Buffer.alloc(32)

export interface MessageHeader {
  /** A UUID in lower case, or `mrk-` and 32 hex digits. */
  readonly keyId: string
  /** 64 hex digits. */
  readonly materialId: string
}

/** One error for everything that does not fit: an attacker learns nothing from which check it was. */
function invalid(): BoundaryError {
  return new BoundaryError('InvalidCiphertext')
}

/**
 * Key id and material id of a message, read without any key. Bounds are checked first; throws `BoundaryError` InvalidCiphertext for anything that
 * is not a message. What it returns is unauthenticated until `decryptMessage` has succeeded.
 */
export function parseMessageHeader(bytes: Buffer): MessageHeader {
  const version = bytes[0]
  if (version !== MESSAGE_VERSION && version !== TOKEN_MESSAGE_VERSION) throw invalid()
  const overhead = version === MESSAGE_VERSION ? MESSAGE_OVERHEAD : MESSAGE_OVERHEAD + WRAPPED_ROOT_BYTES
  if (bytes.length <= overhead || bytes.length > overhead + MAX_PLAINTEXT_BYTES) throw invalid()
  try {
    return { keyId: readKeyId(bytes, 1), materialId: bytes.toString('hex', MATERIAL_AT, NONCE_AT) }
  } catch {
    throw invalid()
  }
}

/** One material of one key, prepared for messages. Keep it as long as the key is open: preparing costs more than using. */
export class MessageKey {
  readonly keyId: string
  readonly materialId: string
  readonly #material: KeyObject
  /** Version, key id and material id: the first 50 bytes of every message under this key. */
  readonly prefix: Buffer
  /** The additional data up to the encryption context. */
  readonly #bound: Buffer

  /** `keyId` as in `MessageHeader` (not the row id); `materialId` 64 hex digits; `material` 32 bytes. */
  constructor(input: { account: string; keyId: string; materialId: string; material: KeyObject }) {
    if (input.material.symmetricKeySize !== 32) throw new RangeError('the material of a message key is 32 bytes')
    this.keyId = input.keyId
    this.materialId = input.materialId
    this.#material = input.material
    const parts = [Buffer.from([MESSAGE_VERSION]), keyIdBytes(input.keyId), materialIdBytes(input.materialId)]
    const bound = boundData(MESSAGE_VERSION, input, 'message')
    // In memory of its own: a small Buffer would hold on to the whole slab of Node's pool that it was cut from, for each of many keys.
    const own = Buffer.allocUnsafeSlow(NONCE_AT + bound.length)
    own.set(Buffer.concat(parts))
    own.set(bound, NONCE_AT)
    this.prefix = own.subarray(0, NONCE_AT)
    this.#bound = own.subarray(NONCE_AT)
  }

  /** SHA-256 of the additional data: 32 bytes. */
  digest(context: Buffer): Buffer {
    return digestWith(this.#bound, context)
  }

  /** The key of the message (32 bytes, to be wiped) and its commitment (Latin-1), from the nonce that stands in `message`. */
  derive(message: Buffer, digest: Buffer): { secret: Buffer; commitment: string } {
    message.copy(derivation.context, 0, NONCE_AT, IV_AT)
    derivation.context.set(digest, IV_AT - NONCE_AT)
    return {
      secret: derivation.block(this.#material, 1),
      commitment: derivation.publicBlock(this.#material, 2),
    }
  }
}

/** `context` is the canonical bytes of `encodeContext`. Plaintext 1..4096 bytes, else InvalidRequest. */
export function encryptMessage(
  key: MessageKey,
  plaintext: Uint8Array,
  context: Buffer,
  options?: RandomOption,
): Buffer {
  if (plaintext.length === 0 || plaintext.length > MAX_PLAINTEXT_BYTES) {
    throw new BoundaryError('InvalidRequest', `a plaintext is 1 to ${MAX_PLAINTEXT_BYTES} bytes`)
  }
  const message = Buffer.allocUnsafe(MESSAGE_OVERHEAD + plaintext.length)
  message.set(key.prefix)
  publicSource(options)(message, NONCE_AT, 28)
  const digest = key.digest(context)
  const { secret, commitment } = key.derive(message, digest)
  message.write(commitment, COMMITMENT_AT, 'latin1')
  const cipher = createCipheriv('aes-256-gcm', secret, message.subarray(IV_AT, COMMITMENT_AT), GCM)
  secret.fill(0)
  cipher.setAAD(digest)
  const ciphertext = cipher.update(plaintext)
  cipher.final()
  message.set(ciphertext, HEADER_BYTES)
  message.set(cipher.getAuthTag(), HEADER_BYTES + plaintext.length)
  return message
}

/** Throws `BoundaryError` InvalidCiphertext, always the same, whatever does not fit. */
export function decryptMessage(key: MessageKey, message: Buffer, context: Buffer): Buffer {
  if (message.length <= MESSAGE_OVERHEAD || message.length > MESSAGE_OVERHEAD + MAX_PLAINTEXT_BYTES) throw invalid()
  if (!message.subarray(0, NONCE_AT).equals(key.prefix)) throw invalid()
  const digest = key.digest(context)
  const { secret, commitment } = key.derive(message, digest)
  expected.write(commitment, 'latin1')
  if (!timingSafeEqual(expected, message.subarray(COMMITMENT_AT, HEADER_BYTES))) {
    secret.fill(0)
    throw invalid()
  }
  const decipher = createDecipheriv('aes-256-gcm', secret, message.subarray(IV_AT, COMMITMENT_AT), GCM)
  secret.fill(0)
  decipher.setAAD(digest)
  decipher.setAuthTag(message.subarray(message.length - TAG_BYTES))
  const plaintext = decipher.update(message.subarray(HEADER_BYTES, message.length - TAG_BYTES))
  try {
    decipher.final()
  } catch {
    plaintext.fill(0)
    throw invalid()
  }
  return plaintext
}
