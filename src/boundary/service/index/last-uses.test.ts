import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { FormatError, Reader, Writer } from '../../bytes.ts'
import { type LastUse, LastUses } from './last-uses.ts'
import { USE_OPERATIONS, type UseOperation } from './recorded-use.ts'

const ROWS = 2000
const operations = Object.keys(USE_OPERATIONS) as UseOperation[]
const use = fc.record({
  row: fc.nat(ROWS - 1),
  step: fc.constantFrom('done', 'begun', 'answered'),
  operation: fc.constantFrom(...operations),
  requestId: fc.oneof(fc.uuid(), fc.constant(''), fc.constant('no uuid')),
  time: fc.nat(),
})

function again(uses: LastUses, rows = ROWS): LastUses {
  const writer = new Writer()
  uses.write(writer)
  const reader = new Reader(Buffer.from(writer.done()))
  const read = LastUses.read(reader, rows)
  reader.end()
  return read
}

test('the last use of each key, before and after a snapshot', () => {
  fc.assert(
    fc.property(
      fc.array(use, { maxLength: 300 }),
      fc.uniqueArray(fc.nat(ROWS - 1), { maxLength: 300 }),
      (all, external) => {
        const uses = new LastUses()
        const model = new Map<number, LastUse>()
        for (const row of external) uses.external(row)
        all.forEach(({ row, step, operation, requestId, time }, seq) => {
          uses.take(row, step, { operation, requestId, lifecycleTime: undefined, keys: [] }, time, seq)
          // Begun counts for keys of the provider's own, answered for those of an owner.
          if (step === (external.includes(row) ? 'begun' : 'answered')) return
          model.set(row, { operation, time, seq, requestId: requestId === 'no uuid' ? '' : requestId })
        })
        const read = again(uses)
        for (let row = 0; row < ROWS; row++) {
          assert.deepEqual(uses.get(row), model.get(row))
          assert.deepEqual(read.get(row), model.get(row))
        }
        read.take(7, 'done', { operation: 'Sign', requestId: '', lifecycleTime: undefined, keys: [] }, 1, 1000)
        assert.deepEqual(read.get(7), { operation: 'Sign', time: 1, seq: 1000, requestId: '' })
      },
    ),
    { numRuns: 50 },
  )
})

test('a key that is gone takes its use with it, and what it was', () => {
  const uses = new LastUses()
  const sign = { operation: 'Sign', requestId: '', lifecycleTime: undefined, keys: [] } as const
  uses.external(3)
  uses.take(3, 'answered', sign, 1, 1)
  uses.forget(3)
  uses.forget(4)
  assert.equal(uses.get(3), undefined)
  assert.equal(again(uses).get(3), undefined)
  uses.take(3, 'begun', sign, 2, 2)
  assert.equal(uses.get(3)?.seq, 2)
})

test('a snapshot that names rows that are not there is refused', () => {
  const uses = new LastUses()
  for (const row of [5, 6]) uses.external(row)
  for (const rows of [1, 6]) assert.throws(() => again(uses, rows), FormatError)
  assert.doesNotThrow(() => again(uses, 7))
})

test('promise 11: no bytes do anything but fit or be refused', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), bytes => {
      try {
        LastUses.read(new Reader(Buffer.from(bytes)), 100)
      } catch (error) {
        assert.ok(error instanceof FormatError, String(error))
      }
    }),
  )
})
