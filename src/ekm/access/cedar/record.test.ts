import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { decodeRecord, encodeRecord } from '../../../boundary/record.ts'
import type { BoundaryOperation } from '../../../boundary/record-fields.ts'
import { codePoint } from '../../../http/testing.ts'
import type { Call } from '../../core.ts'
import { factsOf } from '../../facts.ts'
import { verified } from '../caller.ts'
import { allOperations } from '../operations.ts'
import { CONTEXT, CONTEXT_FIELDS, contextOf, peerAttributes } from './input.ts'
import { pastCall } from './record.ts'

const text = fc.oneof(
  fc.string({ unit: codePoint, maxLength: 20 }),
  fc.constantFrom('', 'é'.repeat(2000), '\ud800x', 'REASON_UNSPECIFIED: x'),
)
const maybe = fc.option(text, { nil: undefined })
const claims = fc.record({
  operation: maybe,
  principal: maybe,
  account: maybe,
  region: maybe,
  keyArn: maybe,
  viaService: maybe,
  sourceVpc: maybe,
  sourceVpce: maybe,
  reason: fc.option(fc.oneof(text, fc.constantFrom('THIRD_PARTY_DATA_REQUEST', 'REASON_UNKNOWN')), { nil: undefined }),
  justification: maybe,
  pool: maybe,
  email: maybe,
  resource: maybe,
  perimeter: maybe,
})
const caller = fc.record({
  principal: text.filter(name => name !== ''),
  credentialId: text.filter(name => name !== '' && Buffer.byteLength(name) <= 128),
  region: text,
  sourceIp: fc.constantFrom('', '192.0.2.7', '::ffff:10.0.0.1'),
  peerName: text,
})
const operation = fc.constantFrom(...allOperations())

test('property: a policy sees in the log what it saw of the call, claim by claim, cut where the record is', () => {
  fc.assert(
    fc.property(operation, caller, claims, ({ operation: name, action }, who, given) => {
      const [protocol = '', own = ''] = name.split(':')
      const present = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
      const call: Call = {
        caller: verified({ ...who, protocol, tenant: 'acme', userAgent: '' }),
        claims: present,
        operation: own,
        keyId: 'k',
        requestId: '1',
        errorNames: {} as Call['errorNames'],
      }
      const bytes = encodeRecord({
        asserted: factsOf(call),
        boundaryOperation: 'record',
        outcome: 'allowed',
        keyId: 'acme/k',
      })
      const past = pastCall(decodeRecord(bytes))
      assert.ok(past !== undefined)
      assert.equal(past.action, action)
      assert.equal(past.asked.caller.tenant, 'acme')
      assert.deepEqual(contextOf(past.asked, 0, CONTEXT_FIELDS), contextOf(call, 0, CONTEXT_FIELDS))
      assert.deepEqual(peerAttributes(past.asked.caller), peerAttributes(call.caller))
    }),
    { numRuns: 500 },
  )
})

test('everything that a policy can read of a request is recorded, but for the time, which is the record’s own', () => {
  const unrecorded = CONTEXT_FIELDS.filter(name => CONTEXT[name].recorded === undefined)
  assert.deepEqual(unrecorded, ['time', 'hour', 'weekday'])
})

test('only calls that policy was asked about are taken from the log', () => {
  const asserted = { operation: 'xks:encrypt', account: 'acme', accessKeyId: 'A' }
  const of = (boundaryOperation: BoundaryOperation, outcome: 'allowed' | 'denied' | 'failed', more: object = {}) =>
    pastCall({ asserted: { ...asserted, ...more }, boundaryOperation, outcome, keyId: 'acme/k' })?.allowed
  assert.equal(of('externalEncrypt', 'allowed'), true)
  assert.equal(of('externalDecrypt', 'failed'), true, 'it failed in the boundary: policy had allowed it')
  assert.equal(of('record', 'allowed', { operation: 'xks:metadata' }), true)
  assert.equal(of('record', 'denied'), false)
  assert.equal(of('record', 'failed'), undefined, 'no such key, or revoked: policy was not asked')
  assert.equal(of('record', 'allowed', { operation: 'xks:health' }), undefined)
  assert.equal(of('putRows', 'allowed', { operation: 'admin:CreateKey' }), undefined)
  assert.equal(pastCall({ asserted, boundaryOperation: 'record', outcome: 'denied' }), undefined, 'of no key')
})
