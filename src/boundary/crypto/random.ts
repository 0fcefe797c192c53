/**
 * Random bytes for nonces and initialisation vectors from a pool, and for secrets directly.
 *
 * The pool saves a call into the system's generator per message. Bytes of the pool are handed out once and only for values that
 * are public anyway; secrets never pass through it.
 */
import { randomBytes, randomFillSync } from 'node:crypto'

/** Fills `length` bytes of `target` from `offset` on. */
export type RandomSource = (target: Buffer, offset: number, length: number) => void

/**
 * The key of the one option that replaces the random source. It exists so that test vectors can be reproduced; a symbol cannot come
 * from JSON, from a socket or from a configuration file. Using it for anything else destroys every guarantee of this room.
 */
export const RANDOM_FOR_VECTORS: unique symbol = Symbol('holdfast: deterministic random source, for test vectors only')

export interface RandomOption {
  readonly [RANDOM_FOR_VECTORS]?: RandomSource
}

const pool = Buffer.allocUnsafeSlow(8192)
let used = pool.length

/** Public random bytes (nonces, initialisation vectors) from the pool. */
export const fillRandom: RandomSource = (target, offset, length) => {
  if (length > pool.length) {
    randomFillSync(target, offset, length)
    return
  }
  if (used + length > pool.length) {
    randomFillSync(pool)
    used = 0
  }
  pool.copy(target, offset, used, used + length)
  used += length
}

/** The source to use for public random bytes: the pool, unless a vector is being made. */
export function publicSource(options: RandomOption | undefined): RandomSource {
  return options?.[RANDOM_FOR_VECTORS] ?? fillRandom
}

/** Secret random bytes, straight from the generator into memory of their own. */
export function secretBytes(length: number, options?: RandomOption): Buffer {
  const source = options?.[RANDOM_FOR_VECTORS]
  if (source === undefined) return randomBytes(length)
  const bytes = Buffer.alloc(length)
  source(bytes, 0, length)
  return bytes
}
