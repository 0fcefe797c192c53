import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { FormatError, Reader, Writer } from '../../bytes.ts'
import { type LastUse, LastUses } from './last-uses.ts'
import { RecordedUse, USE_OPERATIONS, type UseOperation, type UseStep } from './recorded-use.ts'

const ROWS = 2000
const operations = Object.keys(USE_OPERATIONS) as UseOperation[]
const use = fc.record({
  row: fc.nat(ROWS - 1),
  step: fc.constantFrom('done', 'begun', 'answered'),
  operation: fc.constantFrom(...operations),
  requestId: fc.oneof(
    fc.uuid(),
    fc.constant(''),
    fc.constant('no uuid'),
    fc.uuid().map(id => id.replace('-', '0')),
    fc.uuid().map(id => id.toUpperCase()),
  ),
  time: fc.nat(),
})

/** As if a record had told it. */
function take(
  uses: LastUses,
  row: number,
  step: UseStep,
  operation: UseOperation,
  requestId: string,
  seq: number,
  time = 1,
): void {
  const record = Buffer.from(requestId)
  const use = new RecordedUse()
  use.operation = USE_OPERATIONS[operation]
  use.requestId.length = record.length
  uses.take(row, step, use, record, time, seq)
}

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
      fc.array(use, { maxLength: 300, size: 'max' }),
      fc.uniqueArray(fc.nat(ROWS - 1), { maxLength: 300, size: 'max' }),
      (all, external) => {
        const uses = new LastUses()
        const model = new Map<number, LastUse>()
        for (const row of external) uses.external(row)
        all.forEach(({ row, step, operation, requestId, time }, seq) => {
          take(uses, row, step, operation, requestId, seq, time)
          // Begun counts for keys of the provider's own, answered for those of an owner.
          if (step === (external.includes(row) ? 'begun' : 'answered')) return
          model.set(row, {
            operation,
            time,
            seq,
            requestId: /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(requestId) ? requestId : '',
          })
        })
        const read = again(uses)
        for (let row = 0; row < ROWS; row++) {
          assert.deepEqual(uses.get(row), model.get(row))
          assert.deepEqual(read.get(row), model.get(row))
        }
        take(read, 7, 'done', 'Sign', '', 1000)
        assert.deepEqual(read.get(7), { operation: 'Sign', time: 1, seq: 1000, requestId: '' })
      },
    ),
    { numRuns: 50 },
  )
})

test('a key that is gone takes its use with it, and what it was', () => {
  const uses = new LastUses()
  uses.external(3)
  take(uses, 3, 'answered', 'Sign', '', 1)
  uses.forget(3)
  uses.forget(4)
  assert.equal(uses.get(3), undefined)
  assert.equal(again(uses).get(3), undefined)
  take(uses, 3, 'begun', 'Sign', '', 2)
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
