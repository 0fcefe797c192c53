import assert from 'node:assert/strict'
import { constants, createPublicKey, publicEncrypt, randomBytes } from 'node:crypto'
import test from 'node:test'
import { BoundaryError, type BoundaryErrorCode } from '../../../boundary/words.ts'
import type { HttpRequest, Peer } from '../../../http/types.ts'
import { ownTenantOnly, type Policy } from '../../access/policy.ts'
import { Rules } from '../../access/rules.ts'
import { Core } from '../../core.ts'
import { HealthMonitor } from '../../health.ts'
import { FakeOwner } from '../../testing.ts'
import { AZURE_ERRORS, type AzureErrorCode } from './errors.ts'
import { azureHandler, azureListenerError, ERROR_CODES } from './handler.ts'

const TENANT = 'contoso/prod'
const POOL = 'contoso.managedhsmclient.azure.net'
const FOREIGN = 'fabrikam.managedhsmclient.azure.net'
const CONTEXT = { correlation_id: 'correlation-1', pool_name: 'contoso', request_id: 'request-1' }
const PLAINTEXT = Buffer.from('000102030405060708090a0b0c0d0e0f', 'hex')
const VALUE = PLAINTEXT.toString('base64url')

const peerNamed = (commonName: string): Peer => ({
  commonName,
  dnsNames: [],
  uris: [],
  fingerprint: 'ab'.repeat(32),
  validTo: Number.POSITIVE_INFINITY,
})

interface Send {
  path?: string
  query?: string
  method?: string
  body?: unknown
  peer?: Peer | undefined
}

function setup(policy: Policy = ownTenantOnly) {
  const owner = new FakeOwner()
  owner.tenant(TENANT, { clients: [POOL] })
  owner.tenant('fabrikam', { clients: [FOREIGN] })
  owner.tenant('nobody')
  owner.key(TENANT, 'aes')
  owner.key(TENANT, 'wrap-only', { mayDecrypt: false })
  owner.key(TENANT, 'revoked', { state: 'Revoked' })
  owner.key('fabrikam', 'aes')
  const strangers: string[] = []
  const defects: unknown[] = []
  const answers: string[] = []
  const health = new HealthMonitor(owner.boundary, () => 0)
  const onDefect = (error: unknown) => defects.push(error)
  let count = 0
  const handler = azureHandler({
    core: new Core({ ...owner, policy, rules: new Rules([]), health, onDefect }),
    replica: owner.replica,
    nextRequestId: () => `ours-${++count}`,
    onStranger: reason => strangers.push(reason),
    onAnswer: (operation, outcome) => answers.push(`${operation} ${outcome}`),
    onDefect,
  })
  const send = async (o: Send = {}) => {
    const request: HttpRequest = {
      method: o.method ?? 'POST',
      rawPath: o.path ?? `/${TENANT}/aes/wrapkey`,
      query: o.query ?? 'api-version=0.1-preview',
      headers: { host: 'ekm.contoso.example', 'user-agent': 'ManagedHSM' },
      rawHeaders: [],
      body: Buffer.isBuffer(o.body)
        ? o.body
        : Buffer.from(JSON.stringify({ request_context: CONTEXT, ...((o.body ?? {}) as object) })),
      remoteAddress: '192.0.2.7',
      peer: 'peer' in o ? o.peer : peerNamed(POOL),
      receivedAt: 0,
    }
    const { status, headers, body } = await handler(request)
    const text = String(body)
    return { status, headers, text, json: JSON.parse(text) as Record<string, string> }
  }
  const use = (operation: 'wrapkey' | 'unwrapkey', alg: string, value: string, key = 'aes', more: Send = {}) =>
    send({ path: `/${TENANT}/${key}/${operation}`, body: { alg, value }, ...more })
  return { owner, send, use, strangers, defects, answers }
}

type Answer = Awaited<ReturnType<ReturnType<typeof setup>['send']>>

function is(answer: Answer, code: AzureErrorCode): void {
  assert.equal(answer.json.code, code, answer.text)
  assert.equal(answer.status, AZURE_ERRORS[code])
  assert.deepEqual(Object.keys(answer.json), ['code', 'message'])
  assert.equal(answer.headers['Content-Type'], 'application/json')
}

