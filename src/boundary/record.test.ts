import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { FormatError } from './bytes.ts'
import { checkAsserted, decodeAsserted, decodeRecord, encodeAsserted, encodeRecord } from './record.ts'
import { BOUNDARY_OPERATIONS, OWN_FIELDS, RECORD_SOURCES, type RecordFields, type RowChange } from './record-fields.ts'
import { ASSERTED_FIELDS, type Asserted, OUTCOMES, ROW_KINDS, type RowKind } from './words.ts'

const words = <T extends string>(table: Record<T, unknown>) => fc.constantFrom(...(Object.keys(table) as T[]))
const text = (max: number) =>
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }).filter(value => Buffer.byteLength(value) <= max)
const bytes = (min: number, max: number) =>
  fc.uint8Array({ minLength: min, maxLength: Math.min(max, 300) }).map(value => Buffer.from(value))
const changes: fc.Arbitrary<RowChange[]> = fc.array(
  fc.record({ kind: words<RowKind>(ROW_KINDS), id: text(512), revision: fc.maxSafeNat() }, { noNullPrototype: true }),
  { minLength: 1, maxLength: 4 },
)

const asserted: fc.Arbitrary<Asserted> = fc.record(
  Object.fromEntries(Object.entries(ASSERTED_FIELDS).map(([name, { max }]) => [name, text(max)])),
  { requiredKeys: [], noNullPrototype: true },
)
type OwnSpec = (typeof OWN_FIELDS)[keyof typeof OWN_FIELDS]

function anyOf(spec: OwnSpec): fc.Arbitrary<unknown> {
  switch (spec.type) {
    case 'code':
      return fc.constantFrom(...Object.keys(spec.codes))
    case 'string':
      return text(spec.max)
    case 'bytes':
      return bytes(spec.min, spec.max)
    case 'u64':
      return fc.maxSafeNat()
    case 'changes':
      return changes
  }
}

const own = Object.entries(OWN_FIELDS).map(([name, spec]) => [name, anyOf(spec)])
/** Any record that the tables allow, made from the tables. */
const records = fc.record(
  { asserted, ...Object.fromEntries(own) },
  { requiredKeys: ['asserted'], noNullPrototype: true },
) as fc.Arbitrary<RecordFields & { asserted: Asserted }>

test('a record comes back as it was, whether its asserted fields were given as fields or as bytes', () => {
  fc.assert(
    fc.property(records, fields => {
      const encoded = encodeRecord(fields)
      assert.deepEqual(decodeRecord(encoded), { ...fields })
      const copied = encodeRecord({ ...fields, asserted: checkAsserted(encodeAsserted(fields.asserted)) })
      assert.deepEqual(copied, encoded)
      assert.deepEqual(encodeRecord(decodeRecord(encoded)), encoded)
    }),
  )
})

test('promise 1: nothing gets into a record but what a table names', () => {
  const canary = 'canary-plaintext-canary'
  const secrets = fc.dictionary(fc.string(), fc.constantFrom<unknown>(canary, Buffer.from(canary), { canary }), {
    minKeys: 1,
  })
  const foreign = secrets.map(
    given =>
      Object.fromEntries(
        Object.entries({ plaintext: canary, ciphertext: Buffer.from(canary), material: Buffer.from(canary), ...given }),
      ) as Record<string, unknown>,
  )
  fc.assert(
    fc.property(records, foreign, (fields, extra) => {
      const unknown = Object.fromEntries(
        Object.entries(extra).filter(([name]) => name !== 'asserted' && !(name in OWN_FIELDS)),
      )
      const inside = Object.fromEntries(Object.entries(extra).filter(([name]) => !(name in ASSERTED_FIELDS)))
      const encoded = encodeRecord({ ...unknown, ...fields, asserted: { ...inside, ...fields.asserted } })
      assert.equal(encoded.includes(canary), false)
      assert.deepEqual(encoded, encodeRecord(fields))
    }),
  )
})

test('a field that is longer, shorter or of another kind than its table says is refused', () => {
  const refused = (fields: object) => assert.throws(() => encodeRecord(fields as RecordFields), /RangeError|TypeError/)
  refused({ keyId: 'x'.repeat(513) })
  refused({ keyId: Buffer.from('plaintext') })
  refused({ policyDigest: Buffer.alloc(31) })
  refused({ policyDigest: 'x'.repeat(32) })
  refused({ outcome: 'perhaps' })
  refused({ outcome: 'toString' })
  refused({ size: -1 })
  refused({ count: 1.5 })
  refused({ context: Buffer.alloc(49153) })
  refused({ asserted: { principal: 'é'.repeat(1025) } })
  refused({ asserted: { principal: 7 } })
  refused({ changes: Array.from({ length: 200 }, () => ({ kind: 'alias', id: 'x'.repeat(500), revision: 1 })) })
  assert.equal(
    decodeRecord(encodeRecord({ asserted: { principal: 'é'.repeat(1024) } })).asserted.principal?.length,
    1024,
  )
})

