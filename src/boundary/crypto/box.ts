/**
 * The box: bytes sealed under a purpose of the keyring and bound to additional data. Secret rows, import tokens, write sets and snapshots
 * are boxes. See docs/formats/README.md, "Box".
 */
import { createCipheriv, createDecipheriv, createSecretKey } from 'node:crypto'
import { checkVersion, FormatError, Reader } from '../bytes.ts'
import type { Keyring, Purpose } from '../root/keyring.ts'
import { deriveKey } from './kdf.ts'
import { publicSource, type RandomOption } from './random.ts'

/** What a box adds to its clear bytes: version 1, generation 4, nonce 16, tag 16. */
export const BOX_OVERHEAD = 37

const VERSION = 1
const HEADER_BYTES = 21
const LABEL = 'holdfast box 1'
/** Every box has a key of its own, derived from its nonce, so a fixed initialisation vector never meets one key twice. */
const ZERO_IV = Buffer.alloc(12)

function boxKey(keyring: Keyring, purpose: Purpose, generation: number, nonce: Buffer) {
  const derived = deriveKey(keyring.key(purpose, generation), LABEL, nonce)
  const key = createSecretKey(derived)
  derived.fill(0)
  return key
}

function additionalData(header: Buffer, aad: Uint8Array): Buffer {
  return Buffer.concat([header, aad], HEADER_BYTES + aad.length)
}

/** Seals under the keyring's current generation. */
export function sealBox(
  keyring: Keyring,
  purpose: Purpose,
  aad: Uint8Array,
  clear: Uint8Array,
  options?: RandomOption,
): Buffer {
  const box = Buffer.allocUnsafe(BOX_OVERHEAD + clear.length)
  box[0] = VERSION
  box.writeUInt32BE(keyring.current, 1)
  publicSource(options)(box, 5, 16)
  const key = boxKey(keyring, purpose, keyring.current, box.subarray(5, HEADER_BYTES))
  const cipher = createCipheriv('aes-256-gcm', key, ZERO_IV, { authTagLength: 16 })
  cipher.setAAD(additionalData(box.subarray(0, HEADER_BYTES), aad))
  box.set(cipher.update(clear), HEADER_BYTES)
  cipher.final()
  box.set(cipher.getAuthTag(), HEADER_BYTES + clear.length)
  return box
}

/** Throws `FormatError` where the box is cut short, of another version, of an unknown generation, or does not open. */
export function openBox(keyring: Keyring, purpose: Purpose, aad: Uint8Array, box: Buffer): Buffer {
  if (box.length < BOX_OVERHEAD) throw new FormatError('a box is cut short')
  const reader = new Reader(box)
  checkVersion('a box', reader.u8(), VERSION)
  const generation = reader.u32()
  if (!keyring.generations.includes(generation))
    throw new FormatError(`a box of root generation ${generation}, which this boundary does not hold`)
  const key = boxKey(keyring, purpose, generation, reader.raw(16))
  const decipher = createDecipheriv('aes-256-gcm', key, ZERO_IV, { authTagLength: 16 })
  decipher.setAAD(additionalData(box.subarray(0, HEADER_BYTES), aad))
  decipher.setAuthTag(box.subarray(box.length - 16))
  const clear = decipher.update(box.subarray(HEADER_BYTES, box.length - 16))
  try {
    decipher.final()
  } catch {
    clear.fill(0)
    throw new FormatError('a box does not open: it is another boundary’s, or was changed')
  }
  return clear
}
