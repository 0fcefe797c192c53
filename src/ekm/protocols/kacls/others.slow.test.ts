import assert from 'node:assert/strict'
import { createPublicKey, verify } from 'node:crypto'
import test from 'node:test'
import { decodeJwt, type JWTPayload } from 'jose'
import { WORKSPACE_METHODS } from '../../access/workspace-rules.ts'
import { send } from '../testing.ts'
import { supported } from './handler.ts'
import { admin, authorization, DEK, is, PEER, peer, setup, tokens, URL_OF_ACME, wrapped } from './testing.ts'
import { MIGRATION_AUDIENCE } from './tokens.ts'

test('another key service takes over what its token names, and nothing else', async () => {
  const { post, owner } = setup()
  const wrapped_key = await wrapped(post)
  const ask = async (claims: JWTPayload, more: object = {}) =>
    post('privilegedunwrap', {
      authentication: await peer.sign({
        aud: MIGRATION_AUDIENCE,
        kacls_url: URL_OF_ACME,
        resource_name: 'document-1',
        ...claims,
      }),
      reason: 'migration',
      resource_name: 'document-1',
      wrapped_key,
      ...more,
    })
  assert.deepEqual((await ask({})).json, { key: DEK.toString('base64') })
  const { asserted } = owner.records.at(-1) ?? assert.fail()
  assert.deepEqual([asserted.principal, asserted.subject], [PEER, 'document-1'])
  is(await ask({ resource_name: 'document-2' }), 'Forbidden')
  is(await ask({ kacls_url: 'https://kacls.example/other/v1' }), 'Forbidden')
  is(await ask({ resource_name: undefined }), 'Forbidden')
  is(await ask({ aud: 'workspace' }), 'Unauthorized')
  // It is no user and no administrator.
  is(
    await post('privilegedwrap', {
      authentication: await peer.sign({ aud: MIGRATION_AUDIENCE, email: 'root@acme.example' }),
    }),
    'Unauthorized',
  )
  const { authorization: granted } = await tokens('reader')
  is(
    await post('unwrap', {
      authentication: await peer.sign({ aud: 'workspace', email: 'ada@acme.example' }),
      authorization: granted,
      wrapped_key,
    }),
    'Unauthorized',
  )
})

test('a delegate acts with the token that was made for it, on one resource, and delegates no further', async () => {
  const { post, handler, owner } = setup()
  const wrapped_key = await wrapped(post)
  const to = { delegated_to: 'room@meet.example' }
  const delegated = async (role = 'reader', claims: JWTPayload = to) => post('delegate', await tokens(role, {}, claims))
  const { status, json } = await delegated()
  assert.equal(status, 200)
  const token = String(json.delegated_authentication)
  const { iat = 0, exp = 0, ...claims } = decodeJwt(token)
  assert.deepEqual(claims, {
    iss: URL_OF_ACME,
    aud: URL_OF_ACME,
    email: 'ada@acme.example',
    ...to,
    resource_name: 'document-1',
  })
  assert.equal(exp - iat, 900)
  const signed = owner.records.at(-1)
  assert.deepEqual([signed?.keyId, signed?.asserted.operation, signed?.use], ['acme/signer', 'kacls:delegate', true])
  const use = async (more: object, granted: JWTPayload = to) =>
    post('unwrap', { ...(await tokens('reader', { wrapped_key }, granted)), authentication: token, ...more })
  assert.deepEqual((await use({})).json, { key: DEK.toString('base64') })
  is(await use({}, {}), 'Forbidden')
  is(await use({}, { delegated_to: 'other@meet.example' }), 'Forbidden')
  is(await use({}, { ...to, resource_name: 'document-2' }), 'Forbidden')
  is(await post('delegate', { ...(await tokens('reader', {}, to)), authentication: token }), 'Forbidden')
  is(
    await post('privilegedunwrap', await admin({ authentication: token, resource_name: 'document-1', wrapped_key })),
    'Unauthorized',
  )
  is(await delegated('reader', {}), 'Forbidden')
  is(await delegated('signer'), 'Forbidden')
  const certs = await send(handler, { method: 'GET', path: '/acme/v1/certs' })
  const [jwk] = certs.json.keys as [{ kid: string; kty: string; n: string; e: string }]
  const [head = '', body = '', signature = ''] = token.split('.')
  assert.equal(JSON.parse(Buffer.from(head, 'base64url').toString()).kid, jwk.kid)
  const publicKey = createPublicKey({ key: jwk, format: 'jwk' })
  assert.ok(verify('sha256', Buffer.from(`${head}.${body}`), publicKey, Buffer.from(signature, 'base64url')))
  owner.key('acme', 'signer', { spec: 'RSA_2048', mayEncrypt: false, mayDecrypt: false, state: 'Revoked' })
  is(await use({}), 'Unauthorized')
  is(await delegated(), 'KeyRevoked')
  assert.deepEqual((await send(handler, { method: 'GET', path: '/acme/v1/certs' })).json, { keys: [] })
})

test('rewrap asks no service but those of the configuration', async () => {
  const { post, owner } = setup()
  const body = { authorization: await authorization('migrator'), reason: '', wrapped_key: 'AAAA' }
  for (const original_kacls_url of ['https://evil.example/v1', `${PEER}/`, 'http://127.0.0.1/v1', URL_OF_ACME])
    is(await post('rewrap', { ...body, original_kacls_url }), 'Forbidden')
  assert.deepEqual(new Set(owner.records.map(({ outcome }) => outcome)), new Set(['denied']))
  is(await post('rewrap', { ...body, original_kacls_url: 'u'.repeat(513) }), 'InvalidRequest')
})

test('without a pair that signs, delegating and taking over are not there, and status says so', async () => {
  const { post, handler, tenant } = setup({ signs: false })
  is(await post('delegate', await tokens('reader', {}, { delegated_to: 'room@meet.example' })), 'NotImplemented')
  const migrator = {
    authorization: await authorization('migrator'),
    reason: '',
    original_kacls_url: PEER,
    wrapped_key: 'AAAA',
  }
  is(await post('rewrap', migrator), 'NotImplemented')
  const { json } = await send(handler, { method: 'GET', path: '/acme/v1/status' })
  assert.deepEqual(json.operations_supported, supported(tenant))
  assert.ok(!supported(tenant).includes('delegate'))
  const all = (await send(setup().handler, { method: 'GET', path: '/acme/v1/status' })).json
  assert.equal(all.server_type, 'KACLS')
  assert.deepEqual(
    new Set(all.operations_supported as string[]),
    new Set(['status', 'certs', ...Object.keys(WORKSPACE_METHODS)]),
  )
})
