import assert from 'node:assert/strict'
import test, { after, before } from 'node:test'
import type { JWTPayload } from 'jose'
import { BoundaryError, type BoundaryErrorCode } from '../../../boundary/words.ts'
import { KeySet } from '../../access/jwks.ts'
import { ownTenantOnly, type Policy } from '../../access/policy.ts'
import { Issuer } from '../../access/testing.ts'
import { TokenVerifier } from '../../access/token.ts'
import { type Got, protocolSetup, send } from '../testing.ts'
import { type Denials, ERROR_NAMES, GOOGLE_ERRORS, type GoogleErrorName, googleListenerError } from './errors.ts'
import { googleHandler } from './handler.ts'

const AUDIENCE = 'https://ekm.acme.example'
const ACCOUNT = 'service-123456@gcp-sa-ekms.iam.gserviceaccount.com'
const KEY = 'projects/acme-prod/locations/europe-west3/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1'
const CONTEXT = { fullResourceName: KEY, accessReasonContext: { reason: 'CUSTOMER_INITIATED_ACCESS' } }
const PLAINTEXT = Buffer.from('a data encryption key of Google').toString('base64')
const NOW = Date.now()

let issuer: Issuer
let stranger: Issuer
before(async () => {
  issuer = await Issuer.start('https://accounts.google.com')
  stranger = await Issuer.start('https://accounts.elsewhere.example')
})
after(async () => {
  await issuer.stop()
  await stranger.stop()
})

const claimsOf = (more: JWTPayload = {}): JWTPayload => ({
  aud: AUDIENCE,
  sub: '1234567890',
  email: ACCOUNT,
  email_verified: true,
  ...more,
})
const sign = (more: JWTPayload = {}, by = issuer, options = {}) => by.sign(claimsOf(more), options)

function setup({ policy = ownTenantOnly, denials = 'PERMISSION_DENIED' as Denials } = {}) {
  const made = protocolSetup(policy)
  const { owner } = made
  for (const tenant of ['acme', 'globex']) {
    owner.tenant(tenant)
    owner.key(tenant, 'k')
  }
  owner.key('acme', 'wrap-only', { mayDecrypt: false })
  owner.key('acme', 'revoked', { state: 'Revoked' })
  const wiring = { monotonic: () => performance.now(), onProblem: () => {} }
  const trusted = {
    issuer: issuer.name,
    audiences: [AUDIENCE],
    keys: new KeySet({ url: issuer.url }, wiring, { attemptMs: 0 }),
  }
  const verifier = new TokenVerifier({ issuers: [trusted], now: () => NOW })
  const tenantOf = (name: string, account: string) =>
    [name, { name, verifier, denials, serviceAccounts: new Set([account]) }] as const
  const tenants = new Map([
    tenantOf('acme', ACCOUNT),
    tenantOf('globex', 'service-9@gcp-sa-ekms.iam.gserviceaccount.com'),
  ])
  const handler = googleHandler({ ...made.context, tenants })
  const post = async (path: string, body: unknown, token?: string) =>
    send(handler, { path, headers: { authorization: `Bearer ${token ?? (await sign())}` }, body })
  const wrap = (more: object = {}, key = 'k', token?: string) =>
    post(`/acme/${key}:wrap`, { plaintext: PLAINTEXT, additionalContext: CONTEXT, ...more }, token)
  const unwrap = (wrappedBlob: unknown, more: object = {}, key = 'k', token?: string) =>
    post(`/acme/${key}:unwrap`, { wrappedBlob, additionalContext: CONTEXT, ...more }, token)
  return { ...made, handler, post, wrap, unwrap }
}

function is(got: Got, name: GoogleErrorName): void {
  const { error } = got.json as { error?: { code: number; message: string; status: string } }
  assert.deepEqual([error?.status, error?.code, got.status], [name, GOOGLE_ERRORS[name], GOOGLE_ERRORS[name]], got.text)
  assert.deepEqual(Object.keys(got.json), ['error'])
  assert.equal(got.headers['Content-Type'], 'application/json')
}

