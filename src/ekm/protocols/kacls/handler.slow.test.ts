import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import test from 'node:test'
import type { JWTPayload } from 'jose'
import { BoundaryError } from '../../../boundary/words.ts'
import { send } from '../testing.ts'
import { KACLS_ERRORS, type KaclsErrorName, kaclsListenerError } from './errors.ts'
import { parsePath } from './route.ts'
import {
  admin,
  authentication,
  authorization,
  DEK,
  google,
  idp,
  is,
  setup,
  tokens,
  URL_OF_ACME,
  wrapped,
} from './testing.ts'

test('wrap and unwrap: the key comes back, and the records say who, what for and why', async () => {
  const { post, owner } = setup()
  const wrapped_key = await wrapped(post)
  assert.ok(wrapped_key.length <= 1024)
  const { status, json } = await post('unwrap', await tokens('reader', { wrapped_key }))
  assert.deepEqual([status, json], [200, { key: DEK.toString('base64') }])
  assert.deepEqual(
    owner.records.map(({ use, outcome, keyId, asserted }) => ({ use, outcome, keyId, asserted })),
    ['writer', 'reader'].map((role, at) => ({
      use: true,
      outcome: 'allowed',
      keyId: 'acme/workspace',
      asserted: {
        operation: at === 0 ? 'kacls:wrap' : 'kacls:unwrap',
        requestId: `ours-${at + 1}`,
        account: 'acme',
        accessKeyId: 'https://id.acme.example/ ada',
        sourceIp: '192.0.2.7',
        principal: 'ada@acme.example',
        reason: 'REASON_UNSPECIFIED: {"client":"drive"}',
        subject: 'document-1',
        claimedPrincipal: 'ada@acme.example',
        claimedOperation: role,
        claimedEmail: 'ada@acme.example',
        claimedPerimeter: 'legal',
      },
    })),
  )
})

test('the checks of the guide, each with what is refused and what is not', async () => {
  const { post, owner } = setup({ perimeters: true })
  const key = DEK.toString('base64')
  const attempt = async (user: JWTPayload, grant: JWTPayload, role = 'writer') =>
    post('wrap', {
      authentication: await authentication(user),
      authorization: await authorization(role, { perimeter_id: undefined, ...grant }),
      reason: '',
      key,
    })
  const table: readonly (readonly [JWTPayload, JWTPayload, string?])[] = [
    [{ email: 'eve@acme.example' }, {}],
    [{ google_email: 'eve@acme.example' }, {}],
    [{}, { email_type: 'customer-idp' }],
    [{}, { email_type: 7 }],
    [{}, {}, 'reader'],
    [{}, {}, 'verifier'],
    [{}, { kacls_url: 'https://kacls.example/other/v1' }],
    [{}, { kacls_url: `${URL_OF_ACME}/` }],
    [{}, { kacls_url: undefined }],
    [{}, { kacls_owner_domain: 'globex.example' }],
    [{}, { perimeter_id: 'closed' }],
    [{}, { perimeter_id: 'unknown' }],
    [{}, { delegated_to: 'meet@room.example' }],
  ]
  for (const [user, grant, role] of table) is(await attempt(user, grant, role), 'Forbidden')
  assert.deepEqual(
    new Set(owner.records.map(({ outcome, error }) => `${outcome} ${error}`)),
    new Set(['denied Forbidden']),
  )
  assert.equal(owner.records.length, table.length)
  const good: typeof table = [
    [{}, {}, 'upgrader'],
    [{ email: 'private@home.example', google_email: 'ADA@acme.example' }, {}],
    [{}, { email_type: 'google' }],
    [{}, { email_type: 'google-visitor' }],
    [{}, { kacls_owner_domain: 'acme.example' }],
    [{ email: 'bob@acme.example' }, { email: 'bob@acme.example', perimeter_id: 'closed' }],
    [{ email: 'eve@legal.example' }, { email: 'eve@legal.example', perimeter_id: 'closed' }],
  ]
  for (const [user, grant, role] of good) assert.equal((await attempt(user, grant, role)).status, 200)
})

