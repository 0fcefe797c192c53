import assert from 'node:assert/strict'
import { createHmac, generateKeyPairSync } from 'node:crypto'
import test, { after, before } from 'node:test'
import { type JWTPayload, SignJWT, UnsecuredJWT } from 'jose'
import { KeySet } from './jwks.ts'
import { Issuer } from './testing.ts'
import { bearerToken, MAX_TOKEN, TOKEN_SKEW, type TokenFailure, TokenVerifier } from './token.ts'

const NOW = Date.UTC(2026, 5, 1)
const SECONDS = NOW / 1000
const AUDIENCE = 'https://ekm.example'

let one: Issuer
let other: Issuer
let verifier: TokenVerifier

before(async () => {
  one = await Issuer.start('https://one.example/')
  other = await Issuer.start('https://other.example/')
  const wiring = {
    monotonic: () => performance.now(),
    onProblem: (_url: string, reason: string) => assert.fail(reason),
  }
  const trusted = (issuer: Issuer) => ({
    issuer: issuer.name,
    audiences: [AUDIENCE],
    keys: new KeySet({ url: issuer.url }, wiring, { attemptMs: 0 }),
  })
  verifier = new TokenVerifier({ issuers: [trusted(one), trusted(other)], now: () => NOW })
})
after(async () => {
  await one.stop()
  await other.stop()
})

const sign = (claims: JWTPayload = {}, kid?: string): Promise<string> =>
  one.sign({ aud: AUDIENCE, ...claims }, { now: NOW, ...(kid === undefined ? {} : { kid }) })

async function refused(token: string | undefined, reason: TokenFailure): Promise<void> {
  assert.deepEqual(await verifier.verify(token), { ok: false, reason })
}

const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')

test('a good token gives its issuer, subject, expiry and claims', async () => {
  const verdict = await verifier.verify(await sign({ sub: 'ada', email: 'ada@example.com' }))
  assert.ok(verdict.ok)
  const { issuer, subject, expires, claims } = verdict.token
  assert.deepEqual(
    { issuer, subject, expires, email: claims.email },
    { issuer: 'https://one.example/', subject: 'ada', expires: SECONDS + 3600, email: 'ada@example.com' },
  )
})

test('each claim that is wrong is refused for its own reason, and skew is 60 seconds on either side', async () => {
  const table: readonly (readonly [JWTPayload, TokenFailure | 'ok'])[] = [
    [{ aud: 'https://elsewhere.example' }, 'TokenAudience'],
    [{ aud: [] }, 'TokenAudience'],
    [{ aud: `${AUDIENCE}/` }, 'TokenAudience'],
    [{ aud: ['https://elsewhere.example', AUDIENCE] }, 'ok'],
    [{ exp: SECONDS - TOKEN_SKEW }, 'TokenExpired'],
    [{ exp: SECONDS - TOKEN_SKEW + 1 }, 'ok'],
    [{ iat: SECONDS + TOKEN_SKEW + 1 }, 'TokenNotYetValid'],
    [{ iat: SECONDS + TOKEN_SKEW }, 'ok'],
    [{ nbf: SECONDS + TOKEN_SKEW + 1 }, 'TokenNotYetValid'],
    [{ nbf: SECONDS + TOKEN_SKEW }, 'ok'],
    [{ iss: 'https://stranger.example/' }, 'TokenIssuer'],
    [{ iss: 'https://one.example' }, 'TokenIssuer'],
  ]
  for (const [claims, expected] of table) {
    const verdict = await verifier.verify(await sign(claims))
    assert.equal(verdict.ok ? 'ok' : verdict.reason, expected, JSON.stringify(claims))
  }
})

test('times have to be there and to be numbers', async () => {
  const raw: readonly object[] = [
    { iat: SECONDS },
    { exp: SECONDS + 60 },
    { iat: SECONDS, exp: `${SECONDS + 60}` },
    { iat: `${SECONDS}`, exp: SECONDS + 60 },
    { iat: SECONDS, exp: SECONDS + 60, nbf: `${SECONDS}` },
    { iat: SECONDS, exp: null },
  ]
  for (const claims of raw) {
    const token = await new SignJWT({ iss: one.name, aud: AUDIENCE, ...(claims as JWTPayload) })
      .setProtectedHeader({ alg: 'RS256', kid: one.current.kid })
      .sign(one.current.privateKey)
    await refused(token, 'TokenClaims')
  }
})