test('wraps and unwraps a key under AES, and the record says who, which pool and which ids', async () => {
  const { owner, use, answers } = setup()
  for (const [alg, bytes] of [
    ['A256KW', 24],
    ['A256KWP', 24],
  ] as const) {
    const made = await use('wrapkey', alg, VALUE)
    assert.equal(made.status, 200, made.text)
    assert.equal(Buffer.from(made.json.value ?? '', 'base64url').length, bytes)
    const opened = await use('unwrapkey', alg, made.json.value ?? '')
    assert.deepEqual(opened.json, { value: VALUE })
  }
  assert.deepEqual(answers, ['wrapkey ok', 'unwrapkey ok', 'wrapkey ok', 'unwrapkey ok'])
  assert.equal(owner.records.length, 4)
  assert.deepEqual(owner.records[0], {
    outcome: 'allowed',
    error: '',
    keyId: `${TENANT}/aes`,
    count: 0,
    use: true,
    asserted: {
      operation: 'azure:wrapkey',
      requestId: 'ours-1',
      account: TENANT,
      accessKeyId: 'ab'.repeat(32),
      sourceIp: '192.0.2.7',
      userAgent: 'ManagedHSM',
      peer: POOL,
      principal: POOL,
      claimedPrincipal: 'contoso',
      claimedRequestId: 'correlation-1 request-1',
      claimedPool: 'contoso',
    },
  })
})

test('RSA keys: numbers in the metadata, both paddings, and what others encrypt with those numbers', async () => {
  const { owner, send, use } = setup()
  owner.key(TENANT, 'rsa', { spec: 'RSA_2048' })
  const { json, status } = await send({ path: `/${TENANT}/rsa/metadata` })
  assert.equal(status, 200)
  assert.deepEqual(json, {
    key_type: 'RSA',
    key_size: 2048,
    key_ops: ['wrapKey', 'unwrapKey'],
    n: json.n,
    e: 'AQAB',
  })
  assert.equal(Buffer.from(json.n ?? '', 'base64url').length, 256)
  const { n = '', e = '' } = json
  const publicKey = createPublicKey({ key: { kty: 'RSA', n, e }, format: 'jwk' })
  for (const [alg, oaepHash, most] of [
    ['RSA-OAEP', 'sha1', 214],
    ['RSA-OAEP-256', 'sha256', 190],
  ] as const) {
    const made = await use('wrapkey', alg, VALUE, 'rsa')
    assert.equal(made.status, 200, made.text)
    assert.deepEqual((await use('unwrapkey', alg, made.json.value ?? '', 'rsa')).json, { value: VALUE })
    const padding = constants.RSA_PKCS1_OAEP_PADDING
    const theirs = publicEncrypt({ key: publicKey, padding, oaepHash }, PLAINTEXT).toString('base64url')
    assert.deepEqual((await use('unwrapkey', alg, theirs, 'rsa')).json, { value: VALUE })
    assert.equal((await use('wrapkey', alg, randomBytes(most).toString('base64url'), 'rsa')).status, 200)
    is(await use('wrapkey', alg, randomBytes(most + 1).toString('base64url'), 'rsa'), 'InvalidRequest')
    is(await use('unwrapkey', alg, theirs.slice(4), 'rsa'), 'InvalidRequest')
    is(await use('unwrapkey', alg, randomBytes(256).toString('base64url'), 'rsa'), 'InvalidRequest')
    is(await use('wrapkey', alg, VALUE, 'aes'), 'InvalidRequest')
  }
  is(await use('wrapkey', 'A256KW', VALUE, 'rsa'), 'InvalidRequest')
  is(await use('unwrapkey', 'A256KWP', VALUE, 'rsa'), 'InvalidRequest')
})

