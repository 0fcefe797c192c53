import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type CounterLimits, Counters, counterLimits, MAX_ENCRYPTIONS } from './counters.ts'

const USUAL = counterLimits()

/** A process' counters over a row that outlives it. */
function life(row: { durable: number }, limits: CounterLimits, onWorn: (id: string) => void = () => {}): Counters {
  return new Counters({
    limits,
    reservedNow: () => row.durable,
    reserve: async (_id, to) => {
      await null
      row.durable = to
    },
    onWorn,
  })
}

test('no number is given that was not reserved durably before, and none twice, through crashes', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer({ min: 1, max: 100_000 }), { minLength: 1, maxLength: 3 }),
      fc.constantFrom(USUAL, counterLimits(MAX_ENCRYPTIONS, 1000)),
      async (lives, limits) => {
        const row = { durable: 0 }
        let given = 0
        for (const uses of lives) {
          const start = row.durable
          const counters = life(row, limits)
          for (let i = 0; i < uses; i++) {
            assert.equal(await counters.take('k#1'), true)
            given++
            assert.ok(start + i < row.durable, 'beyond what is durable')
            assert.equal(counters.used('k#1'), start + i + 1)
          }
        }
        assert.ok(given <= row.durable)
        assert.ok(life(row, limits).used('k#1') >= given, 'a new process counts too few')
      },
    ),
    { numRuns: 8 },
  )
})

test('the last encryption is number 2^31', async () => {
  assert.equal(USUAL.most, 2 ** 31)
  const row = { durable: MAX_ENCRYPTIONS - 1000 }
  const counters = life(row, USUAL)
  for (let i = 0; i < 1000; i++) assert.equal(await counters.take('k#1'), true)
  assert.equal(await counters.take('k#1'), false)
  assert.equal(row.durable, MAX_ENCRYPTIONS)
})

test('from the limit on every use tells that the next version is due, and none before it', async () => {
  const limits = counterLimits(1000, 600)
  const told: number[] = []
  const row = { durable: 0 }
  const counters: Counters = life(row, limits, id => told.push(counters.used(id)))
  for (let i = 0; i < 1000; i++) assert.equal(await counters.take('k#1'), true)
  assert.equal(await counters.take('k#1'), false)
  assert.equal(told[0], 600)
  assert.deepEqual(
    [...new Set(told)],
    Array.from({ length: 401 }, (_, i) => 600 + i),
  )
  const again: string[] = []
  assert.equal(await life(row, limits, id => again.push(id)).take('k#1'), false)
  assert.deepEqual(again, ['k#1'])
})

test('the limit is a half of the bound where nothing else is said', () => {
  assert.deepEqual(
    [USUAL, counterLimits(5000), counterLimits(5000, 10)],
    [
      { most: 2 ** 31, renewAfter: 2 ** 30 },
      { most: 5000, renewAfter: 2500 },
      { most: 5000, renewAfter: 10 },
    ],
  )
})

test('a block that cannot be reserved lets nothing through', async () => {
  const counters = new Counters({
    limits: USUAL,
    reservedNow: () => 0,
    reserve: () => Promise.reject(new Error('no space')),
    onWorn: () => {},
  })
  await assert.rejects(async () => counters.take('k#1'), /no space/)
})
