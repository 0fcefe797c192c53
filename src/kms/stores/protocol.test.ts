import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { type FailureName, XksFailure } from './failures.ts'
import { checkHealth, checkKeyMetadata, readDecryptAnswer, readEncryptAnswer } from './protocol.ts'
import { type Answer, HEALTH, METADATA } from './testing.ts'

const AAD = randomBytes(32)
const answerOf = (body: unknown) => ({ status: 200, body: Buffer.from(JSON.stringify(body)) })

function judge(read: () => void, expected: FailureName | undefined): void {
  if (expected === undefined) read()
  else assert.throws(read, error => error instanceof XksFailure && error.failure === expected)
}

test('health and metadata are believed only where they say that all is well', () => {
  const [one] = HEALTH.ekmFleetDetails
  const healths: ReadonlyArray<readonly [unknown, FailureName | undefined]> = [
    [HEALTH, undefined],
    [{ ...HEALTH, ekmFleetDetails: [one, { ...one, healthStatus: 'UNAVAILABLE' }] }, undefined],
    [{ ...HEALTH, ekmFleetDetails: [{ ...one, healthStatus: 'DEGRADED' }] }, undefined],
    [{ ...HEALTH, ekmFleetDetails: [{ ...one, healthStatus: 'UNAVAILABLE' }] }, 'InternalException'],
    [{ ...HEALTH, ekmFleetDetails: [{ ...one, healthStatus: 'FINE' }] }, 'malformed'],
    [{ ...HEALTH, ekmFleetDetails: [] }, 'malformed'],
    [{ ...HEALTH, ekmFleetDetails: Array(11).fill(one) }, 'malformed'],
    [{ ...HEALTH, ekmFleetDetails: [null] }, 'malformed'],
    [{ ...HEALTH, xksProxyFleetSize: 0 }, 'malformed'],
    [{ ...HEALTH, ekmVendor: undefined }, 'malformed'],
  ]
  for (const [body, expected] of healths) {
    judge(() => checkHealth(answerOf(body)), expected)
  }
  const keys: ReadonlyArray<readonly [unknown, FailureName | undefined]> = [
    [{ ...METADATA, keyUsage: ['SIGN', 'DECRYPT', 'ENCRYPT'] }, undefined],
    [{ ...METADATA, keySpec: 'AES_128' }, 'unsuitableKey'],
    [{ ...METADATA, keyUsage: ['ENCRYPT'] }, 'unsuitableKey'],
    [{ ...METADATA, keyUsage: Array(11).fill('ENCRYPT') }, 'malformed'],
    [{ ...METADATA, keyUsage: 'ENCRYPT' }, 'malformed'],
    [{ ...METADATA, keyStatus: 'DISABLED' }, 'InvalidStateException'],
    [{ ...METADATA, keyStatus: 'GONE' }, 'malformed'],
  ]
  for (const [body, expected] of keys) {
    judge(() => checkKeyMetadata(answerOf(body)), expected)
  }
})

test('no answer, whatever it is, is anything but a result or a failure of the table', () => {
  const answers = fc.record({
    status: fc.constantFrom(200, 400, 401, 404, 500, 503),
    body: fc.json().map(text => Buffer.from(text)),
  })
  fc.assert(
    fc.property(answers, answer => {
      for (const read of [
        () => readEncryptAnswer(answer, 16, AAD),
        () => readDecryptAnswer(answer, 16),
        () => checkHealth(answer),
        () => checkKeyMetadata(answer),
      ]) {
        assert.throws(read, XksFailure)
      }
    }),
    { numRuns: 500 },
  )
})

test("the specification's example of an integrity value is accepted", () => {
  const body: Answer['body'] = {
    authenticationTag: 'vBxN2ncH1oEkR8WVXpmyYQ==',
    ciphertext: 'ghxkK1txeDNn3q8Y',
    ciphertextDataIntegrityValue: 'qHA/ImC9h5HsLRXqCyPmWgYx7tzyoTplzILbP0fPXsc=',
    ciphertextMetadata: 'a2V5X3ZlcnNpb249MQ==',
    initializationVector: 'HMrlRw85cAJUd5Ax',
  }
  const aad = Buffer.from('project=nile,department=marketing')
  const answer = { status: 200, body: Buffer.from(JSON.stringify(body)) }
  assert.equal(readEncryptAnswer(answer, 12, aad).metadata.toString(), 'key_version=1')
  assert.throws(() => readEncryptAnswer(answer, 12, Buffer.from('project=nile')), XksFailure)
})
