/**
 * The one key derivation: SP 800-108r1 §4.1, counter mode, PRF HMAC-SHA-256.
 * Block i = HMAC(key, u32 i ‖ label ‖ 0x00 ‖ context ‖ u32 length in bits), i from 1. See docs/formats/README.md, "Key derivation".
 */
import { createHmac, type KeyObject } from 'node:crypto'

const BLOCK_BITS = 256

/**
 * A derivation under one label, with its fixed parts laid out once. Fill `context`, then take the blocks, before anything else runs:
 * the input is shared by all who derive under this label.
 */
export class Derivation {
  /** The context of the next derivation. */
  readonly context: Buffer
  readonly #input: Buffer

  /** `label` is ASCII without a zero byte. `blocks` × 32 bytes are derived in all: their number is part of what is derived. */
  constructor(label: string, contextBytes: number, blocks: 1 | 2) {
    const at = 4 + label.length + 1
    const input = Buffer.alloc(at + contextBytes + 4)
    input.write(label, 4, 'latin1')
    input.writeUInt32BE(blocks * BLOCK_BITS, at + contextBytes)
    this.#input = input
    this.context = input.subarray(at, at + contextBytes)
  }

  /** Block `index` (from 1): 32 secret bytes, to be wiped by the caller. */
  block(key: KeyObject, index: 1 | 2): Buffer {
    this.#input[3] = index
    return createHmac('sha256', key).update(this.#input).digest()
  }

  /** Block `index` as a Latin-1 string of 32 characters, at half the cost: for a block that is no secret. */
  publicBlock(key: KeyObject, index: 1 | 2): string {
    this.#input[3] = index
    return createHmac('sha256', key).update(this.#input).digest('latin1')
  }
}

/** One block, for what is not derived often. */
export function deriveKey(key: KeyObject, label: string, context: Uint8Array): Buffer {
  const derivation = new Derivation(label, context.length, 1)
  derivation.context.set(context)
  return derivation.block(key, 1)
}
