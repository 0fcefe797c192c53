import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { decodeCanonical } from './base64.ts'
import { XksError, type XksErrorName } from './errors.ts'
import { parseBody, parseClaims, parseDecrypt, parseEncrypt } from './request.ts'

const METADATA = {
  awsPrincipalArn: 'arn:aws:iam::123456789012:user/Alice',
  kmsKeyArn: 'arn:aws:kms:us-east-2:123456789012:/key/1234',
  kmsOperation: 'Encrypt',
  kmsRequestId: 'not a uuid',
  kmsViaService: 'ebs',
}
const b64 = (bytes: number) => Buffer.alloc(bytes, 7).toString('base64')
const ENCRYPT = { plaintext: 'SGVsbG8gV29ybGQh', encryptionAlgorithm: 'AES_GCM' }
const DECRYPT = {
  ciphertext: 'ghxkK1txeDNn3q8Y',
  initializationVector: b64(12),
  authenticationTag: b64(16),
  encryptionAlgorithm: 'AES_GCM',
}

const fails = (name: XksErrorName, text: RegExp, run: () => unknown) =>
  assert.throws(run, (error: unknown) => {
    assert.ok(error instanceof XksError)
    assert.equal(error.name, name, error.message)
    assert.match(error.message, text)
    assert.doesNotMatch(error.message, /SGVsbG8|ghxkK1/, 'an error never repeats what was sent')
    return true
  })

test('bodies that are no JSON object of UTF-8', () => {
  for (const body of ['', '{', '[]', 'null', '"x"', '1'])
    fails('ValidationException', /body/, () => parseBody(Buffer.from(body)))
  fails('ValidationException', /UTF-8/, () => parseBody(Buffer.from([0x7b, 0xff, 0x7d])))
})

test('requestMetadata: what each operation requires', () => {
  fails('ValidationException', /missing/, () => parseClaims({}, 'health'))
  fails('ValidationException', /kmsRequestId is missing/, () => parseClaims({ requestMetadata: {} }, 'health'))
  fails('ValidationException', /object/, () => parseClaims({ requestMetadata: [] }, 'health'))
  fails('ValidationException', /not a string/, () =>
    parseClaims({ requestMetadata: { kmsRequestId: 1, kmsOperation: 'x' } }, 'health'),
  )
  const { awsPrincipalArn: _p, kmsKeyArn: _k, kmsViaService: _v, ...least } = METADATA
  assert.deepEqual(parseClaims({ requestMetadata: least }, 'health'), {
    requestId: 'not a uuid',
    operation: 'Encrypt',
  })
  fails('ValidationException', /awsPrincipalArn/, () => parseClaims({ requestMetadata: least }, 'metadata'))
  const { kmsKeyArn: _a, ...create } = METADATA
  assert.equal(parseClaims({ requestMetadata: create }, 'metadata').keyArn, undefined, 'CreateKey has no key yet')
  fails('ValidationException', /kmsKeyArn/, () => parseClaims({ requestMetadata: create }, 'encrypt'))
})

test('claims are not over-validated: odd ARNs, unknown operations and unknown fields are accepted', () => {
  const claims = parseClaims(
    {
      requestMetadata: {
        ...METADATA,
        awsPrincipalArn: 'AWS Internal',
        kmsOperation: 'BulkDecrypt',
        sourceIdentity: { deep: [1] },
      },
    },
    'decrypt',
  )
  assert.equal(claims.principal, 'AWS Internal')
  assert.equal(claims.operation, 'BulkDecrypt')
  assert.deepEqual(Object.keys(claims).sort(), [
    'account',
    'keyArn',
    'operation',
    'principal',
    'requestId',
    'viaService',
  ])
  assert.equal(claims.account, METADATA.kmsKeyArn.split(':')[4], 'of the key, where the principal has none')
})

test('ARNs of 2048 characters are supported, longer ones are not', () => {
  const arn = (length: number) => ({ requestMetadata: { ...METADATA, awsPrincipalArn: 'a'.repeat(length) } })
  assert.equal(parseClaims(arn(2048), 'encrypt').principal?.length, 2048)
  fails('UnsupportedOperationException', /2048/, () => parseClaims(arn(2049), 'encrypt'))
})

