import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { readObject } from '../members.ts'
import { decodeCanonical } from './base64url.ts'
import { AzureError, type AzureErrorCode } from './errors.ts'
import { invalid, MAX_BODY, MAX_VALUE, MAX_WRAPPED, parseClaims, parseKeyOperation } from './request.ts'

/** As the documentation has it ("Request context", "Wrap key"). */
const CONTEXT = {
  request_id: '6476b291-7c15-4d0b-aef9-03688390cb8e',
  correlation_id: 'aa9a3cb4-82b4-11f0-afc6-5ffd3bdade85',
  pool_name: 'mhsm-pool-name',
}
const WRAP = { alg: 'A256KWP', value: 'MTIzNDU2NzgxMjM0NTY3ODEyMzQ1Njc4MTIzNDU2Nzg' }

const fails = (code: AzureErrorCode, text: RegExp, run: () => unknown) =>
  assert.throws(run, (error: unknown) => {
    assert.ok(error instanceof AzureError)
    assert.equal(error.name, code, error.message)
    assert.match(error.message, text)
    assert.doesNotMatch(error.message, /MTIzNDU2/, 'an error never repeats what was sent')
    return true
  })

test('bodies that are no JSON object of UTF-8', () => {
  for (const body of ['', '{', '[]', 'null', '"x"', '1', '\ufeff{}'])
    fails('InvalidRequest', /body/, () => readObject(Buffer.from(body), invalid))
  fails('InvalidRequest', /UTF-8/, () => readObject(Buffer.from([0x7b, 0xff, 0x7d]), invalid))
})

test('request_context: both ids and the pool become claims', () => {
  assert.deepEqual(parseClaims({ request_context: CONTEXT }), {
    requestId: `${CONTEXT.correlation_id} ${CONTEXT.request_id}`,
    pool: 'mhsm-pool-name',
  })
  const { request_id: _, ...least } = CONTEXT
  for (const none of [least, { ...least, request_id: null }, { ...least, request_id: '' }])
    assert.equal(parseClaims({ request_context: none }).requestId, CONTEXT.correlation_id)
  assert.equal(parseClaims({ request_context: { ...CONTEXT, caller: { deep: [1] } } }).pool, 'mhsm-pool-name')
})

test('request_context: what is missing, of another type or too long', () => {
  const context = (more: object) => () => parseClaims({ request_context: { ...CONTEXT, ...more } })
  fails('InvalidRequest', /request_context is missing/, () => parseClaims({}))
  for (const value of [null, [], 'x', 1])
    fails('InvalidRequest', /not an object/, () => parseClaims({ request_context: value }))
  for (const name of ['correlation_id', 'pool_name']) {
    fails('InvalidRequest', new RegExp(`${name} is missing`), context({ [name]: undefined }))
    fails('InvalidRequest', /not a string/, context({ [name]: null }))
  }
  for (const name of Object.keys(CONTEXT)) {
    fails('InvalidRequest', /not a string/, context({ [name]: 1 }))
    fails('InvalidRequest', /512/, context({ [name]: 'x'.repeat(513) }))
  }
})

test('members come from the object itself, not from its prototype', () => {
  const body = readObject(Buffer.from(`{"__proto__":{"request_context":${JSON.stringify(CONTEXT)}}}`), invalid)
  fails('InvalidRequest', /missing/, () => parseClaims(body))
  fails('UnsupportedAlgorithm', /one of/, () => parseKeyOperation({ ...WRAP, alg: 'constructor' }, MAX_VALUE))
})

test('alg and value', () => {
  for (const alg of ['A256KW', 'A256KWP', 'RSA-OAEP', 'RSA-OAEP-256'])
    assert.deepEqual(parseKeyOperation({ ...WRAP, alg }, MAX_VALUE), {
      algorithm: alg,
      value: Buffer.from('12345678123456781234567812345678'),
    })
  const with_ = (more: object) => () => parseKeyOperation({ ...WRAP, ...more }, MAX_VALUE)
  fails('InvalidRequest', /alg is missing/, with_({ alg: undefined }))
  fails('InvalidRequest', /alg is not a string/, with_({ alg: 1 }))
  for (const alg of ['', 'a256kw', 'A128KW', 'RSA1_5', 'A256KW '])
    fails('UnsupportedAlgorithm', /A256KW, A256KWP, RSA-OAEP, RSA-OAEP-256/, with_({ alg }))
  fails('InvalidRequest', /value is missing/, with_({ value: undefined }))
  fails('InvalidRequest', /value is not a string/, with_({ value: null }))
  fails('InvalidRequest', /value is empty/, with_({ value: '' }))
  const long = (bytes: number) => Buffer.alloc(bytes, 7).toString('base64url')
  assert.equal(parseKeyOperation({ ...WRAP, value: long(MAX_VALUE) }, MAX_VALUE).value.length, MAX_VALUE)
  fails('InvalidRequest', /longer/, with_({ value: long(MAX_VALUE + 1) }))
  const whole = { request_context: Object.fromEntries(Object.keys(CONTEXT).map(name => [name, '\u0001'.repeat(512)])) }
  assert.ok(JSON.stringify({ ...whole, alg: 'RSA-OAEP-256', value: long(MAX_WRAPPED) }).length < MAX_BODY)
})

test('base64url that is not canonical is refused', () => {
  for (const text of ['QQ==', 'QR', 'QQ ', ' QQ', '-_+A', '/_8A', 'Q', 'QQQQQ', 'QQ\n', 'é'])
    fails('InvalidRequest', /canonical/, () => parseKeyOperation({ ...WRAP, value: text }, MAX_VALUE))
})

test('property: a text is accepted exactly when it is the encoding of its bytes', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), bytes => {
      assert.deepEqual(decodeCanonical(Buffer.from(bytes).toString('base64url')), Buffer.from(bytes))
    }),
  )
  fc.assert(
    fc.property(fc.string({ maxLength: 12 }), text => {
      const bytes = decodeCanonical(text)
      if (bytes !== undefined) assert.equal(bytes.toString('base64url'), text)
    }),
  )
})
