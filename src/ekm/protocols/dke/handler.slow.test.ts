import assert from 'node:assert/strict'
import { constants, createPublicKey, publicEncrypt } from 'node:crypto'
import test, { after, before } from 'node:test'
import fc from 'fast-check'
import type { JWTPayload } from 'jose'
import { BoundaryError } from '../../../boundary/words.ts'
import { allowList } from '../../access/allow-list.ts'
import { KeySet } from '../../access/jwks.ts'
import { Issuer } from '../../access/testing.ts'
import { TokenVerifier } from '../../access/token.ts'
import { protocolSetup, send } from '../testing.ts'
import { DKE_ERRORS, type DkeErrorName, dkeListenerError } from './errors.ts'
import { dkeHandler } from './handler.ts'
import { guidVersion, versionGuid } from './key-id.ts'
import { parsePath } from './route.ts'

const DIRECTORY = '11111111-2222-3333-4444-555555555555'
const AUDIENCE = 'https://dke.example'
const PLAINTEXT = Buffer.from('a content key of 32 bytes .......')
const NOW = Date.now()

let issuer: Issuer
before(async () => {
  issuer = await Issuer.start(`https://sts.windows.net/${DIRECTORY}/`)
})
after(() => issuer.stop())

const sign = (claims: JWTPayload = {}): Promise<string> =>
  issuer.sign({ aud: AUDIENCE, sub: 'ada', tid: DIRECTORY, upn: 'Ada@Example.com', ...claims })

