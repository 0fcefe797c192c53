import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { BOUNDARY_OPERATIONS, type BoundaryOperation, decodeRecord, encodeRecord } from '../../record.ts'
import { OUTCOMES, type Outcome } from '../../words.ts'
import { type RecordedUse, readUse, USE_OPERATIONS, type UseStep } from './recorded-use.ts'

/** The same from the decoded record, in the words of docs/formats/sockets.md. */
function expected(record: Buffer): RecordedUse | undefined {
  const {
    asserted,
    boundaryOperation = 'start',
    outcome,
    keyId = '',
    destinationKeyId = '',
    lifecycleTime,
  } = decodeRecord(record)
  const operation = asserted.operation ?? ''
  if (!Object.hasOwn(USE_OPERATIONS, operation) || outcome !== 'allowed' || keyId === '') return undefined
  const begun = ['encrypt', 'generateDataKey', 'generateDataKeyPair']
  const done = [
    'decrypt',
    'reEncrypt',
    'sign',
    'verify',
    'generateMac',
    'verifyMac',
    'deriveSharedSecret',
    'encapsulate',
    'decapsulate',
  ]
  let step: UseStep
  if (begun.includes(boundaryOperation)) step = 'begun'
  else if (done.includes(boundaryOperation)) step = 'done'
  else if (boundaryOperation === 'record') step = 'answered'
  else return undefined
  const other: UseStep = boundaryOperation === 'reEncrypt' ? 'begun' : 'done'
  const keys = [{ id: keyId, step }, ...(destinationKeyId === '' ? [] : [{ id: destinationKeyId, step: other }])]
  return { operation, requestId: asserted.requestId ?? '', lifecycleTime, keys } as RecordedUse
}

test('what a record says of the use of keys is what its fields say', () => {
  const text = fc.string({ unit: 'grapheme', maxLength: 20 })
  const record = fc.record(
    {
      asserted: fc.record(
        {
          operation: fc.constantFrom(
            ...Object.keys(USE_OPERATIONS),
            'DescribeKey',
            'GenerateRandom',
            'toString',
            'xks:encrypt',
          ),
          requestId: fc.uuid(),
          principal: text,
          userAgent: text,
          subject: text,
        },
        { requiredKeys: [] },
      ),
      boundaryOperation: fc.constantFrom(...(Object.keys(BOUNDARY_OPERATIONS) as BoundaryOperation[])),
      outcome: fc.constantFrom(...(Object.keys(OUTCOMES) as Outcome[])),
      keyId: text,
      destinationKeyId: text,
      context: fc.uint8Array({ minLength: 2, maxLength: 300 }).map(bytes => Buffer.from(bytes)),
      size: fc.nat(),
      lifecycleTime: fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
    },
    { requiredKeys: [] },
  )
  let uses = 0
  fc.assert(
    fc.property(record, fields => {
      const bytes = encodeRecord(fields as Parameters<typeof encodeRecord>[0])
      const use = readUse(bytes)
      if (use !== undefined) uses++
      assert.deepEqual(use, expected(bytes))
    }),
    { numRuns: 5000 },
  )
  assert.ok(uses > 100, `${uses} uses`)
})
