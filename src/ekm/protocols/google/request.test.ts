import assert from 'node:assert/strict'
import test from 'node:test'
import { REASONS } from '../../access/reasons.ts'
import { GoogleError } from './errors.ts'
import { MAX_BODY, MAX_PLAINTEXT, parseAad, parseBytes, parseClaims, parseMessage } from './request.ts'

const KEY = 'projects/acme-prod/locations/europe-west3/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1'
const FULL = `//cloudkms.googleapis.com/${KEY}`
const json = (value: unknown) => Buffer.from(JSON.stringify(value))
const claims = (additionalContext: unknown) => parseClaims(parseMessage(json({ additionalContext })))
const fails = (text: RegExp, run: () => unknown) =>
  assert.throws(run, (error: unknown) => {
    assert.ok(error instanceof GoogleError)
    assert.equal(error.name, 'INVALID_ARGUMENT')
    assert.match(error.message, text)
    return true
  })

test('additionalContext becomes claims: the key’s name, its project and location, the reason', () => {
  assert.deepEqual(
    claims({
      fullResourceName: FULL,
      relativeResourceName: KEY,
      accessReasonContext: { reason: 'CUSTOMER_INITIATED_ACCESS' },
    }),
    { keyArn: FULL, account: 'acme-prod', region: 'europe-west3', reason: 'CUSTOMER_INITIATED_ACCESS' },
  )
  assert.deepEqual(claims({ relativeResourceName: KEY, isKeyHealthCheck: true }), {
    keyArn: KEY,
    account: 'acme-prod',
    region: 'europe-west3',
    operation: 'isKeyHealthCheck',
  })
  assert.deepEqual(claims({ fullResourceName: 'of another form' }), { keyArn: 'of another form' })
  for (const none of [undefined, null, {}, { accessReasonContext: null }, { accessReasonContext: {} }])
    assert.deepEqual(claims(none), {})
})

test('a reason comes as a name or as a number, and one that nobody knows is kept as it was sent', () => {
  const reason = (sent: unknown) => claims({ accessReasonContext: { reason: sent } }).reason
  for (const [name, { number }] of Object.entries(REASONS)) {
    if (number === undefined) continue
    const expected = number === 0 ? undefined : name
    assert.deepEqual([reason(name), reason(number)], [expected, expected])
  }
  assert.deepEqual([reason(12), reason(-1), reason('LATER')], ['12', '-1', 'LATER'])
  for (const sent of [1.5, true, {}, [], 'x'.repeat(65)]) fails(/neither a name nor a number/, () => reason(sent))
})

test('proto names are taken as well, and one field by both names is refused', () => {
  const members = parseMessage(
    json({ additional_context: { access_reason_context: { reason: 5 }, is_key_health_check: false } }),
  )
  assert.deepEqual(parseClaims(members), { reason: 'CUSTOMER_INITIATED_ACCESS' })
  fails(/given twice/, () => parseMessage(json({ wrappedBlob: 'AA==', wrapped_blob: 'AA==' })))
  assert.deepEqual(parseMessage(json({ wrappedBlob: null, wrapped_blob: 'AA==' })), { wrappedBlob: 'AA==' })
})

test('what is of another type or too long, and what is passed over', () => {
  fails(/additionalContext is not an object/, () => claims('x'))
  fails(/accessReasonContext is not an object/, () => claims({ accessReasonContext: 'x' }))
  fails(/isKeyHealthCheck/, () => claims({ isKeyHealthCheck: 'true' }))
  fails(/fullResourceName is not a string/, () => claims({ fullResourceName: 1 }))
  fails(/2048/, () => claims({ fullResourceName: 'x'.repeat(2049) }))
  assert.deepEqual(claims({ later: [1], __proto__: { isKeyHealthCheck: true } }), {})
  assert.deepEqual(parseMessage(json({ keyPath: 7, keyUriPrefix: {}, later: true })), {})
})

test('bytes: canonical standard Base64, bounded', () => {
  const bytes = (plaintext: unknown) => parseBytes(parseMessage(json({ plaintext })), 'plaintext', MAX_PLAINTEXT)
  assert.deepEqual(bytes('/+8='), Buffer.from([0xff, 0xef]))
  fails(/missing/, () => bytes(undefined))
  fails(/missing/, () => bytes(null))
  fails(/empty/, () => bytes(''))
  for (const text of ['_-8=', '/+8', '/+9=', 'AAAA\n']) fails(/canonical/, () => bytes(text))
  const long = (length: number) => Buffer.alloc(length, 7).toString('base64')
  assert.equal(bytes(long(MAX_PLAINTEXT)).length, MAX_PLAINTEXT)
  fails(/longer/, () => bytes(long(MAX_PLAINTEXT + 1)))
  const aad = (additionalAuthenticatedData: unknown) => parseAad(parseMessage(json({ additionalAuthenticatedData })))
  for (const none of [undefined, null, '']) assert.equal(aad(none).length, 0)
  assert.equal(aad('AAEC').length, 3)
  fails(/canonical/, () => aad('AAE'))
  const whole = {
    plaintext: long(MAX_PLAINTEXT),
    additionalAuthenticatedData: long(MAX_PLAINTEXT),
    additionalContext: { fullResourceName: '\u0001'.repeat(2048), relativeResourceName: '\u0001'.repeat(2048) },
    keyPath: '\u0001'.repeat(2048),
    keyUriPrefix: '\u0001'.repeat(2048),
  }
  assert.ok(json(whole).length < MAX_BODY)
})