test('wraps and unwraps; the record says which service account, which key of Google’s and why', async () => {
  const { wrap, unwrap, owner, answers } = setup()
  const made = await wrap()
  assert.deepEqual(Object.keys(made.json), ['wrappedBlob'])
  assert.equal(
    Buffer.from(String(made.json.wrappedBlob), 'base64').length,
    Buffer.from(PLAINTEXT, 'base64').length + 35,
  )
  const opened = await unwrap(made.json.wrappedBlob)
  assert.deepEqual(opened.json, { plaintext: PLAINTEXT }, 'no allowedCacheDuration')
  assert.deepEqual(answers, ['wrap ok', 'unwrap ok'])
  assert.equal(owner.records.length, 2)
  const { asserted, ...record } = owner.records[1] ?? assert.fail()
  assert.deepEqual(record, { outcome: 'allowed', error: '', keyId: 'acme/k', count: 0, use: true })
  const { operation, principal, accessKeyId, account, reason, claimedKeyArn, sourceIp } = asserted
  assert.deepEqual(
    { operation, principal, accessKeyId, account, reason, claimedKeyArn, sourceIp },
    {
      operation: 'google:unwrap',
      principal: ACCOUNT,
      accessKeyId: `${issuer.name} 1234567890`,
      account: 'acme',
      reason: 'CUSTOMER_INITIATED_ACCESS',
      claimedKeyArn: KEY,
      sourceIp: '192.0.2.7',
    },
  )
})

test('a blob opens with its own additional data, key and tenant only', async () => {
  const { wrap, unwrap, owner, post } = setup()
  owner.key('acme', 'other')
  const additionalAuthenticatedData = Buffer.from('aad').toString('base64')
  const { wrappedBlob } = (await wrap({ additionalAuthenticatedData })).json
  assert.equal((await unwrap(wrappedBlob, { additionalAuthenticatedData })).status, 200)
  is(await unwrap(wrappedBlob), 'INVALID_ARGUMENT')
  is(await unwrap(wrappedBlob, { additionalAuthenticatedData: 'AAAA' }), 'INVALID_ARGUMENT')
  is(await unwrap(wrappedBlob, { additionalAuthenticatedData }, 'other'), 'INVALID_ARGUMENT')
  const globex = await sign({ email: 'service-9@gcp-sa-ekms.iam.gserviceaccount.com' })
  is(await post('/globex/k:unwrap', { wrappedBlob, additionalAuthenticatedData }, globex), 'INVALID_ARGUMENT')
  const bytes = Buffer.from(String(wrappedBlob), 'base64')
  for (const at of [0, 1, 3, 8, 20, bytes.length - 1]) {
    const bad = Buffer.from(bytes)
    bad[at] = (bad[at] ?? 0) ^ 1
    is(await unwrap(bad.toString('base64'), { additionalAuthenticatedData }), 'INVALID_ARGUMENT')
  }
  for (const text of ['AAAA', bytes.subarray(0, 34).toString('base64')]) is(await unwrap(text), 'INVALID_ARGUMENT')
  const empty = (await wrap({ additionalAuthenticatedData: '' })).json.wrappedBlob
  assert.equal((await unwrap(empty)).status, 200, 'absent equals empty')
})

test('the largest that Cloud KMS sends, and nothing larger', async () => {
  const { wrap, unwrap } = setup()
  const plaintext = Buffer.alloc(65536, 7).toString('base64')
  const additionalAuthenticatedData = Buffer.alloc(65000, 7).toString('base64')
  const made = await wrap({ plaintext, additionalAuthenticatedData })
  assert.equal((await unwrap(made.json.wrappedBlob, { additionalAuthenticatedData })).json.plaintext, plaintext)
  is(await wrap({ plaintext: Buffer.alloc(65537).toString('base64') }), 'INVALID_ARGUMENT')
  is(await wrap({ additionalAuthenticatedData: Buffer.alloc(65535).toString('base64') }), 'INVALID_ARGUMENT')
})

