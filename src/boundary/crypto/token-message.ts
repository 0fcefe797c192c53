/**
 * Messages under a key that is an object of a PKCS#11 token: a message (message.ts) under a root of its own, which the token's key has encrypted. So it is
 * committed and bound like every message, and the token does one operation of 32 bytes. See docs/formats/message.md, "Message under a key in a token".
 */
import { createHash, createSecretKey } from 'node:crypto'
import { BoundaryError } from '../words.ts'
import {
  decryptMessage,
  encryptMessage,
  MAX_PLAINTEXT_BYTES,
  MESSAGE_OVERHEAD,
  MESSAGE_VERSION,
  MessageKey,
  TOKEN_MESSAGE_VERSION,
  WRAPPED_ROOT_BYTES,
} from './message.ts'
import { fillRandom, secretBytes } from './random.ts'

/** Version, key id and material id. */
const PREFIX_BYTES = 50
const IV_BYTES = 12
const TAG_BYTES = 16
const ROOT_BYTES = 32
const AAD_LABEL = Buffer.from('holdfast token message 1\0')

/** AES-256-GCM under the token's key. */
export interface TokenCipher {
  encrypt(iv: Buffer, aad: Buffer, plaintext: Buffer): Promise<{ iv: Buffer; ciphertext: Buffer; tag: Buffer }>
  /** Throws InvalidCiphertext where tag and ciphertext do not belong together. */
  decrypt(iv: Buffer, aad: Buffer, ciphertext: Buffer, tag: Buffer): Promise<Buffer>
}

export interface TokenMaterial {
  readonly account: string
  /** As in messages, without Region. */
  readonly keyId: string
  /** 64 hex digits. */
  readonly materialId: string
}

/** 64 hex digits: of material that nobody can hash, its object in the token stands for it. */
export function tokenMaterialId(keyId: string, object: string): string {
  return createHash('sha256')
    .update('holdfast token material id 1\0')
    .update(keyId)
    .update('\0')
    .update(object)
    .digest('hex')
}

const messageKeyOf = (material: TokenMaterial, root: Buffer): MessageKey =>
  new MessageKey({ ...material, material: createSecretKey(root) })

/** Key and material that the wrapped root is for. */
const aadOf = (prefix: Buffer): Buffer => Buffer.concat([AAD_LABEL, prefix.subarray(1)])

/** `context` is the canonical bytes of `encodeContext`. Plaintext 1..4096 bytes, else InvalidRequest. */
export async function encryptTokenMessage(
  cipher: TokenCipher,
  material: TokenMaterial,
  plaintext: Uint8Array,
  context: Buffer,
): Promise<Buffer> {
  const root = secretBytes(ROOT_BYTES)
  try {
    const inner = encryptMessage(messageKeyOf(material, root), plaintext, context)
    const prefix = inner.subarray(0, PREFIX_BYTES)
    const iv = Buffer.alloc(IV_BYTES)
    fillRandom(iv, 0, IV_BYTES)
    const wrapped = await cipher.encrypt(iv, aadOf(prefix), root)
    const message = Buffer.concat([prefix, wrapped.iv, wrapped.ciphertext, wrapped.tag, inner.subarray(PREFIX_BYTES)])
    message[0] = TOKEN_MESSAGE_VERSION
    return message
  } finally {
    root.fill(0)
  }
}

/** Throws `BoundaryError` InvalidCiphertext, always the same, whatever does not fit. */
export async function decryptTokenMessage(
  cipher: TokenCipher,
  material: TokenMaterial,
  message: Buffer,
  context: Buffer,
): Promise<Buffer> {
  const least = MESSAGE_OVERHEAD + WRAPPED_ROOT_BYTES
  if (message.length <= least || message.length > least + MAX_PLAINTEXT_BYTES || message[0] !== TOKEN_MESSAGE_VERSION)
    throw new BoundaryError('InvalidCiphertext')
  const at = PREFIX_BYTES + IV_BYTES
  const end = PREFIX_BYTES + WRAPPED_ROOT_BYTES
  const prefix = message.subarray(0, PREFIX_BYTES)
  const root = await cipher.decrypt(
    message.subarray(PREFIX_BYTES, at),
    aadOf(prefix),
    message.subarray(at, end - TAG_BYTES),
    message.subarray(end - TAG_BYTES, end),
  )
  try {
    if (root.length !== ROOT_BYTES) throw new BoundaryError('InvalidCiphertext')
    const inner = Buffer.concat([prefix, message.subarray(end)])
    inner[0] = MESSAGE_VERSION
    return decryptMessage(messageKeyOf(material, root), inner, context)
  } finally {
    root.fill(0)
  }
}
