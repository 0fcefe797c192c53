/** Pages, and the wire itself: types, bodies, heads, and operations that are not built (aws-kms.md §4, §5.3, §10). */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { KMS } from '@aws-sdk/client-kms'
import { ApiClient, type Kms, startKms } from './support/kms.ts'
import { constraint, type NewKey, newKey, refused, sdk } from './support/sdk.ts'

const ACCOUNT = '000000000000'

let service: Kms
let kms: KMS
let raw: ApiClient
let key: NewKey

before(async () => {
  service = await startKms()
  kms = sdk(service.line.endpoint, service.line)
  raw = new ApiClient(service.line.endpoint, service.line)
  key = await newKey(kms)
})
after(async () => {
  kms?.destroy()
  raw?.close()
  await service?.stop()
})

describe('pages (§10)', () => {
  test('keys come in pages of any size, each once, and markers are this operation’s own', async () => {
    await Promise.all(Array.from({ length: 5 }, () => kms.createKey({})))
    const seen = new Set<string>()
    const first = await kms.listKeys({ Limit: 2 })
    let page = first
    for (;;) {
      for (const { KeyId = '', KeyArn } of page.Keys ?? []) {
        assert.ok(!seen.has(KeyId))
        assert.equal(KeyArn, `arn:aws:kms:us-east-1:${ACCOUNT}:key/${KeyId}`)
        seen.add(KeyId)
      }
      if (page.NextMarker === undefined) break
      page = await kms.listKeys({ Limit: 2, Marker: page.NextMarker })
    }
    assert.equal(page.Truncated, false)
    assert.equal(seen.size, (await kms.listKeys({ Limit: 1000 })).Keys?.length)
    const Marker = first.NextMarker
    await refused(kms.listAliases({ Marker }), 'InvalidMarker')
    await refused(kms.listResourceTags({ KeyId: key.id, Marker }), 'InvalidMarker')
    await refused(kms.listKeys({ Marker: 'made up' }), 'InvalidMarker')
    await refused(kms.describeCustomKeyStores({ Marker }), 'InvalidMarker')
    await refused(kms.listKeys({ Limit: 1001 }), 'Validation', constraint("at 'limit'"))
    await refused(kms.listKeys({ Limit: 0 }), 'Validation', constraint('greater than or equal to 1'))
    await refused(kms.listAliases({ Limit: 101 }), 'Validation', constraint("at 'limit'"))
  })
})

describe('the wire (§4, §5.3)', () => {
  test('what is no JSON of the right types is a SerializationException, and nothing is a 500', async () => {
    for (const body of ['', '{', '[]', '"x"', 'null', '{"KeyId":5}', '{"KeyId":{}}', '{"KeyId":["a"]}', '\xff']) {
      const { status, json } = await raw.call('DescribeKey', Buffer.from(body, 'latin1'))
      assert.equal(status, 400, body)
      assert.equal(json.__type, body === '' ? 'ValidationException' : 'SerializationException', body)
    }
    for (const [operation, input] of [
      ['Encrypt', { KeyId: key.id, Plaintext: 'not base64!' }],
      ['Encrypt', { KeyId: key.id, Plaintext: 'AA==', EncryptionContext: { a: 1 } }],
      ['Encrypt', { KeyId: key.id, Plaintext: 'AA==', DryRun: 'true' }],
      ['GenerateRandom', { NumberOfBytes: '5' }],
      ['GenerateRandom', { NumberOfBytes: 1.5 }],
      ['ImportKeyMaterial', { KeyId: key.id, ImportToken: 'AA==', EncryptedKeyMaterial: 'AA==', ValidTo: 'soon' }],
    ] as const) {
      const { status, json } = await raw.call(operation, input)
      assert.equal(status, 400)
      assert.equal(json.__type, 'SerializationException', JSON.stringify(input))
    }
  })

  test('the content type may name a charset, or be left to guess; a target of another service is no operation', async () => {
    for (const type of ['application/x-amz-json-1.1; charset=utf-8', 'application/json', 'text/plain']) {
      await raw.ok('ListKeys', {}, { headers: { 'content-type': type } })
    }
    for (const target of [
      'TrentService.',
      'trentservice.ListKeys',
      'DynamoDB_20120810.ListKeys',
      'TrentService.ListKeys.x',
    ]) {
      const { status, json } = await raw.call('', {}, { headers: { 'x-amz-target': target } })
      assert.deepEqual([status, json], [400, { __type: 'UnknownOperationException' }], target)
    }
  })

  test('of members that come twice the last one counts, whatever else stands in the body', async () => {
    const body = `{"Description":"first","KeyId":"${key.id}","Description":"second"}`
    assert.equal((await raw.call('UpdateKeyDescription', Buffer.from(body))).status, 200)
    assert.equal((await kms.describeKey({ KeyId: key.id })).KeyMetadata?.Description, 'second')
  })

  test('several errors are counted; null is as good as absent', async () => {
    const { json } = await raw.call('Encrypt', { KeyId: '', Plaintext: null })
    assert.match(
      json.message,
      /^2 validation errors detected: Value '' at 'keyId' .*; Value null at 'plaintext' failed/,
    )
    await raw.ok('ListKeys', { Limit: null, Marker: null, NoSuchMember: 1 })
  })

  test('operations without output have an empty body, those of custom key stores {}', async () => {
    const done = await raw.call('UpdateKeyDescription', { KeyId: key.id, Description: 'd' })
    assert.deepEqual([done.status, done.text], [200, ''])
    assert.match(done.requestId, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
  })

  test('every answer has a date and a request id, refusals too', async () => {
    for (const target of ['', 'TrentService.ListKeys']) {
      const headers = { 'x-amz-target': target }
      const response = await fetch(service.line.endpoint, { method: 'POST', headers, body: '{}' })
      assert.equal(response.status, 400)
      assert.match(response.headers.get('x-amzn-requestid') ?? '', /^[0-9a-f-]{36}$/)
      assert.ok(Math.abs(Date.parse(response.headers.get('date') ?? '') - Date.now()) < 10_000)
      assert.equal(response.headers.get('content-type'), 'application/x-amz-json-1.1')
      assert.deepEqual(await response.json(), {
        __type: 'MissingAuthenticationTokenException',
        message: 'Missing Authentication Token',
      })
    }
  })

  test('operations that are none', async () => {
    const cases: readonly (readonly [operation: string, type: string])[] = [
      ['NoSuchOperation', 'UnknownOperationException'],
      ['__proto__', 'UnknownOperationException'],
      ['constructor', 'UnknownOperationException'],
    ]
    for (const [operation, type] of cases) {
      const { status, json } = await raw.call(operation, { KeyId: key.id })
      assert.equal(status, 400)
      assert.equal(json.__type, type, operation)
    }
  })

  test('a session token belongs to nobody yet, and says so', async () => {
    const { status, json } = await raw.call('ListKeys', {}, { headers: { 'x-amz-security-token': 'token' } })
    assert.equal(status, 400)
    assert.deepEqual(json, {
      __type: 'UnrecognizedClientException',
      message: 'The security token included in the request is invalid.',
    })
  })
})