test('no token, a wrong one, or one of somebody else: 401, the same for each, never 403, and a count', async () => {
  const { wrap, handler, post, owner, strangers } = setup()
  const texts = new Set<string>()
  const refused = (got: Got) => {
    is(got, 'UNAUTHENTICATED')
    assert.equal(got.headers['WWW-Authenticate'], 'Bearer')
    texts.add(got.text)
  }
  refused(await send(handler, { path: '/acme/doctor:wrap', body: {} }))
  refused(await post('/unknown/k:wrap', {}))
  refused(await post('/globex/k:wrap', {}))
  const day = 86_400_000
  for (const token of [
    await sign({ aud: `${AUDIENCE}:8450` }),
    await sign({}, stranger),
    await sign({ iss: issuer.name }, stranger, { kid: issuer.current.kid }),
    await sign({}, issuer, { now: NOW - day }),
    await sign({}, issuer, { now: NOW + day }),
    await sign({ email_verified: false }),
    await sign({ email_verified: 'true' }),
    await sign({ email_verified: undefined }),
    await sign({ email: undefined }),
    await sign({ email: [ACCOUNT] }),
    await sign({ email: `${ACCOUNT}.evil.example` }),
    await sign({ email: 'service-654321@gcp-sa-ekms.iam.gserviceaccount.com' }),
    'not.a.token',
  ])
    refused(await wrap({}, 'k', token))
  assert.equal(texts.size, 1)
  assert.deepEqual(strangers, [
    'TokenMissing',
    'InvalidUriPath',
    'UnknownServiceAccount',
    'TokenAudience',
    'TokenIssuer',
    'TokenSignature',
    'TokenExpired',
    'TokenNotYetValid',
    'TokenIdentity',
    'TokenIdentity',
    'TokenIdentity',
    'TokenIdentity',
    'TokenIdentity',
    'UnknownServiceAccount',
    'UnknownServiceAccount',
    'TokenMalformed',
  ])
  assert.equal(owner.records.length, 0)
  assert.equal((await wrap({}, 'k', await sign({ email: ACCOUNT.toUpperCase() }))).status, 200)
})

test('the issuer’s keys cannot be had: 503, and no fault of the caller', async () => {
  const { wrap } = setup()
  const token = await sign()
  issuer.goAway()
  const got = await wrap({}, 'k', token)
  issuer.comeBack()
  is(got, 'UNAVAILABLE')
  assert.equal(got.headers['Retry-After'], '1')
})

test('a revoked key, a key on hold and a wrong use are FAILED_PRECONDITION: nothing has to be undone at Google', async () => {
  const { wrap, unwrap, owner, post } = setup()
  const { wrappedBlob } = (await wrap({}, 'wrap-only')).json
  owner.records.length = 0
  const table: readonly (readonly [GoogleErrorName, () => Promise<Got>])[] = [
    ['FAILED_PRECONDITION', () => wrap({}, 'revoked')],
    ['FAILED_PRECONDITION', () => unwrap(wrappedBlob, {}, 'wrap-only')],
    ['NOT_FOUND', () => wrap({}, 'none')],
    ['INVALID_ARGUMENT', () => wrap({ plaintext: '' })],
    ['INVALID_ARGUMENT', () => wrap({ plaintext: 'AAA' })],
    ['INVALID_ARGUMENT', () => wrap({ additionalContext: [] })],
    ['INVALID_ARGUMENT', () => unwrap(undefined)],
    ['INVALID_ARGUMENT', () => post('/acme/k:wrap', Buffer.from('{'))],
  ]
  for (const [name, run] of table) {
    owner.records.length = 0
    is(await run(), name)
    assert.deepEqual(
      owner.records.map(({ outcome, error }) => [outcome, error]),
      [['failed', name]],
    )
  }
})

