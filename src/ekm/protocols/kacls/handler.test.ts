import assert from 'node:assert/strict'
import {
  constants,
  createHash,
  createPublicKey,
  generateKeyPairSync,
  publicEncrypt,
  randomBytes,
  verify,
} from 'node:crypto'
import test, { after, before } from 'node:test'
import { decodeJwt, type JWTPayload } from 'jose'
import { BoundaryError } from '../../../boundary/words.ts'
import { KeySet } from '../../access/jwks.ts'
import { Issuer } from '../../access/testing.ts'
import { TokenVerifier } from '../../access/token.ts'
import { WORKSPACE_METHODS } from '../../access/workspace-rules.ts'
import { type Got, protocolSetup, send } from '../testing.ts'
import { KACLS_ERRORS, type KaclsErrorName, kaclsListenerError } from './errors.ts'
import { kaclsHandler, supported } from './handler.ts'
import { parsePath } from './route.ts'
import { Signer } from './signer.ts'
import { MIGRATION_AUDIENCE } from './tokens.ts'

const URL_OF_ACME = 'https://kacls.example/acme/v1'
const PEER = 'https://old.example/v1'
const NOW = Date.now()
const DEK = Buffer.from('a data key of thirty-two bytes..')
const pair = generateKeyPairSync('rsa', { modulusLength: 2048 })
const pem = pair.privateKey.export({ format: 'pem', type: 'pkcs8' })
const spki = createHash('sha256')
  .update(pair.publicKey.export({ format: 'der', type: 'spki' }))
  .digest('base64')

let idp: Issuer
let google: Issuer
let peer: Issuer
before(async () => {
  idp = await Issuer.start('https://id.acme.example/')
  google = await Issuer.start('gsuitecse-tokenissuer-drive@system.gserviceaccount.com')
  peer = await Issuer.start(PEER)
})
after(() => Promise.all([idp, google, peer].map(each => each.stop())))

function setup({ signs = true, perimeters = false } = {}) {
  const made = protocolSetup()
  const { owner, context } = made
  owner.tenant('acme')
  owner.key('acme', 'workspace')
  if (signs) owner.key('acme', 'signer', { spec: 'RSA_2048', mayEncrypt: false, mayDecrypt: false })
  const wiring = { monotonic: () => performance.now(), onProblem: () => {} }
  const trusted = (issuer: Issuer, audience: string) => ({
    issuer: issuer.name,
    audiences: [audience],
    keys: new KeySet({ url: issuer.url }, wiring, { attemptMs: 0 }),
  })
  const signer = signs ? new Signer(context.core, 'acme', 'signer') : undefined
  const provider = trusted(idp, 'workspace')
  const own = signer === undefined ? [] : [{ issuer: URL_OF_ACME, audiences: [URL_OF_ACME], keys: signer }]
  const verifier = (issuers: ConstructorParameters<typeof TokenVerifier>[0]['issuers']) =>
    new TokenVerifier({ issuers, now: () => NOW })
  const rule = { emails: new Set(['bob@acme.example']), domains: new Set(['legal.example']) }
  const tenant = {
    name: 'acme',
    kaclsUrl: URL_OF_ACME,
    keyId: 'workspace',
    signer,
    users: verifier([provider, ...own]),
    administrators: verifier([provider]),
    peers: verifier([provider, trusted(peer, MIGRATION_AUDIENCE)]),
    authorization: verifier([trusted(google, 'cse-authorization')]),
    peerUrls: new Set([PEER]),
    peerHosts: new Map([[PEER, { url: PEER }]]),
    ownerDomain: 'acme.example',
    guests: new Set(['google-visitor']),
    admins: new Set(['root@acme.example']),
    perimeters: perimeters ? new Map([['closed', rule]]) : undefined,
  }
  const handler = kaclsHandler({
    ...context,
    tenants: new Map([['acme', tenant]]),
    name: 'Acme',
    origins: new Set(['https://client-side-encryption.google.com']),
    delegationSeconds: 900,
    now: () => NOW,
  })
  const post = (method: string, body: unknown): Promise<Got> => send(handler, { path: `/acme/v1/${method}`, body })
  return { ...made, tenant, handler, post }
}

const authentication = (claims: JWTPayload = {}): Promise<string> =>
  idp.sign({ aud: 'workspace', sub: 'ada', email: 'Ada@acme.example', ...claims })
const authorization = (role: string, claims: JWTPayload = {}): Promise<string> =>
  google.sign({
    aud: 'cse-authorization',
    email: 'ada@ACME.example',
    role,
    kacls_url: URL_OF_ACME,
    resource_name: 'document-1',
    perimeter_id: 'legal',
    ...claims,
  })
/** Both tokens of one person, and what else is sent. */
const tokens = async (role: string, more: object = {}, claims: JWTPayload = {}) => ({
  authentication: await authentication(),
  authorization: await authorization(role, claims),
  reason: '{"client":"drive"}',
  ...more,
})
const admin = async (more: object = {}) => ({
  authentication: await authentication({ email: 'root@acme.example', sub: 'root' }),
  reason: 'export',
  ...more,
})

function is({ status, json }: Got, name: KaclsErrorName): void {
  assert.deepEqual(
    [json.details, status, json.code],
    [name, KACLS_ERRORS[name], KACLS_ERRORS[name]],
    String(json.message),
  )
}

async function wrapped(post: ReturnType<typeof setup>['post'], claims: JWTPayload = {}): Promise<string> {
  const { status, json } = await post('wrap', await tokens('writer', { key: DEK.toString('base64') }, claims))
  assert.equal(status, 200, JSON.stringify(json))
  return String(json.wrapped_key)
}

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

