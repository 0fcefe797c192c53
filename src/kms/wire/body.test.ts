import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { codePoint } from '../../http/testing.ts'
import { parseBody } from './body.ts'
import { ERRORS, type ErrorCode, errorReply, KmsError } from './errors.ts'

const refused = (body: string | Buffer): void => {
  assert.throws(
    () => parseBody(Buffer.from(body)),
    (error: unknown) => error instanceof KmsError && error.code === 'SerializationException',
  )
}

test('a body is one JSON object; an empty one is none', () => {
  assert.deepEqual(parseBody(Buffer.alloc(0)), {})
  assert.deepEqual(parseBody(Buffer.from('{"a":[{"b":"{[{[{[{[{[{[{[{["}]}')), { a: [{ b: '{[{[{[{[{[{[{[{[' }] })
  for (const body of ['null', '[]', '1', '"a"', '{', '{"a":}', "{'a':1}", '{"a":1}x']) refused(body)
})

test('depth is bounded, and brackets in strings do not count', () => {
  refused(`${'{"a":'.repeat(10_000)}1${'}'.repeat(10_000)}`)
  refused(`{"a":${'['.repeat(400_000)}${']'.repeat(400_000)}}`)
  assert.deepEqual(parseBody(Buffer.from(JSON.stringify({ a: '[{\\"'.repeat(100) }))), { a: '[{\\"'.repeat(100) })
})

test('promise 6: strings that UTF-8 cannot tell apart are refused', () => {
  refused(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]))
  refused('{"EncryptionContext":{"a":"\\ud800"}}')
  refused('{"EncryptionContext":{"\\udc00":"a"}}')
  assert.deepEqual(parseBody(Buffer.from('{"a":"\\ud83d\\ude00"}')), { a: '😀' })
  fc.assert(
    fc.property(fc.dictionary(fc.string({ unit: codePoint }), fc.string({ unit: codePoint })), context => {
      assert.deepEqual(Object.entries(parseBody(Buffer.from(JSON.stringify(context)))), Object.entries(context))
    }),
  )
})

test('errors: 400 for whatever a caller can cause, and no text of ours above it', () => {
  for (const code of Object.keys(ERRORS) as ErrorCode[]) {
    const { status, body } = errorReply(new KmsError(code, 'a text', { cause: new Error('the cause') }))
    const parsed = JSON.parse(body)
    assert.equal(parsed.__type, code)
    assert.doesNotMatch(body, /the cause/)
    if (status >= 500) assert.notEqual(parsed.message, 'a text')
    if (['InvalidCiphertextException', 'KMSInvalidSignatureException', 'KMSInvalidMacException'].includes(code))
      assert.deepEqual(parsed, { __type: code })
  }
  assert.equal(errorReply(new KmsError('KMSInternalException')).status, 500)
  assert.equal(errorReply(new KmsError('KeyUnavailableException')).status, 500)
  assert.equal(errorReply(new KmsError('DependencyTimeoutException')).status, 503)
  assert.equal(errorReply(new KmsError('NotFoundException', 'x')).status, 400)
})