function setup({ byPolicy = false, cacheDays }: { byPolicy?: boolean; cacheDays?: number } = {}) {
  const made = protocolSetup()
  const { owner } = made
  owner.tenant('acme')
  owner.key('acme', 'payroll', { spec: 'RSA_2048' })
  owner.key('acme', 'aes')
  const wiring = { monotonic: () => performance.now(), onProblem: () => {} }
  const keys = new KeySet({ url: issuer.url }, wiring, { attemptMs: 0 })
  const trusted = { issuer: issuer.name, audiences: [AUDIENCE], keys }
  const verifier = new TokenVerifier({ issuers: [trusted], now: () => NOW })
  const list = allowList(['ADA@example.com'], ['Payroll'])
  const lists = new Map(['payroll', 'aes', 'encrypt-only', 'revoked', 'missing'].map(key => [key, list]))
  const tenantOf = (name: string) => ({
    name,
    verifier,
    directory: DIRECTORY,
    audience: AUDIENCE,
    lists: byPolicy ? undefined : lists,
  })
  const handler = dkeHandler({
    ...made.context,
    tenants: new Map([['acme', tenantOf('acme')]]),
    publicUrl: AUDIENCE,
    signInUrl: 'https://sign.in/here',
    cacheDays,
    now: () => Date.UTC(2026, 0, 1),
  })
  const get = (key: string, tenant = 'acme') => send(handler, { method: 'GET', path: `/${tenant}/${key}` })
  const decrypt = async (key: string, { body, token, guid }: { body?: unknown; token?: string; guid?: string } = {}) =>
    send(handler, {
      path: `/acme/${key}/${guid ?? versionGuid('acme', key, 1)}/decrypt`,
      headers: { authorization: `Bearer ${token ?? (await sign())}` },
      body: body ?? { alg: 'RSA-OAEP-256', value: 'AAAA' },
    })
  /** As an office program encrypts: by what the answer says, and nothing else. */
  const encrypted = async (key: string) => {
    const { n, e } = (await get(key)).json.key as { n: string; e: number }
    const jwk = {
      kty: 'RSA',
      n: Buffer.from(n, 'base64').toString('base64url'),
      e: Buffer.from(e.toString(16).padStart(6, '0'), 'hex').toString('base64url'),
    }
    const oaep = { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' }
    const value = publicEncrypt({ key: createPublicKey({ key: jwk, format: 'jwk' }), ...oaep }, PLAINTEXT)
    return { alg: 'RSA-OAEP-256', value: value.toString('base64') }
  }
  return { ...made, handler, get, decrypt, encrypted }
}

function is({ status, json }: { status: number; json: Readonly<Record<string, unknown>> }, name: DkeErrorName): void {
  assert.deepEqual([json.code, status], [name, DKE_ERRORS[name]], String(json.message))
}

test('a public key is anyone’s, with a key id of its version, and is no use', async () => {
  const { get, owner, strangers } = setup()
  const { status, json } = await get('payroll')
  assert.equal(status, 200)
  const { n, ...rest } = json.key as Record<string, unknown>
  assert.equal(Buffer.from(String(n), 'base64').length, 256)
  const kid = `${AUDIENCE}/acme/payroll/${versionGuid('acme', 'payroll', 1)}`
  assert.deepEqual(rest, { kty: 'RSA', e: 65537, alg: 'RS256', kid })
  assert.equal('cache' in json, false)
  assert.deepEqual([owner.records, strangers], [[], ['PublicKey']])
  const cached = await setup({ cacheDays: 2 }).get('payroll')
  assert.deepEqual(cached.json.cache, { exp: '2026-01-03T00:00:00' })
})

test('what was encrypted to it decrypts for who is listed, by address or by role, and the record says who', async () => {
  const { decrypt, encrypted, owner } = setup()
  const body = await encrypted('payroll')
  const { status, json } = await decrypt('payroll', { body })
  assert.deepEqual([status, json], [200, { value: PLAINTEXT.toString('base64') }])
  const byRole = await sign({ upn: 'bob@example.com', roles: ['payroll'] })
  assert.equal((await decrypt('payroll', { body, token: byRole })).status, 200)
  const byGroup = await sign({ upn: undefined, email: 'guest@elsewhere.example', groups: ['Payroll'] })
  assert.equal((await decrypt('payroll', { body, token: byGroup })).status, 200)
  assert.deepEqual(
    owner.records.map(({ use, outcome, keyId, asserted }) => ({ use, outcome, keyId, who: asserted.principal })),
    ['ada@example.com', 'bob@example.com', 'guest@elsewhere.example'].map(who => ({
      use: true,
      outcome: 'allowed',
      keyId: 'acme/payroll',
      who,
    })),
  )
  assert.equal(owner.records[0]?.asserted.operation, 'dke:decrypt')
  assert.equal(owner.records[0]?.asserted.accessKeyId, `${issuer.name} ada`)
})

test('who is not listed is denied, a key without a list is nobody’s, and the policy alone decides where it is told to', async () => {
  const { decrypt, encrypted, owner } = setup()
  const body = await encrypted('payroll')
  owner.key('acme', 'unlisted', { spec: 'RSA_2048' })
  is(await decrypt('payroll', { body, token: await sign({ upn: 'eve@example.com', roles: ['Sales'] }) }), 'Forbidden')
  is(await decrypt('unlisted', { body: await encrypted('unlisted') }), 'Forbidden')
  assert.deepEqual(
    owner.records.map(({ outcome, error }) => [outcome, error]),
    [
      ['denied', 'Forbidden'],
      ['denied', 'Forbidden'],
    ],
  )
  const policy = setup({ byPolicy: true })
  assert.equal((await policy.decrypt('payroll', { body: await policy.encrypted('payroll') })).status, 200)
})

test('without a good token: 401, where to sign in, and a count', async () => {
  const { decrypt, handler, owner, strangers } = setup()
  const path = `/acme/payroll/${versionGuid('acme', 'payroll', 1)}/Decrypt`
  const { status, headers, json } = await send(handler, { path, body: {} })
  assert.deepEqual([status, json.code], [401, 'Unauthorized'])
  assert.equal(
    headers['WWW-Authenticate'],
    `Bearer resource="${AUDIENCE}", authorization="https://sign.in/here", realm="${AUDIENCE}"`,
  )
  const wrong: readonly JWTPayload[] = [
    { aud: 'https://other.example' },
    { iss: 'https://sts.windows.net/another/' },
    { exp: NOW / 1000 - 61 },
    { tid: '99999999-2222-3333-4444-555555555555' },
    { tid: undefined },
    { upn: undefined },
    { upn: 'not an address', email: 7 },
  ]
  for (const claims of wrong) is(await decrypt('payroll', { token: await sign(claims) }), 'Unauthorized')
  assert.deepEqual(strangers, [
    'TokenMissing',
    'TokenAudience',
    'TokenIssuer',
    'TokenExpired',
    'TokenDirectory',
    'TokenDirectory',
    'TokenIdentity',
    'TokenIdentity',
  ])
  assert.deepEqual(owner.records, [])
})

test('every other refusal has its name, its status and one record', async () => {
  const { decrypt, encrypted, get, owner, handler, defects } = setup()
  owner.key('acme', 'encrypt-only', { spec: 'RSA_2048', mayDecrypt: false })
  owner.key('acme', 'revoked', { spec: 'RSA_2048', state: 'Revoked' })
  const body = await encrypted('payroll')
  const table: readonly (readonly [Promise<Parameters<typeof is>[0]>, DkeErrorName])[] = [
    [decrypt('payroll', { body: { ...body, alg: 'RSA-OAEP' } }), 'InvalidRequest'],
    [decrypt('payroll', { body: { value: body.value } }), 'InvalidRequest'],
    [decrypt('payroll', { body: { ...body, value: '' } }), 'InvalidRequest'],
    [decrypt('payroll', { body: { ...body, value: 'AAA' } }), 'InvalidRequest'],
    [decrypt('payroll', { body: { ...body, value: 'A'.repeat(688) } }), 'InvalidRequest'],
    [decrypt('payroll', { body: { ...body, value: Buffer.alloc(256).toString('base64') } }), 'InvalidRequest'],
    [decrypt('payroll', { body: Buffer.from('{') }), 'InvalidRequest'],
    [decrypt('payroll', { body, guid: versionGuid('acme', 'payroll', 2) }), 'InvalidRequest'],
    [decrypt('payroll', { body, guid: versionGuid('other', 'payroll', 1) }), 'KeyNotFound'],
    [decrypt('missing', { body }), 'KeyNotFound'],
    [decrypt('aes', { body }), 'InvalidRequest'],
    [decrypt('encrypt-only', { body: await encrypted('encrypt-only') }), 'InvalidRequest'],
    [decrypt('revoked', { body }), 'KeyRevoked'],
  ]
  for (const [answered, name] of table) is(await answered, name)
  assert.equal(owner.records.length, table.length)
  assert.deepEqual(new Set(owner.records.map(({ outcome }) => outcome)), new Set(['failed']))
  is(await get('aes'), 'KeyNotFound')
  is(await get('missing'), 'KeyNotFound')
  is(await get('revoked'), 'KeyRevoked')
  is(await get('payroll', 'nobody'), 'NotFound')
  is(await send(handler, { method: 'GET', path: '/' }), 'NotFound')
  is(await send(handler, { method: 'POST', path: '/acme/payroll' }), 'MethodNotAllowed')
  is(
    await send(handler, { method: 'GET', path: `/acme/payroll/${versionGuid('acme', 'payroll', 1)}/decrypt` }),
    'MethodNotAllowed',
  )
  assert.deepEqual(defects, [])
})

test('a revoked key or tenant, a busy boundary and one that is away have their own answers', async () => {
  const { decrypt, encrypted, get, owner } = setup()
  const body = await encrypted('payroll')
  for (const [switchId, off] of [
    ['all', true],
    ['all', false],
  ] as const) {
    owner.switch(switchId, off)
    const { status } = await get('payroll')
    assert.equal(status, off ? 403 : 200)
  }
  owner.broken = new BoundaryError('Busy')
  is(await decrypt('payroll', { body }), 'TooManyRequests')
  owner.broken = new BoundaryError('Unavailable')
  is(await decrypt('payroll', { body }), 'Unavailable')
  is(await get('payroll'), 'Unavailable')
})

test('keys of the issuer that cannot be had are 503, and no fault of the caller', async () => {
  const { decrypt } = setup()
  issuer.goAway()
  is(await decrypt('payroll'), 'Unavailable')
  issuer.comeBack()
})

test('key ids are stable, differ by tenant, key and version, and name their version', () => {
  assert.equal(versionGuid('acme', 'payroll', 1), 'c7c84520-beaf-8edd-b001-c23500000001')
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 0xffff_ffff }), fc.integer({ min: 1, max: 0xffff_ffff }), (a, b) => {
      const guid = versionGuid('acme', 'payroll', a)
      assert.match(guid, /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
      assert.equal(guidVersion('acme', 'payroll', guid.toUpperCase()), a)
      assert.equal(guidVersion('acme', 'payroll2', versionGuid('acme', 'payroll', b)), undefined)
    }),
  )
  assert.equal(guidVersion('acme', 'payroll', versionGuid('acme', 'payroll', 1).replace(/1$/, '0')), undefined)
})

