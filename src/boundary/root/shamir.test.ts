import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { combine, split } from './shamir.ts'

const secrets = fc.uint8Array({ minLength: 1, maxLength: 48 }).map(bytes => Buffer.from(bytes))
const counts = fc
  .integer({ min: 2, max: 16 })
  .chain(count => fc.tuple(fc.integer({ min: 2, max: count }), fc.constant(count)))
/** So many of them, any, in any order. */
const pick = (shares: readonly Buffer[], size: number, seed: number): Buffer[] =>
  fc.sample(fc.shuffledSubarray([...shares], { minLength: size, maxLength: size }), { seed, numRuns: 1 })[0] ?? []

test('any M of N shares give the secret back, and so do more of them', () => {
  fc.assert(
    fc.property(secrets, counts, fc.integer(), (secret, [threshold, count], seed) => {
      const shares = split(secret, threshold, count)
      assert.equal(shares.length, count)
      assert.equal(new Set(shares.map(share => share.at(-1))).size, count)
      for (const size of [threshold, count]) assert.deepEqual(combine(pick(shares, size, seed)), secret)
    }),
    { numRuns: 60 },
  )
})

test('one share fewer says nothing: every value of the secret fits equally many of the polynomials', () => {
  const counted = new Array<number>(256).fill(0)
  const [first] = split(Buffer.from([0x2a]), 2, 2)
  assert.ok(first)
  // With one more value at another place there is one secret for each, and none twice.
  for (let value = 0; value < 256; value++) {
    const [secret = 0] = combine([first, Buffer.from([value, (first[1] ?? 0) === 1 ? 2 : 1])])
    counted[secret] = (counted[secret] ?? 0) + 1
  }
  assert.ok(counted.every(times => times === 1))
})

test('a wrong share gives another secret, never the same one', () => {
  fc.assert(
    fc.property(fc.nat(31), fc.integer({ min: 1, max: 255 }), (at, change) => {
      const secret = randomBytes(32)
      const shares = split(secret, 3, 5).slice(0, 3)
      const [wrong] = shares
      assert.ok(wrong)
      wrong[at] = (wrong[at] ?? 0) ^ change
      assert.notDeepEqual(combine(shares), secret)
    }),
    { numRuns: 50 },
  )
})

test('numbers, lengths and places that make no sense are refused', () => {
  const secret = Buffer.alloc(4)
  for (const [threshold, count] of [
    [1, 3],
    [0, 3],
    [4, 3],
    [2, 256],
    [Number.NaN, 3],
  ] as const)
    assert.throws(() => split(secret, threshold, count), RangeError)
  assert.throws(() => split(Buffer.alloc(0), 2, 3), RangeError)
  const shares = split(secret, 2, 3)
  assert.throws(() => combine(shares.slice(0, 1)), RangeError)
  assert.throws(() => combine([]), RangeError)
  assert.throws(() => combine([shares[0] ?? secret, shares[0] ?? secret]), RangeError)
  assert.throws(() => combine([shares[0] ?? secret, Buffer.from([1, 2, 3])]), RangeError)
  assert.throws(() => combine([shares[0] ?? secret, Buffer.alloc(5)]), RangeError)
})
