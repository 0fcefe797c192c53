import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { decodeRecord, encodeRecord } from '../../record.ts'
import { BOUNDARY_OPERATIONS, type BoundaryOperation } from '../../record-fields.ts'
import { OUTCOMES, type Outcome } from '../../words.ts'
import { RecordedUse, USE_OPERATIONS, type UseOperation, type UseStep } from './recorded-use.ts'

interface Told {
  readonly operation: number
  readonly requestId: string
  readonly lifecycleTime: number
  readonly keys: readonly { readonly id: string; readonly step: UseStep }[]
}

const use = new RecordedUse()
/** What the reader says, which is used for one record after the other. */
function told(record: Buffer): Told | undefined {
  if (!use.read(record)) return undefined
  const text = ({ from, length }: { from: number; length: number }) => record.toString('utf8', from, from + length)
  const { operation, lifecycleTime, keyStep, destinationStep } = use
  const keys = [{ id: text(use.key), step: keyStep }]
  if (use.destination.length > 0) keys.push({ id: text(use.destination), step: destinationStep })
  return { operation, requestId: text(use.requestId), lifecycleTime, keys }
}

/** The same from the decoded record, in the words of docs/formats/sockets.md. */
function expected(record: Buffer): Told | undefined {
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
  return {
    operation: USE_OPERATIONS[operation as UseOperation],
    requestId: asserted.requestId ?? '',
    lifecycleTime: lifecycleTime ?? -1,
    keys,
  }
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
      const said = told(bytes)
      if (said !== undefined) uses++
      assert.deepEqual(said, expected(bytes))
    }),
    { numRuns: 10_000 },
  )
  assert.ok(uses > 100, `${uses} uses`)
})