test('paths are read as they are, and none is read as two', () => {
  const guid = versionGuid('a/b', 'k', 1)
  assert.deepEqual(parsePath('/k'), { operation: 'publickey', tenant: '/', keyId: 'k', guid: '' })
  assert.deepEqual(parsePath(`/a/b/k/${guid}/DECRYPT`), { operation: 'decrypt', tenant: 'a/b', keyId: 'k', guid })
  assert.deepEqual(parsePath(`/k/${guid}/decrypt`), { operation: 'decrypt', tenant: '/', keyId: 'k', guid })
  for (const path of [
    '',
    '/',
    'k',
    '//k',
    '///k',
    `///k/${guid}/decrypt`,
    '/a//k',
    '/a/k/',
    '/a/%6b',
    '/a/../k',
    `/${guid}/decrypt/`,
    `/a/${'k'.repeat(129)}`,
  ])
    assert.equal(parsePath(path), undefined, path)
})

test('what the listener refuses has the form of this protocol', () => {
  for (const kind of ['TooLarge', 'Timeout', 'BadRequest', 'Overloaded', 'Unavailable', 'Internal'] as const) {
    const { status, body } = dkeListenerError(kind)
    const { code } = JSON.parse(String(body)) as { code: DkeErrorName }
    assert.equal(status, DKE_ERRORS[code], kind)
  }
})