test('info and metadata', async () => {
  const { owner, send } = setup()
  const info = await send({ path: `/${TENANT}/info` })
  assert.equal(info.status, 200)
  assert.deepEqual(Object.keys(info.json), ['api_version', 'proxy_vendor', 'proxy_name', 'ekm_vendor', 'ekm_product'])
  assert.equal(info.json.api_version, '0.1-preview')
  for (const value of Object.values(info.json)) assert.ok(typeof value === 'string' && value !== '')
  assert.deepEqual((await send({ path: `/${TENANT}/aes/metadata` })).json, {
    key_type: 'oct',
    key_size: 256,
    key_ops: ['wrapKey', 'unwrapKey'],
  })
  assert.deepEqual(
    owner.records.map(({ outcome, keyId, asserted }) => [outcome, keyId, asserted.operation]),
    [
      ['allowed', '', 'azure:info'],
      ['allowed', `${TENANT}/aes`, 'azure:metadata'],
    ],
  )
})

test('info refuses while the key manager is not well, and is asked again a moment later', async () => {
  const { owner, send } = setup()
  owner.healthy = false
  const answer = await send({ path: `/${TENANT}/info` })
  is(answer, 'ServiceUnavailable')
  assert.equal(answer.headers['Retry-After'], '1')
  assert.deepEqual(
    owner.records.map(record => record.error),
    ['ServiceUnavailable'],
  )
})

test('who may speak for a tenant: its own certificates and nobody else, and nobody learns which tenants there are', async () => {
  const { owner, send, strangers } = setup()
  const texts = new Set<string>()
  for (const [path, peer] of [
    [`/${TENANT}/aes/wrapkey`, peerNamed(FOREIGN)],
    [`/${TENANT}/aes/wrapkey`, peerNamed('')],
    [`/${TENANT}/aes/wrapkey`, peerNamed(POOL.toUpperCase())],
    [`/${TENANT}/aes/wrapkey`, undefined],
    ['/fabrikam/aes/wrapkey', peerNamed(POOL)],
    ['/nobody/aes/wrapkey', peerNamed(POOL)],
    ['/unknown/aes/wrapkey', peerNamed(POOL)],
    ['/aes/wrapkey', peerNamed(POOL)],
    ['/contoso/info', peerNamed(POOL)],
  ] as const) {
    const answer = await send({ path, peer, body: { alg: 'A256KW', value: VALUE } })
    is(answer, 'Unauthorized')
    texts.add(answer.text)
  }
  assert.equal(texts.size, 1)
  assert.deepEqual([...new Set(strangers)], ['ClientCertificate'])
  assert.equal(owner.records.length, 0, 'strangers are counted, not recorded')
  const dns = { ...peerNamed('another'), dnsNames: [POOL] }
  assert.equal((await send({ path: `/${TENANT}/info`, peer: dns })).status, 200)
})

test('paths, methods and versions', async () => {
  const { send, strangers, owner } = setup()
  is(await send({ path: '/contoso/prod/aes/encrypt' }), 'NotFound')
  is(await send({ path: '/contoso/prod/a_b/wrapkey' }), 'NotFound')
  const get = await send({ method: 'GET' })
  is(get, 'MethodNotAllowed')
  assert.equal(get.headers.Allow, 'POST')
  assert.deepEqual(strangers, ['InvalidUriPath', 'InvalidUriPath', 'MethodNotAllowed'])
  for (const query of ['', 'api-version=1.0']) is(await send({ query }), 'UnsupportedApiVersion')
  assert.deepEqual(
    owner.records.map(({ outcome, error }) => `${outcome} ${error}`),
    ['failed UnsupportedApiVersion', 'failed UnsupportedApiVersion'],
  )
})