test('tokens that are nobody’s: 401 and a count, whichever of the two it is', async () => {
  const { post, owner, strangers } = setup()
  const body = await tokens('writer', { key: DEK.toString('base64') })
  const forged = await idp.sign({ aud: 'cse-authorization', iss: google.name }, { kid: google.current.kid })
  const table: readonly (readonly [object, string])[] = [
    [{ ...body, authorization: undefined }, 'AuthorizationTokenMissing'],
    [{ ...body, authentication: undefined }, 'TokenMissing'],
    [{ ...body, authorization: body.authentication }, 'AuthorizationTokenIssuer'],
    [{ ...body, authentication: body.authorization }, 'TokenIssuer'],
    [{ ...body, authorization: forged }, 'AuthorizationTokenSignature'],
    [{ ...body, authorization: await authorization('writer', { aud: 'other' }) }, 'AuthorizationTokenAudience'],
    [{ ...body, authorization: await authorization('writer', { exp: 1 }) }, 'AuthorizationTokenExpired'],
    [{ ...body, authentication: await authentication({ exp: 1 }) }, 'TokenExpired'],
    [{ ...body, authentication: await authentication({ email: undefined }) }, 'TokenIdentity'],
    [{ ...body, authorization: await authorization('writer', { email: undefined }) }, 'AuthorizationClaims'],
    [
      { ...body, authorization: await authorization('writer', { resource_name: 'é'.repeat(65) }) },
      'AuthorizationClaims',
    ],
    [{ ...body, authorization: await authorization('writer', { perimeter_id: 'half \ud800' }) }, 'AuthorizationClaims'],
  ]
  for (const [sent, reason] of table) {
    is(await post('wrap', sent), 'Unauthorized')
    assert.equal(strangers.at(-1), reason)
  }
  is(await post('wrap', Buffer.from('{')), 'InvalidRequest')
  assert.equal(strangers.at(-1), 'MalformedBody')
  assert.deepEqual(owner.records, [])
  google.goAway()
  is(await setup().post('wrap', body), 'Unavailable')
  google.comeBack()
  idp.goAway()
  is(await setup().post('wrap', body), 'Unavailable')
  idp.comeBack()
})

test('a key opens for its resource, perimeter and tenant’s key, and for nothing else', async () => {
  const { post, owner } = setup()
  const wrapped_key = await wrapped(post)
  const unwrap = async (claims: JWTPayload, key = wrapped_key) =>
    post('unwrap', await tokens('reader', { wrapped_key: key }, claims))
  is(await unwrap({ resource_name: 'document-2' }), 'InvalidRequest')
  is(await unwrap({ resource_name: '' }), 'InvalidRequest')
  is(await unwrap({ perimeter_id: 'sales' }), 'Forbidden')
  const bytes = Buffer.from(wrapped_key, 'base64')
  for (let at = 0; at < bytes.length; at += 3) {
    const changed = Buffer.from(bytes)
    changed.writeUInt8(changed.readUInt8(at) ^ 1, at)
    const { status } = await unwrap({}, changed.toString('base64'))
    assert.ok(status === 400 || status === 403, `${at}: ${status}`)
  }
  is(await unwrap({}, bytes.subarray(0, 40).toString('base64')), 'InvalidRequest')
  owner.key('acme', 'workspace')
  is(await unwrap({}), 'InvalidRequest')
})

test('privileged methods are for administrators, and unwrap without Google’s token', async () => {
  const { post } = setup()
  const wrapped_key = await wrapped(post)
  const unwrap = async (more: object) =>
    post('privilegedunwrap', await admin({ resource_name: 'document-1', wrapped_key, ...more }))
  assert.deepEqual((await unwrap({})).json, { key: DEK.toString('base64') })
  is(await unwrap({ resource_name: 'document-2' }), 'InvalidRequest')
  is(await unwrap({ resource_name: undefined }), 'InvalidRequest')
  is(await unwrap({ resource_name: 'half \ud800' }), 'InvalidRequest')
  is(await unwrap({ authentication: await authentication() }), 'Forbidden')
  const own = { key: DEK.toString('base64'), perimeter_id: 'legal', resource_name: 'document-1' }
  const made = await post('privilegedwrap', await admin(own))
  const opened = await post('unwrap', await tokens('reader', { wrapped_key: made.json.wrapped_key }))
  assert.deepEqual(opened.json, { key: DEK.toString('base64') })
  is(await post('privilegedwrap', await tokens('writer', own)), 'Forbidden')
})

test('the resource key hash is that of the guide, and takes a verifier', async () => {
  const { post, owner } = setup()
  const place = { resource_name: 'my_resource', perimeter_id: 'my_perimeter' }
  const made = await post('wrap', await tokens('writer', { key: Buffer.from('f00d', 'hex').toString('base64') }, place))
  const body = { authorization: await authorization('verifier', place), reason: '', wrapped_key: made.json.wrapped_key }
  assert.deepEqual((await post('digest', body)).json, {
    resource_key_hash: 'EfRLb/AKdtsPSfX+vZ/Pi8h6bmKhBTu4egOABRnEdCg=',
  })
  assert.equal(owner.records.at(-1)?.asserted.principal, 'ada@acme.example')
  is(await post('digest', { ...body, authorization: await authorization('reader', place) }), 'Forbidden')
  is(await post('digest', { ...body, authorization: await authorization('verifier') }), 'Forbidden')
})