test('a denial by policy is PERMISSION_DENIED, or FAILED_PRECONDITION where the owner wants no key disabled at Google', async () => {
  const policy: Policy = {
    decide: ({ claims }) => ({ allowed: claims.reason === 'CUSTOMER_INITIATED_ACCESS', policies: [] }),
  }
  const contextOf = (reason: unknown) => ({ additionalContext: { accessReasonContext: { reason } } })
  for (const denials of ['PERMISSION_DENIED', 'FAILED_PRECONDITION'] as const) {
    const { wrap, owner } = setup({ policy, denials })
    assert.equal((await wrap(contextOf(5))).status, 200)
    for (const reason of [3, 'GOOGLE_INITIATED_REVIEW', 0, undefined, 99, 'LATER']) {
      owner.records.length = 0
      is(await wrap(contextOf(reason)), denials)
      assert.deepEqual(
        owner.records.map(({ outcome, error }) => [outcome, error]),
        [['denied', denials]],
      )
    }
    const health = { isKeyHealthCheck: true, ...contextOf(3).additionalContext }
    is(await wrap({ additionalContext: health }), denials)
  }
})

const OF_BOUNDARY: readonly (readonly [BoundaryErrorCode, GoogleErrorName])[] = [
  ['KeyGone', 'NOT_FOUND'],
  ['KeyRevoked', 'FAILED_PRECONDITION'],
  ['InvalidKeyUsage', 'FAILED_PRECONDITION'],
  ['Held', 'FAILED_PRECONDITION'],
  ['LimitExceeded', 'FAILED_PRECONDITION'],
  ['InvalidCiphertext', 'INVALID_ARGUMENT'],
  ['Busy', 'RESOURCE_EXHAUSTED'],
  ['Locked', 'UNAVAILABLE'],
  ['Unavailable', 'UNAVAILABLE'],
  ['TokenUnavailable', 'UNAVAILABLE'],
  ['DiskFull', 'UNAVAILABLE'],
  ['Internal', 'INTERNAL'],
]
for (const [boundary, name] of OF_BOUNDARY)
  test(`the boundary's ${boundary} is ${name}`, async () => {
    const { owner, wrap, defects } = setup()
    owner.boundary.externalEncrypt = async () => {
      throw new BoundaryError(boundary)
    }
    is(await wrap(), name)
    assert.equal(defects.length, name === 'INTERNAL' ? 1 : 0)
  })

test('with the boundary away: 503', async () => {
  const { owner, wrap } = setup()
  owner.broken = new BoundaryError('Unavailable')
  is(await wrap(), 'UNAVAILABLE')
})

test('methods that are not spoken, and paths that are none', async () => {
  const { post, handler, strangers } = setup()
  is(await post('/acme/k:asymmetricSign', {}), 'UNIMPLEMENTED')
  is(await post('/acme/k:confidentialwrap', {}), 'UNIMPLEMENTED')
  is(await post('/acme/k', {}), 'NOT_FOUND')
  is(await send(handler, { method: 'GET', path: '/acme/k:wrap' }), 'NOT_FOUND')
  assert.deepEqual(strangers, ['Unimplemented', 'Unimplemented', 'InvalidUriPath', 'InvalidUriPath'])
})

test('every failure of the core and of the listener has a name of the table', () => {
  for (const names of Object.values(ERROR_NAMES))
    for (const name of Object.values(names)) assert.ok(Object.hasOwn(GOOGLE_ERRORS, name))
  const kinds = ['TooLarge', 'Timeout', 'BadRequest', 'Overloaded', 'Unavailable', 'Internal'] as const
  assert.deepEqual(
    kinds.map(kind => googleListenerError(kind).status),
    [400, 400, 400, 429, 503, 500],
  )
})
