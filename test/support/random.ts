/** Randomness that a printed seed repeats: HOLDFAST_SEED=… gives the same choices again. */
import { createHash } from 'node:crypto'
import type { TestContext } from 'node:test'

/** From 0 to 1, 1 not included. */
export type Random = () => number

/** Prints the seed with the test. Each `salt` has choices of its own under the same seed. */
export function seededRandom(t: TestContext, salt = ''): Random & { readonly seed: number } {
  const seed = Number(process.env.HOLDFAST_SEED ?? Math.floor(Math.random() * 1e9))
  t.diagnostic(`HOLDFAST_SEED=${seed}`)
  return Object.assign(randomOf(createHash('sha256').update(`${seed} ${salt}`).digest().readInt32BE(0)), { seed })
}

export function randomOf(seed: number): Random {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
}

export function pick<T>(random: Random, from: readonly T[]): T {
  const one = from[Math.floor(random() * from.length)]
  if (one === undefined) throw new Error('nothing to pick from')
  return one
}
