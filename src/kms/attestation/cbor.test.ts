import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { type Cbor, CborPairs, encodeCbor } from '../../../test/support/attestation.ts'
import { CborError, type CborValue, readCbor } from './cbor.ts'

const read = (hex: string, tag?: number): CborValue => readCbor(Buffer.from(hex, 'hex'), tag)

describe('CBOR', () => {
  it('is read as it is written', () => {
    const scalar = fc.oneof(
      fc.maxSafeInteger(),
      fc.string({ unit: 'grapheme', maxLength: 40 }),
      fc.uint8Array({ maxLength: 300 }).map(bytes => Buffer.from(bytes)),
      fc.constant(null),
    )
    const key = fc.oneof(fc.maxSafeInteger(), fc.string({ maxLength: 8 }))
    const { value } = fc.letrec<{ value: Cbor }>(tie => ({
      value: fc.oneof(
        { maxDepth: 3 },
        scalar,
        fc.array(tie('value'), { maxLength: 4 }),
        fc
          .tuple(
            fc.uniqueArray(key, { maxLength: 4 }),
            fc.array(tie('value'), { minLength: 4, maxLength: 4 }),
            fc.boolean(),
          )
          .map(
            ([keys, values, open]) =>
              new CborPairs(
                keys.map((one, at) => [one, values[at]]),
                open,
              ),
          ),
      ),
    }))
    fc.assert(
      fc.property(value, written => {
        assert.deepEqual(readCbor(encodeCbor(written)), plain(written))
      }),
    )
  })

  it('never fails in another way, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.option(fc.nat(20)), (bytes, tag) => {
        try {
          readCbor(Buffer.from(bytes), tag ?? undefined)
        } catch (error) {
          assert.ok(error instanceof CborError)
        }
      }),
      { numRuns: 2000 },
    )
  })

  it('may have one tag in front, where one is expected', () => {
    assert.equal(read('d201', 18), 1)
    assert.equal(read('01', 18), 1)
    assert.throws(() => read('d301', 18), /another tag/)
    assert.throws(() => read('d201'), /no place here/)
    assert.throws(() => read('d2d201', 18), /no place here/)
  })

  it('may write a number longer than it must', () => {
    assert.equal(read('1b0000000000000007'), 7)
    assert.deepEqual(read('590001ff'), Buffer.of(0xff))
  })

  for (const [hex, why] of [
    ['', /cut short/],
    ['18', /cut short/],
    ['43ffff', /cut short/],
    ['5bffffffffffffffff', /too large/],
    ['5b001fffffffffffff', /cut short/],
    ['9a7fffffff', /cut short/],
    ['ba7fffffff', /cut short/],
    ['82', /cut short/],
    ['8201', /cut short/],
    ['9f01', /cut short/],
    ['bf0102', /cut short/],
    ['bf01ff', /no place here/],
    ['0101', /bytes behind the end/],
    ['1b0020000000000000', /too large/],
    ['3bffffffffffffffff', /too large/],
    ['1c', /no place here/],
    ['5f41ffff', /no place here/],
    ['7f6161ff', /no place here/],
    ['f5', /no place here/],
    ['f7', /no place here/],
    ['f93c00', /no place here/],
    ['ff', /no place here/],
    ['c11a514b67b0', /no place here/],
    ['62c328', /not UTF-8/],
    ['a201020103', /comes twice/],
    ['a2616101616102', /comes twice/],
    ['a2011b00000000000000010101', /comes twice|bytes behind/],
    ['a14001', /no number and no text/],
    ['a1f601', /no number and no text/],
    ['a18001', /no number and no text/],
    ['8181818101', /too deep/],
    ['a101a101a101a101', /too deep/],
    [`990101${'01'.repeat(257)}`, /too many values/],
    [`9f${'01'.repeat(300)}ff`, /too many values/],
  ] as const) {
    it(`is refused: ${hex.slice(0, 24) || 'nothing'}`, () => {
      assert.throws(
        () => read(hex),
        (error: Error) => error instanceof CborError && why.test(error.message),
      )
    })
  }
})

function plain(value: Cbor): unknown {
  if (value instanceof CborPairs) return new Map(value.pairs.map(([key, one]) => [key, plain(one)]))
  return Array.isArray(value) ? value.map(plain) : value
}
