import { describe, it } from 'node:test'
import fc from 'fast-check'
import { document, refused, verify } from '../../../test/support/attested.ts'

describe('an attestation document', () => {
  it('that is changed anywhere never verifies, and never fails in another way', () => {
    const good = document()
    verify(good)
    const change = fc.oneof(
      fc.record({ kind: fc.constant('flip'), at: fc.nat(good.length - 1), bits: fc.integer({ min: 1, max: 255 }) }),
      fc.record({ kind: fc.constant('insert'), at: fc.nat(good.length), bits: fc.nat(255) }),
      fc.record({ kind: fc.constant('remove'), at: fc.nat(good.length - 1), bits: fc.integer({ min: 1, max: 40 }) }),
    )
    fc.assert(
      fc.property(change, ({ kind, at, bits }) => {
        const bytes =
          kind === 'insert'
            ? Buffer.concat([good.subarray(0, at), Buffer.of(bits), good.subarray(at)])
            : kind === 'remove'
              ? Buffer.concat([good.subarray(0, at), good.subarray(at + bits)])
              : Buffer.from(good)
        if (kind === 'flip') bytes[at] = (bytes[at] ?? 0) ^ bits
        refused(bytes, /./)
      }),
      { numRuns: 1000 },
    )
  })
})