test('members come from the object itself, not from its prototype', () => {
  const body = parseBody(Buffer.from('{"__proto__":{"requestMetadata":{"kmsRequestId":"1","kmsOperation":"x"}}}'))
  fails('ValidationException', /missing/, () => parseClaims(body, 'health'))
})

test('encrypt: limits, algorithms, and what is missing', () => {
  const parsed = parseEncrypt({ ...ENCRYPT, ciphertextDataIntegrityValueAlgorithm: 'SHA_256' })
  assert.equal(parsed.plaintext.toString(), 'Hello World!')
  assert.equal(parsed.aad.length, 0)
  assert.equal(parsed.integrity, true)
  assert.equal(parseEncrypt({ ...ENCRYPT, plaintext: b64(4300) }).plaintext.length, 4300)
  assert.equal(parseEncrypt({ ...ENCRYPT, additionalAuthenticatedData: b64(8192) }).aad.length, 8192)
  const with_ = (extra: object) => () => parseEncrypt({ ...ENCRYPT, ...extra })
  fails('UnsupportedOperationException', /4300/, with_({ plaintext: b64(4301) }))
  fails('UnsupportedOperationException', /4300/, with_({ plaintext: b64(4302) }))
  fails('UnsupportedOperationException', /8192/, with_({ additionalAuthenticatedData: b64(8193) }))
  fails('ValidationException', /plaintext is missing/, with_({ plaintext: undefined }))
  fails('ValidationException', /plaintext is empty/, with_({ plaintext: '' }))
  fails('ValidationException', /not a string/, with_({ plaintext: null }))
  fails('ValidationException', /AES_GCM/, with_({ encryptionAlgorithm: 'AES_CBC' }))
  fails('ValidationException', /missing/, with_({ encryptionAlgorithm: undefined }))
  fails('ValidationException', /SHA_256/, with_({ ciphertextDataIntegrityValueAlgorithm: 'SHA_1' }))
})

test('decrypt: sizes of vector, tag and metadata', () => {
  const parsed = parseDecrypt({ ...DECRYPT, ciphertextMetadata: b64(20), initializationVector: b64(16) })
  assert.equal(parsed.metadata.length, 20)
  assert.equal(parseDecrypt(DECRYPT).metadata.length, 0)
  const with_ = (extra: object) => () => parseDecrypt({ ...DECRYPT, ...extra })
  fails('ValidationException', /20/, with_({ ciphertextMetadata: b64(21) }))
  fails('ValidationException', /20/, with_({ ciphertextMetadata: b64(22) }))
  for (const bytes of [0, 11, 13, 17])
    fails('ValidationException', /12 or 16/, with_({ initializationVector: b64(bytes) }))
  for (const bytes of [0, 15, 17]) fails('ValidationException', /must be 16/, with_({ authenticationTag: b64(bytes) }))
  fails('UnsupportedOperationException', /4300/, with_({ ciphertext: b64(4301) }))
  for (const name of ['ciphertext', 'initializationVector', 'authenticationTag', 'encryptionAlgorithm'])
    fails('ValidationException', new RegExp(`${name} is missing`), with_({ [name]: undefined }))
})

test('Base64 that is not canonical is refused', () => {
  for (const text of ['QQ', 'QQ=', 'QR==', 'QQ== ', ' QQ==', 'Q-_=', 'QQ==QQ==', 'Q===', 'QQ=\n', 'é===']) {
    assert.equal(decodeCanonical(text), undefined, text)
    fails('ValidationException', /canonical/, () => parseEncrypt({ ...ENCRYPT, plaintext: text }))
  }
})

test('property: a text is accepted exactly when it is the encoding of its bytes', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), bytes => {
      const text = Buffer.from(bytes).toString('base64')
      assert.deepEqual(decodeCanonical(text), Buffer.from(bytes))
    }),
  )
  fc.assert(
    fc.property(fc.string({ maxLength: 12 }), text => {
      const bytes = decodeCanonical(text)
      if (bytes !== undefined) assert.equal(bytes.toString('base64'), text)
    }),
  )
})
