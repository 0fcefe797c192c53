import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { BLOCK, Counters, MAX_ENCRYPTIONS } from './counters.ts'

test('no number is given that was not reserved durably before, and none twice, through crashes', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 100_000 }), { minLength: 1, maxLength: 3 }), async lives => {
      let durable = 0
      let given = 0
      for (const uses of lives) {
        const start = durable
        const counters = new Counters(
          () => durable,
          async (_id, to) => {
            await null
            durable = to
          },
        )
        for (let i = 0; i < uses; i++) {
          assert.equal(await counters.take('k#1'), true)
          given++
          assert.ok(start + i < durable, 'beyond what is durable')
        }
      }
      assert.ok(given <= durable)
    }),
    { numRuns: 8 },
  )
})

test('the last encryption is number 2^31', async () => {
  let durable = MAX_ENCRYPTIONS - BLOCK
  const counters = new Counters(
    () => durable,
    async (_id, to) => {
      durable = to
    },
  )
  for (let i = 0; i < BLOCK; i++) assert.equal(await counters.take('k#1'), true)
  assert.equal(await counters.take('k#1'), false)
  assert.equal(durable, MAX_ENCRYPTIONS)
})

test('a block that cannot be reserved lets nothing through', async () => {
  const counters = new Counters(
    () => 0,
    () => Promise.reject(new Error('no space')),
  )
  await assert.rejects(async () => counters.take('k#1'), /no space/)
})