test('private keys sign and decrypt once, for the token that names them', async () => {
  const { post } = setup()
  const made = await post('wrapprivatekey', await admin({ private_key: pem, perimeter_id: 'legal' }))
  const wrapped_private_key = String(made.json.wrapped_private_key)
  assert.ok(made.status === 200 && wrapped_private_key.length <= 8192)
  const granted = { spki_hash: spki, spki_hash_algorithm: 'SHA-256', message_id: 'm' }
  const message = Buffer.from('signed attributes')
  const digest = createHash('sha256').update(message).digest('base64')
  const sign = async (more: object = {}, claims: JWTPayload = granted, role = 'signer') =>
    post(
      'privatekeysign',
      await tokens(role, { algorithm: 'SHA256withRSA', digest, wrapped_private_key, ...more }, claims),
    )
  const signature = async (more: object) => Buffer.from(String((await sign(more)).json.signature), 'base64')
  assert.ok(verify('sha256', message, pair.publicKey, await signature({})))
  const pss = { key: pair.publicKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 }
  for (const algorithm of ['RSASSA-PSS', 'SHA256withRSA/PSS'])
    assert.ok(verify('sha256', message, pss, await signature({ algorithm, rsa_pss_salt_length: 32 })))
  is(await sign({ algorithm: 'RSASSA-PSS', rsa_pss_salt_length: 20 }), 'InvalidRequest')
  is(await sign({ algorithm: 'SHA512withRSA' }), 'InvalidRequest')
  is(await sign({ algorithm: 'MD5withRSA' }), 'InvalidRequest')
  is(await sign({ algorithm: 'constructor' }), 'InvalidRequest')
  is(await sign({}, { ...granted, spki_hash: createHash('sha256').digest('base64') }), 'Forbidden')
  is(await sign({}, { ...granted, spki_hash_algorithm: 'MD5' }), 'Forbidden')
  is(await sign({}, { ...granted, perimeter_id: 'sales' }), 'Forbidden')
  is(await sign({}, granted, 'decrypter'), 'Forbidden')
  const bytes = randomBytes(32)
  const label = Buffer.from('label')
  const by = { key: pair.publicKey, padding: constants.RSA_PKCS1_OAEP_PADDING }
  const encrypted = {
    'RSA/ECB/PKCS1Padding': publicEncrypt({ key: pair.publicKey, padding: constants.RSA_PKCS1_PADDING }, bytes),
    'RSA/ECB/OAEPwithSHA-1andMGF1Padding': publicEncrypt({ ...by, oaepHash: 'sha1' }, bytes),
    'RSA/ECB/OAEPwithSHA-256andMGF1Padding': publicEncrypt({ ...by, oaepHash: 'sha256' }, bytes),
    'RSA/ECB/OAEPwithSHA-512andMGF1Padding': publicEncrypt({ ...by, oaepHash: 'sha512' }, bytes),
  }
  const decrypt = async (algorithm: string, value: Buffer, more: object = {}) =>
    post(
      'privatekeydecrypt',
      await tokens(
        'decrypter',
        { algorithm, encrypted_data_encryption_key: value.toString('base64'), wrapped_private_key, ...more },
        granted,
      ),
    )
  for (const [algorithm, value] of Object.entries(encrypted))
    assert.deepEqual(
      (await decrypt(algorithm, value)).json,
      { data_encryption_key: bytes.toString('base64') },
      algorithm,
    )
  const labelled = publicEncrypt({ ...by, oaepHash: 'sha256', oaepLabel: label }, bytes)
  const algorithm = 'RSA/ECB/OAEPwithSHA-256andMGF1Padding'
  const withLabel = { rsa_oaep_label: label.toString('base64') }
  assert.deepEqual((await decrypt(algorithm, labelled, withLabel)).json, {
    data_encryption_key: bytes.toString('base64'),
  })
  is(await decrypt(algorithm, labelled), 'InvalidRequest')
  is(await decrypt(algorithm, randomBytes(256)), 'InvalidRequest')
  assert.equal((await decrypt('RSA/ECB/PKCS1Padding', publicEncrypt({ ...by, oaepHash: 'sha1' }, bytes))).status, 200)
  const privileged = async (more: object = {}) =>
    post(
      'privilegedprivatekeydecrypt',
      await admin({
        algorithm,
        encrypted_data_encryption_key: encrypted[algorithm].toString('base64'),
        wrapped_private_key,
        spki_hash: spki,
        spki_hash_algorithm: 'SHA-256',
        ...more,
      }),
    )
  assert.deepEqual((await privileged()).json, { data_encryption_key: bytes.toString('base64') })
  is(await privileged({ spki_hash: digest }), 'Forbidden')
  is(await privileged({ authentication: await authentication() }), 'Forbidden')
})

test('private keys are taken as PEM, also with its lines in letters, and as Base64 of DER', async () => {
  const { post } = setup()
  const take = async (private_key: unknown) => post('wrapprivatekey', await admin({ private_key, perimeter_id: '' }))
  const pkcs1 = pair.privateKey.export({ format: 'pem', type: 'pkcs1' }).toString()
  const der = (type: 'pkcs8' | 'pkcs1') => pair.privateKey.export({ format: 'der', type }).toString('base64')
  for (const key of [pem, pkcs1, pkcs1.replaceAll('\n', '\\n'), der('pkcs8'), der('pkcs1')])
    assert.equal((await take(key)).status, 200)
  const small = generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey.export({ format: 'pem', type: 'pkcs8' })
  const curve = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'pem', type: 'pkcs8' })
  for (const key of [small, curve, '-----BEGIN ', 'AAAA', '', 7, undefined]) is(await take(key), 'InvalidRequest')
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
