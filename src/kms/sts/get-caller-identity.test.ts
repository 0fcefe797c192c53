import assert from 'node:assert/strict'
import { test } from 'node:test'
import { callerOf } from '../access/testing.ts'
import { answerSts, stsError } from './get-caller-identity.ts'

const caller = callerOf('arn:aws:iam::111122223333:user/alice')
const requestId = '11111111-2222-3333-4444-555555555555'
const ask = (form: string) => answerSts(caller, { form, requestId })

test('tells who the caller is', () => {
  const reply = ask('Action=GetCallerIdentity&Version=2011-06-15')
  assert.equal(reply.status, 200)
  assert.equal(reply.contentType, 'text/xml')
  assert.equal(reply.operation, 'GetCallerIdentity')
  assert.match(reply.body, /^<GetCallerIdentityResponse xmlns="https:\/\/sts\.amazonaws\.com\/doc\/2011-06-15\/">/)
  assert.match(reply.body, /<Arn>arn:aws:iam::111122223333:user\/alice<\/Arn>/)
  assert.match(reply.body, /<UserId>AIDAEXAMPLE<\/UserId>/)
  assert.match(reply.body, /<Account>111122223333<\/Account>/)
  assert.match(reply.body, new RegExp(`<RequestId>${requestId}</RequestId>`))
})

test('refuses everything else in the form of STS', () => {
  for (const [form, status, code] of [
    ['', 400, 'MissingAction'],
    ['Version=2011-06-15', 400, 'MissingAction'],
    ['Action=AssumeRole&Version=2011-06-15', 400, 'InvalidAction'],
    ['Action=GetCallerIdentity', 400, 'InvalidAction'],
    ['Action=GetCallerIdentity&Version=2010-01-01', 400, 'InvalidAction'],
    ['Action=GetCallerIdentity&Action=x&Version=2011-06-15', 404, 'MalformedQueryString'],
  ] as const) {
    const reply = ask(form)
    assert.equal(reply.status, status, form)
    assert.equal(reply.operation, '')
    assert.match(reply.body, new RegExp(`<Type>Sender</Type>\\s*<Code>${code}</Code>`))
  }
})

test('what callers send is escaped, and cut', () => {
  const reply = ask(`Action=${encodeURIComponent('</Message><x a="1">&\u0000')}&Version=2011-06-15`)
  assert.ok(!reply.body.includes('<x'))
  assert.match(reply.body, /&lt;\/Message&gt;&lt;x a=&quot;1&quot;&gt;&amp;\ufffd/)
  assert.ok(ask(`Action=${'x'.repeat(100_000)}`).body.length < 1_000)
})

test('errors of the service are the receiver’s', () => {
  const reply = stsError('ServiceUnavailable', 'Try again.', requestId)
  assert.equal(reply.status, 503)
  assert.match(reply.body, /<Type>Receiver<\/Type>/)
})