test('what is refused by body, key, state and usage has one record each, with its claims once they are read', async () => {
  const { owner, send, use } = setup()
  const kw = (length: number) => Buffer.alloc(length, 7).toString('base64url')
  const table: readonly (readonly [AzureErrorCode, () => Promise<Answer>, string?])[] = [
    ['InvalidRequest', () => send({ body: Buffer.from('{') }), ''],
    ['InvalidRequest', () => send({ body: { request_context: {} } }), ''],
    ['InvalidRequest', () => send({ body: { alg: 'A256KW' } })],
    ['UnsupportedAlgorithm', () => use('wrapkey', 'A192KW', VALUE)],
    ['InvalidRequest', () => use('wrapkey', 'A256KW', `${VALUE}=`)],
    ['InvalidRequest', () => use('wrapkey', 'A256KW', kw(8))],
    ['InvalidRequest', () => use('wrapkey', 'A256KW', kw(17))],
    ['InvalidRequest', () => use('unwrapkey', 'A256KW', kw(24))],
    ['InvalidRequest', () => use('unwrapkey', 'A256KWP', kw(23))],
    ['KeyNotFound', () => use('wrapkey', 'A256KW', VALUE, 'none')],
    ['KeyNotFound', () => send({ path: `/${TENANT}/none/metadata` })],
    ['KeyDisabled', () => use('wrapkey', 'A256KW', VALUE, 'revoked')],
    ['KeyDisabled', () => send({ path: `/${TENANT}/revoked/metadata` })],
    ['OperationNotAllowed', () => use('unwrapkey', 'A256KW', kw(24), 'wrap-only')],
  ]
  for (const [code, run, pool = 'contoso'] of table) {
    owner.records.length = 0
    is(await run(), code)
    assert.equal(owner.records.length, 1, `${code}: one record`)
    assert.equal(owner.records[0]?.outcome, 'failed')
    assert.equal(owner.records[0]?.asserted.claimedPrincipal ?? '', pool)
  }
})

test('policy that denies is 403 Forbidden, and recorded as denied', async () => {
  const { owner, use } = setup({ decide: () => ({ allowed: false, policies: [] }) })
  is(await use('wrapkey', 'A256KW', VALUE), 'Forbidden')
  assert.deepEqual(
    owner.records.map(({ outcome, error }) => `${outcome} ${error}`),
    ['denied Forbidden'],
  )
})

const OF_BOUNDARY: readonly (readonly [BoundaryErrorCode, AzureErrorCode])[] = [
  ['KeyGone', 'KeyNotFound'],
  ['KeyRevoked', 'KeyDisabled'],
  ['InvalidKeyUsage', 'OperationNotAllowed'],
  ['InvalidCiphertext', 'InvalidRequest'],
  ['Held', 'Forbidden'],
  ['Busy', 'TooManyRequests'],
  ['Locked', 'ServiceUnavailable'],
  ['Unavailable', 'ServiceUnavailable'],
  ['TokenUnavailable', 'ServiceUnavailable'],
  ['DiskFull', 'ServiceUnavailable'],
  ['Internal', 'InternalError'],
]
for (const [boundary, code] of OF_BOUNDARY)
  test(`the boundary's ${boundary} is ${code}`, async () => {
    const { owner, use, defects } = setup()
    owner.boundary.externalWrap = async () => {
      throw new BoundaryError(boundary)
    }
    const answer = await use('wrapkey', 'A256KW', VALUE)
    is(answer, code)
    const again = code === 'TooManyRequests' || code === 'ServiceUnavailable'
    assert.equal(answer.headers['Retry-After'], again ? '1' : undefined)
    assert.equal(defects.length, code === 'InternalError' ? 1 : 0)
  })

test('with the boundary away nobody is anybody: 503, and come back', async () => {
  const { owner, use } = setup()
  owner.broken = new BoundaryError('Unavailable')
  is(await use('wrapkey', 'A256KW', VALUE), 'ServiceUnavailable')
})

test('kill switches of everything, the tenant, the protocol, the certificate and the pool close info and metadata too', async () => {
  for (const id of ['all', `tenant/${TENANT}`, 'protocol/azure', `principal/${POOL}`, 'principal/contoso']) {
    const { owner, send } = setup()
    owner.switch(id, true)
    is(await send({ path: `/${TENANT}/info` }), 'KeyDisabled')
    is(await send({ path: `/${TENANT}/aes/metadata` }), 'KeyDisabled')
    owner.switch(id, false)
    assert.equal((await send({ path: `/${TENANT}/info` })).status, 200)
  }
})

test('every failure of the core and of the listener has a code of the table', () => {
  for (const code of Object.values(ERROR_CODES)) assert.ok(Object.hasOwn(AZURE_ERRORS, code))
  const kinds = ['TooLarge', 'Timeout', 'BadRequest', 'Overloaded', 'Unavailable', 'Internal'] as const
  assert.deepEqual(
    kinds.map(kind => azureListenerError(kind).status),
    [400, 408, 400, 429, 503, 500],
  )
})
