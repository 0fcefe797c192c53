/** Shamir's secret sharing of the boundary against an independent implementation, both ways. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import * as independent from 'shamir-secret-sharing'
import { combine, split } from '../src/boundary/root/shamir.ts'

const secrets = fc.uint8Array({ minLength: 1, maxLength: 48 }).map(bytes => Buffer.from(bytes))
const counts = fc
  .integer({ min: 2, max: 16 })
  .chain(count => fc.tuple(fc.integer({ min: 2, max: count }), fc.constant(count)))
/** So many of them, any, in any order. */
const pick = (shares: readonly Buffer[], size: number, seed: number): Buffer[] =>
  fc.sample(fc.shuffledSubarray([...shares], { minLength: size, maxLength: size }), { seed, numRuns: 1 })[0] ?? []

test('what this splits, an independent implementation combines, and the other way round', async () => {
  await fc.assert(
    fc.asyncProperty(secrets, counts, fc.integer(), async (secret, [threshold, count], seed) => {
      const mine = pick(split(secret, threshold, count), threshold, seed)
      assert.deepEqual(Buffer.from(await independent.combine(mine.map(share => new Uint8Array(share)))), secret)
      const theirs = (await independent.split(new Uint8Array(secret), count, threshold)).map(share =>
        Buffer.from(share),
      )
      assert.deepEqual(combine(pick(theirs, threshold, seed)), secret)
    }),
    { numRuns: 40 },
  )
})