test('promise 11: a record that was not written here is refused: cut, extended, reordered, repeated, unknown', () => {
  const encoded = encodeRecord({ asserted: { operation: 'Encrypt', account: '1' }, outcome: 'allowed', size: 32 })
  const wrong = (input: Buffer) => assert.throws(() => decodeRecord(input), FormatError)
  const whole = (fields: number[][]) => Buffer.from([0x20, ...fields.flat()])
  const outcome = [66, 0, 1, 1]
  const size = [77, 0, 8, 0, 0, 0, 0, 0, 0, 0, 32]
  assert.deepEqual(decodeRecord(whole([outcome, size])), { asserted: {}, outcome: 'allowed', size: 32 })
  wrong(whole([size, outcome]))
  wrong(whole([outcome, outcome]))
  wrong(whole([[200, 0, 1, 1]]))
  wrong(whole([[40, 0, 1, 65]]))
  wrong(whole([[66, 0, 1, 9]]))
  wrong(whole([[66, 0, 2, 1, 1]]))
  wrong(whole([[67, 0, 0]]))
  wrong(whole([[67, 0, 1, 0xff]]))
  wrong(whole([[1, 0, 2, 0xc3, 0x28]]))
  wrong(Buffer.concat([Buffer.from([0x21]), encoded.subarray(1)]))
  wrong(Buffer.alloc(0))
  wrong(Buffer.alloc(70_000, 0x20))
  for (let length = 2; length < encoded.length; length++) {
    const cut = encoded.subarray(0, length)
    // A cut between two fields is a shorter record; everywhere else it is none.
    try {
      assert.deepEqual(encodeRecord(decodeRecord(cut)), cut)
    } catch (error) {
      assert.ok(error instanceof FormatError)
    }
  }
})

test('any bytes at all are either a record that encodes to the same bytes, or a FormatError', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), given => {
      const input = Buffer.concat([Buffer.from([0x20]), given])
      try {
        assert.deepEqual(encodeRecord(decodeRecord(input)), input)
      } catch (error) {
        assert.ok(error instanceof FormatError, String(error))
      }
      try {
        assert.deepEqual(encodeAsserted(decodeAsserted(Buffer.from(given))), Buffer.from(given))
      } catch (error) {
        assert.ok(error instanceof FormatError, String(error))
      }
    }),
    { numRuns: 500 },
  )
})

test('asserted fields are checked without being decoded as they are when they are decoded, in ASCII and beyond', () => {
  const passes = (check: (bytes: Buffer) => unknown, bytes: Buffer): boolean => {
    try {
      check(bytes)
      return true
    } catch (error) {
      assert.ok(error instanceof FormatError, String(error))
      return false
    }
  }
  fc.assert(
    fc.property(asserted, fc.nat(), fc.nat(255), fc.nat(40), (fields, at, value, cut) => {
      const bytes = Buffer.from(encodeAsserted(fields))
      assert.ok(passes(checkAsserted, bytes))
      if (bytes.length === 0) return
      bytes[at % bytes.length] = value
      assert.equal(passes(checkAsserted, bytes), passes(decodeAsserted, bytes))
      const shorter = bytes.subarray(0, Math.max(0, bytes.length - cut))
      assert.equal(passes(checkAsserted, shorter), passes(decodeAsserted, shorter))
    }),
    { numRuns: 1000 },
  )
})

test('codes of fields, operations, outcomes and sources are used once, and fields of the boundary come after asserted ones', () => {
  const once = (codes: number[]) => assert.equal(new Set(codes).size, codes.length)
  const codes = (table: Record<string, { code: number }>) => Object.values(table).map(({ code }) => code)
  once([...codes(ASSERTED_FIELDS), ...codes(OWN_FIELDS)])
  once(codes(ROW_KINDS))
  for (const table of [BOUNDARY_OPERATIONS, RECORD_SOURCES, OUTCOMES]) once(Object.values(table))
  assert.ok(Math.max(...codes(ASSERTED_FIELDS)) < 64 && Math.min(...codes(OWN_FIELDS)) >= 64)
})
