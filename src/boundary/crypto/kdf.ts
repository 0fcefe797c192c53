/**
 * The one key derivation: SP 800-108r1 §4.1, counter mode, PRF HMAC-SHA-256.
 * Block i = HMAC(key, u32 i ‖ label ‖ 0x00 ‖ context ‖ u32 length in bits), i from 1. See docs/formats/README.md, "Key derivation".
 */
import { createHmac, type KeyObject } from 'node:crypto'

/** `blocks` × 32 bytes. `label` is ASCII without a zero byte. */
export function deriveBytes(key: KeyObject, label: string, context: Uint8Array, blocks: 1 | 2): Buffer {
  const input = Buffer.allocUnsafe(4 + label.length + 1 + context.length + 4)
  input.write(label, 4, 'latin1')
  input[4 + label.length] = 0
  input.set(context, 5 + label.length)
  input.writeUInt32BE(blocks * 256, input.length - 4)
  input.writeUInt32BE(1, 0)
  const first = createHmac('sha256', key).update(input).digest()
  if (blocks === 1) return first
  input.writeUInt32BE(2, 0)
  return Buffer.concat([first, createHmac('sha256', key).update(input).digest()], 64)
}