test('no other algorithm: none, HS256 keyed with the public key, PS256 and ES256', async () => {
  const claims = { iss: one.name, aud: AUDIENCE, iat: SECONDS, exp: SECONDS + 60 }
  const { kid, privateKey, publicKey } = one.current
  await refused(new UnsecuredJWT(claims).encode(), 'TokenMalformed')
  await refused(`${part({ alg: 'none', kid })}.${part(claims)}.AA`, 'TokenAlgorithm')
  const signed = `${part({ alg: 'HS256', kid })}.${part(claims)}`
  const secret = publicKey.export({ format: 'pem', type: 'spki' })
  await refused(`${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`, 'TokenAlgorithm')
  await refused(await new SignJWT(claims).setProtectedHeader({ alg: 'PS256', kid }).sign(privateKey), 'TokenAlgorithm')
  const curve = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  await refused(
    await new SignJWT(claims).setProtectedHeader({ alg: 'ES256', kid }).sign(curve.privateKey),
    'TokenAlgorithm',
  )
})

test('the token of one issuer is never verified by the key of another', async () => {
  // Signed by `other`, and says that it is of `one`: under its own kid, and under a kid of `one`.
  const claims = { iss: one.name, aud: AUDIENCE }
  await refused(await other.sign(claims, { now: NOW }), 'TokenKeyUnknown')
  await refused(await other.sign(claims, { now: NOW, kid: one.current.kid }), 'TokenSignature')
  assert.ok((await verifier.verify(await other.sign({ aud: AUDIENCE }, { now: NOW }))).ok)
})

test('a token whose signature or content was changed, or that brings its own key, is refused', async () => {
  const [header = '', payload = '', signature = ''] = (await sign()).split('.')
  const claims = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8')) as object
  await refused(`${header}.${part({ ...claims, email: 'eve@example.com' })}.${signature}`, 'TokenSignature')
  await refused(`${header}.${payload}.${Buffer.alloc(256).toString('base64url')}`, 'TokenSignature')
  const pair = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const own = { alg: 'RS256', kid: one.current.kid, jwk: pair.publicKey.export({ format: 'jwk' }) }
  await refused(
    await new SignJWT({ ...claims }).setProtectedHeader(own as { alg: string }).sign(pair.privateKey),
    'TokenSignature',
  )
  await refused(
    await new SignJWT({ ...claims })
      .setProtectedHeader({ alg: 'RS256', kid: one.current.kid, crit: ['exp'], exp: 1 })
      .sign(one.current.privateKey, { crit: { exp: true } }),
    'TokenMalformed',
  )
})

test('what is no token is refused before any key is looked for', async () => {
  const asked = one.asked + other.asked
  await refused(undefined, 'TokenMissing')
  await refused('', 'TokenMissing')
  await refused('a'.repeat(MAX_TOKEN + 1), 'TokenTooLong')
  await refused('a.b', 'TokenMalformed')
  await refused(`${part({ alg: 'RS256' })}.${part({ iss: one.name })}.AA`, 'TokenMalformed')
  await refused(`${part({ alg: 'RS256', kid: 'k'.repeat(257) })}.${part({ iss: one.name })}.AA`, 'TokenMalformed')
  assert.equal(one.asked + other.asked, asked)
})

test('a bearer token is taken out of its header', () => {
  const of = (authorization?: string) => bearerToken({ headers: authorization === undefined ? {} : { authorization } })
  assert.equal(of('Bearer a.b.c'), 'a.b.c')
  assert.equal(of('bearer  a.b.c '), 'a.b.c')
  for (const header of [undefined, '', 'Bearer', 'Basic a.b.c', 'Bearer a b']) assert.equal(of(header), undefined)
})