test('pages of the origins that are named may call it, and no others', async () => {
  const { handler } = setup()
  const from = (origin: string, method: string, path = '/acme/v1/wrap') =>
    send(handler, { method, path, headers: { origin } })
  const good = await from('https://client-side-encryption.google.com', 'OPTIONS')
  assert.equal(good.status, 204)
  assert.equal(good.headers['Access-Control-Allow-Origin'], 'https://client-side-encryption.google.com')
  assert.equal(good.headers['Access-Control-Allow-Headers'], 'Content-Type, Authorization')
  const refused = await from('https://client-side-encryption.google.com', 'POST')
  assert.equal(refused.headers['Access-Control-Allow-Origin'], 'https://client-side-encryption.google.com')
  for (const origin of ['https://evil.example', 'null', 'https://client-side-encryption.google.com.evil.example'])
    for (const method of ['OPTIONS', 'POST'])
      assert.equal((await from(origin, method)).headers['Access-Control-Allow-Origin'], undefined)
})

test('every state of the key and the boundary has its answer', async () => {
  const { post, owner, handler } = setup()
  const body = await tokens('writer', { key: DEK.toString('base64') })
  owner.key('acme', 'workspace', { state: 'Revoked' })
  is(await post('wrap', body), 'KeyRevoked')
  owner.key('acme', 'workspace', { mayEncrypt: false })
  is(await post('wrap', body), 'InvalidRequest')
  owner.put('key', 'acme/workspace', 'acme', null)
  is(await post('wrap', body), 'KeyNotFound')
  owner.broken = new BoundaryError('Busy')
  is(await post('wrap', body), 'TooManyRequests')
  owner.broken = new BoundaryError('Locked')
  is(await post('wrap', body), 'Unavailable')
  is(await send(handler, { method: 'GET', path: '/acme/v1/certs' }), 'Unavailable')
  is(await send(handler, { method: 'GET', path: '/acme/v1/wrap' }), 'MethodNotAllowed')
  is(await send(handler, { method: 'POST', path: '/globex/v1/wrap' }), 'NotFound')
  is(await send(handler, { method: 'POST', path: '/acme/v1/unknown' }), 'NotFound')
})

test('sizes are bounded, and members that nobody knows are passed over', async () => {
  const { post } = setup()
  const wrap = async (more: object) => post('wrap', await tokens('writer', { key: DEK.toString('base64'), ...more }))
  assert.equal((await wrap({ unknown: { deep: [1] } })).status, 200)
  assert.equal((await wrap({ key: randomBytes(128).toString('base64') })).status, 200)
  for (const more of [
    { key: randomBytes(129).toString('base64') },
    { key: '' },
    { key: 'AAA' },
    { key: 'AA-_' },
    { key: 7 },
    { key: undefined },
    { reason: 'r'.repeat(1025) },
    { reason: {} },
  ])
    is(await wrap(more), 'InvalidRequest')
})

test('paths, and what stands in wrapped keys, are read one way only', () => {
  assert.deepEqual(parsePath('/v1/wrap'), { tenant: '/', method: 'wrap' })
  assert.deepEqual(parsePath('/a/b/v1/takeout_unwrap'), { tenant: 'a/b', method: 'privilegedunwrap' })
  for (const path of [
    '',
    '/',
    '/wrap',
    '/v1',
    '/v1/',
    '//v1/wrap',
    '/a/v1/Wrap',
    '/a/v1/wrap/',
    '/a/v1/v1',
    '/%61/v1/wrap',
    '/v1/constructor',
  ])
    assert.equal(parsePath(path), undefined, path)
})

test('what the listener refuses has the form of this protocol', () => {
  for (const kind of ['TooLarge', 'Timeout', 'BadRequest', 'Overloaded', 'Unavailable', 'Internal'] as const) {
    const { status, body } = kaclsListenerError(kind)
    const { code, details } = JSON.parse(String(body)) as { code: number; details: KaclsErrorName }
    assert.deepEqual([status, code], [KACLS_ERRORS[details], KACLS_ERRORS[details]], kind)
  }
})
