import assert from 'node:assert/strict'
import test from 'node:test'
import { BoundaryError } from '../../../boundary/words.ts'
import { signRequest } from '../../../http/sigv4-sign.ts'
import { Strangers } from '../../../http/strangers.ts'
import type { HttpRequest, Peer } from '../../../http/types.ts'
import { Secret } from '../../../store/secret.ts'
import { ownTenantOnly, type Policy } from '../../access/policy.ts'
import { DEFAULT_REPLAY_LIMITS, ReplayMemory } from '../../access/replay.ts'
import { Rules } from '../../access/rules.ts'
import { Core } from '../../core.ts'
import { HealthMonitor } from '../../health.ts'
import { FakeOwner } from '../../testing.ts'
import { XKS_SERVICE, xksHandler } from './handler.ts'

const TENANT = 'example/uri/path/prefix'
const ID = 'BETWEEN2TENAND3TENCHARACTERS'
const SECRET = 'PleaseReplaceThisWithSomeSecretOfLength43To64'
const NOW = Date.UTC(2026, 10, 24, 12)

const METADATA = {
  awsPrincipalArn: 'arn:aws:iam::123456789012:user/Alice',
  kmsKeyArn: 'arn:aws:kms:us-east-2:123456789012:/key/1234abcd',
  kmsOperation: 'Encrypt',
  kmsRequestId: 'request-1',
  kmsViaService: 'ebs',
}
const PLAINTEXT = 'SGVsbG8gV29ybGQh'
const ENCRYPT = { requestMetadata: METADATA, plaintext: PLAINTEXT, encryptionAlgorithm: 'AES_GCM' }

interface Send {
  tenant?: string
  path?: string
  query?: string
  method?: string
  body?: unknown
  id?: string
  secret?: string
  at?: number
  peer?: Peer
  unsigned?: boolean
  headers?: Record<string, string>
}

function setup(policy: Policy = ownTenantOnly) {
  const owner = new FakeOwner()
  owner.tenant(TENANT, { credentials: { [ID]: { created: 1 } } })
  owner.credential(TENANT, ID, SECRET)
  owner.key(TENANT, 'foo')
  owner.key(TENANT, 'encrypt_only', { mayDecrypt: false })
  owner.key(TENANT, 'decrypt_only', { mayEncrypt: false })
  owner.key(TENANT, 'revoked', { state: 'Revoked' })
  const time = { monotonic: 0 }
  const defects: unknown[] = []
  const answers: { operation: string; outcome: string; seconds: number }[] = []
  const strangers = new Strangers(entry => owner.boundary.record(entry), 'xks')
  const health = new HealthMonitor(owner.boundary, () => time.monotonic)
  const onDefect = (error: unknown) => defects.push(error)
  const replay = new ReplayMemory({ now: () => NOW, monotonic: () => time.monotonic }, DEFAULT_REPLAY_LIMITS, 0)
  let count = 0
  const handler = xksHandler({
    core: new Core({ ...owner, policy, rules: new Rules([]), health, onDefect }),
    replica: owner.replica,
    authenticator: { protocol: 'xks', service: XKS_SERVICE, replica: owner.replica, replay, now: () => NOW },
    nextRequestId: () => `ours-${++count}`,
    onStranger: (reason, address) => strangers.count(reason, address),
    onAnswer: (operation, outcome, seconds) => answers.push({ operation, outcome, seconds }),
    onDefect,
  })
  const build = (o: Send): HttpRequest => {
    const path = o.path ?? '/keys/foo/encrypt'
    const rawPath = path.startsWith('//') ? path.slice(1) : `/${o.tenant ?? TENANT}/kms/xks/v1${path}`
    const body = Buffer.isBuffer(o.body) ? o.body : Buffer.from(JSON.stringify(o.body ?? ENCRYPT))
    const signer = { accessKeyId: o.id ?? ID, secret: new Secret(Buffer.from(o.secret ?? SECRET)) }
    const method = o.method ?? 'POST'
    const host = 'xks.example.com'
    const signed = signRequest({ method, path: rawPath, host, body }, signer, XKS_SERVICE, 'us-east-1', o.at ?? NOW)
    const headers: Record<string, string> = { ...(o.unsigned ? { host } : signed), ...o.headers }
    return {
      method,
      rawPath,
      query: o.query ?? '',
      headers,
      rawHeaders: Object.entries(headers).flat(),
      body,
      remoteAddress: '192.0.2.7',
      peer: o.peer,
      receivedAt: NOW,
    }
  }
  /** No two requests of a test are the same, unless it sends one twice itself. */
  let distinct = 0
  const send = async (o: Send = {}) => {
    const unique =
      o.body === undefined || Buffer.isBuffer(o.body) ? o.body : { ...(o.body as object), nonce: ++distinct }
    const request = build({ ...o, body: unique ?? { ...ENCRYPT, nonce: ++distinct } })
    return reply(await handler(request))
  }
  return { owner, send, build, handler, strangers, defects, answers, time }
}

const reply = ({ status, body, headers }: Awaited<ReturnType<ReturnType<typeof xksHandler>>>) => {
  const text = String(body)
  return { status, headers, text, json: (text === '' ? {} : JSON.parse(text)) as Record<string, string> }
}

const is = (answer: { status: number; json: Record<string, string> }, status: number, name: string) => {
  assert.equal(answer.json.errorName, name, answer.json.errorMessage ?? '')
  assert.equal(answer.status, status)
  assert.match(answer.json.errorMessage ?? '', /^[\x20-\x7e]{1,511}$/)
}

test('the operator counts every answer to someone known, by operation and error', async () => {
  const { send, answers } = setup()
  await send()
  await send({ path: '/keys/none/encrypt' })
  await send({ body: { requestMetadata: METADATA } })
  await send({ secret: SECRET.replace('P', 'Q') })
  const seen = answers.map(({ operation, outcome }) => `${operation} ${outcome}`)
  assert.deepEqual(seen, ['encrypt ok', 'encrypt KeyNotFoundException', 'encrypt ValidationException'])
  for (const { seconds } of answers) assert.ok(seconds >= 0 && seconds < 60)
})

test('encrypt and decrypt, with one record each that holds the claims', async () => {
  const { send, owner } = setup()
  const made = await send({ body: { ...ENCRYPT, additionalAuthenticatedData: 'YWFk' } })
  assert.equal(made.status, 200)
  assert.equal(made.headers['Content-Type'], 'application/json')
  assert.equal(Buffer.from(made.json.initializationVector ?? '', 'base64').length, 12)
  assert.equal(Buffer.from(made.json.ciphertextMetadata ?? '', 'base64').toString('hex'), '0100000001')
  assert.equal(made.json.ciphertextDataIntegrityValue, undefined)
  const opened = await send({
    path: '/keys/foo/decrypt',
    body: {
      ...made.json,
      additionalAuthenticatedData: 'YWFk',
      requestMetadata: { ...METADATA, awsSourceVpc: 'vpc-1' },
      encryptionAlgorithm: 'AES_GCM',
    },
  })
  assert.deepEqual(opened.json, { plaintext: PLAINTEXT })
  assert.equal(owner.records.length, 2)
  assert.deepEqual(owner.records[1]?.asserted, {
    operation: 'xks:decrypt',
    requestId: 'ours-2',
    account: TENANT,
    accessKeyId: ID,
    sourceIp: '192.0.2.7',
    region: 'us-east-1',
    viaService: 'ebs',
    claimedPrincipal: METADATA.awsPrincipalArn,
    claimedAccount: '123456789012',
    claimedKeyArn: METADATA.kmsKeyArn,
    claimedOperation: 'Encrypt',
    claimedRequestId: 'request-1',
    claimedSourceVpc: 'vpc-1',
  })
})

test('the order of checks: each request is wrong in all later ways too', async () => {
  const { send, owner, strangers } = setup({ decide: () => ({ allowed: false, policies: [] }) })
  const bad = { body: Buffer.from('{'), secret: 'wrong', path: '/keys/none/encrypt' }
  is(await send({ ...bad, tenant: 'unknown', method: 'GET' }), 404, 'InvalidUriPathException')
  is(await send({ ...bad, path: '/keys/foo/sign', method: 'GET' }), 404, 'InvalidUriPathException')
  is(await send({ ...bad, path: '/health', query: 'x=1', method: 'GET' }), 404, 'InvalidUriPathException')
  for (const path of ['/health', '/keys/none/metadata', '/keys/none/encrypt', '/keys/none/decrypt']) {
    const refused = await send({ ...bad, path, method: 'GET' })
    assert.deepEqual([refused.status, refused.text, refused.headers.Allow], [405, '', 'POST'], path)
  }
  is(await send(bad), 401, 'AuthenticationFailedException')
  assert.equal(owner.records.length, 0, 'nobody was authenticated yet')
  is(await send({ ...bad, secret: SECRET }), 400, 'ValidationException')
  is(await send({ path: '/keys/none/encrypt', body: { requestMetadata: {} } }), 400, 'ValidationException')
  is(await send({ path: '/keys/none/encrypt' }), 404, 'KeyNotFoundException')
  is(await send({ path: '/keys/revoked/encrypt' }), 400, 'InvalidStateException')
  is(await send({ path: '/keys/decrypt_only/encrypt' }), 400, 'InvalidKeyUsageException')
  is(await send(), 403, 'AccessDeniedException')
  assert.deepEqual(
    owner.records.map(record => [record.error, record.outcome]),
    [
      ['ValidationException', 'failed'],
      ['ValidationException', 'failed'],
      ['KeyNotFoundException', 'failed'],
      ['InvalidStateException', 'failed'],
      ['InvalidKeyUsageException', 'failed'],
      ['AccessDeniedException', 'denied'],
    ],
    'every authenticated request ends in exactly one record',
  )
  owner.records.length = 0
  await strangers.flush()
  assert.deepEqual(
    owner.records.map(({ error, count, outcome }) => [error, count, outcome]),
    [
      ['InvalidUriPath', 3, 'denied'],
      ['MethodNotAllowed', 4, 'denied'],
      ['InvalidSignature', 1, 'denied'],
    ],
    'strangers are counted, one record a reason',
  )
  await strangers.flush()
  assert.equal(owner.records.length, 3)
})

test('authentication: what is wrong is 401 and counted, and an error tells nobody which half was wrong', async () => {
  const { send, owner, strangers } = setup()
  const unknown = await send({ id: `A${ID}` })
  const wrong = await send({ secret: `X${SECRET}` })
  is(unknown, 401, 'AuthenticationFailedException')
  assert.deepEqual(unknown.json, wrong.json)
  for (const o of [
    { unsigned: true },
    { at: NOW - 301_000 },
    { at: NOW + 301_000 },
    { headers: { 'x-amz-security-token': 'token' } },
    { headers: { authorization: 'Bearer x' } },
  ])
    is(await send(o), 401, 'AuthenticationFailedException')
  assert.equal((await send({ at: NOW - 300_000 })).status, 200)
  assert.equal((await send({ at: NOW + 300_000 })).status, 200)
  owner.records.length = 0
  await strangers.flush()
  assert.deepEqual(Object.fromEntries(owner.records.map(({ error, count }) => [error, count])), {
    UnknownCredential: 1,
    InvalidSignature: 1,
    MissingSignature: 1,
    WrongDate: 2,
    SessionToken: 1,
    MalformedSignature: 1,
  })
})

test('a credential of another tenant is never tried, even where both have the same secret', async () => {
  const { send, owner } = setup()
  const OTHER = 'OTHERTENANTSACCESSKEYID22'
  owner.tenant('other', { credentials: { [OTHER]: { created: 1 }, [ID]: { created: 1 } } })
  owner.credential('other', OTHER, SECRET)
  is(await send({ id: OTHER }), 401, 'AuthenticationFailedException')
  is(await send({ tenant: 'other' }), 401, 'AuthenticationFailedException')
  is(await send({ tenant: 'other', id: OTHER }), 404, 'KeyNotFoundException')
})

test('several credentials at once, and one that is removed is refused at once', async () => {
  const { send, owner } = setup()
  const SECOND = 'SECONDACCESSKEYID22222222'
  owner.tenant(TENANT, { credentials: { [ID]: { created: 1 }, [SECOND]: { created: 2 } } })
  owner.credential(TENANT, SECOND, SECRET.toLowerCase())
  assert.equal((await send()).status, 200)
  assert.equal((await send({ id: SECOND, secret: SECRET.toLowerCase() })).status, 200)
  owner.put('credential', ID, TENANT, null)
  is(await send(), 401, 'AuthenticationFailedException')
})

test('a tenant that is bound to client certificates serves no other', async () => {
  const { send, owner } = setup()
  owner.tenant(TENANT, { credentials: { [ID]: { created: 1 } }, clients: ['cks.kms.eu-west-1.amazonaws.com'] })
  const peer = (commonName: string): Peer => ({ commonName, dnsNames: [], uris: [], fingerprint: 'f0', validTo: NOW })
  is(await send(), 401, 'AuthenticationFailedException')
  is(await send({ peer: peer('cks.kms.us-east-1.amazonaws.com') }), 401, 'AuthenticationFailedException')
  assert.equal((await send({ peer: peer('cks.kms.eu-west-1.amazonaws.com') })).status, 200)
  assert.equal(owner.records.at(-1)?.asserted.peer, 'cks.kms.eu-west-1.amazonaws.com')
})

test('a byte-identical request is answered once more within 2 s and refused after that', async () => {
  const { build, handler, time, owner } = setup()
  const request = build({})
  const answers: number[] = []
  for (const wait of [0, 1000, 0]) {
    time.monotonic += wait
    answers.push((await handler(request)).status)
  }
  const late = build({ body: { ...ENCRYPT, nonce: 'late' } })
  answers.push((await handler(late)).status)
  time.monotonic += 2001
  is(reply(await handler(late)), 401, 'AuthenticationFailedException')
  assert.deepEqual(answers, [200, 200, 401, 200])
  assert.equal(owner.records.length, 3)
})

test('usage: encrypt-only and decrypt-only keys, and no integrity value without the right to decrypt', async () => {
  const { send } = setup()
  assert.equal((await send({ path: '/keys/encrypt_only/encrypt' })).status, 200)
  const body = { ...ENCRYPT, ciphertextDataIntegrityValueAlgorithm: 'SHA_256' }
  is(await send({ path: '/keys/encrypt_only/encrypt', body }), 400, 'InvalidKeyUsageException')
  assert.ok((await send({ body })).json.ciphertextDataIntegrityValue)
  const described = async (key: string) => (await send({ path: `/keys/${key}/metadata` })).json
  assert.deepEqual(await described('foo'), {
    keySpec: 'AES_256',
    keyUsage: ['ENCRYPT', 'DECRYPT'],
    keyStatus: 'ENABLED',
  })
  assert.deepEqual((await described('decrypt_only')).keyUsage, ['DECRYPT'])
  assert.equal((await described('revoked')).keyStatus, 'DISABLED')
})

test('a ciphertext that is not this key’s, or not this request’s', async () => {
  const { send } = setup()
  const made = (await send({ body: { ...ENCRYPT, additionalAuthenticatedData: 'YWFk' } })).json
  const decrypt = (extra: object) =>
    send({
      path: '/keys/foo/decrypt',
      body: {
        ...made,
        additionalAuthenticatedData: 'YWFk',
        requestMetadata: METADATA,
        encryptionAlgorithm: 'AES_GCM',
        ...extra,
      },
    })
  assert.equal((await decrypt({})).status, 200)
  for (const extra of [
    { additionalAuthenticatedData: undefined },
    { additionalAuthenticatedData: 'YWFl' },
    { ciphertextMetadata: undefined },
    { ciphertextMetadata: 'AQAAAAI=' },
    { ciphertextMetadata: 'AA==' },
    { initializationVector: Buffer.alloc(12).toString('base64') },
    { initializationVector: Buffer.alloc(16).toString('base64') },
    { authenticationTag: Buffer.alloc(16).toString('base64') },
    // What was metadata becomes additional data: lengths keep them apart.
    { additionalAuthenticatedData: 'AQAAAAE=', ciphertextMetadata: undefined },
  ])
    is(await decrypt(extra), 400, 'InvalidCiphertextException')
})

test('health: a check on the test key, cached, and refused when the switch is off', async () => {
  const { send, owner, time } = setup()
  const body = { requestMetadata: { kmsRequestId: 'r', kmsOperation: 'KmsHealthCheck' } }
  const health = () => send({ path: '/health', body })
  const answer = JSON.parse((await health()).text)
  assert.equal(answer.xksProxyFleetSize, 1)
  assert.equal(answer.ekmFleetDetails[0].healthStatus, 'ACTIVE')
  for (const field of ['xksProxyVendor', 'xksProxyModel', 'ekmVendor']) assert.equal(typeof answer[field], 'string')
  await health()
  assert.equal(owner.selfTests, 1)
  time.monotonic += 60_001
  owner.healthy = false
  const ill = await health()
  assert.deepEqual([ill.status, JSON.parse(ill.text).ekmFleetDetails[0].healthStatus], [200, 'UNAVAILABLE'])
  assert.equal(owner.selfTests, 2)
  owner.healthy = true
  time.monotonic += 1001
  assert.equal((await health()).status, 200)
  owner.switch(`tenant/${TENANT}`, true)
  is(await health(), 400, 'InvalidStateException')
  owner.switch(`tenant/${TENANT}`, false)
  owner.switch('all', true)
  is(await health(), 400, 'InvalidStateException')
  assert.equal((await send({ path: '/keys/foo/metadata' })).json.keyStatus, 'DISABLED')
  is(await send({ path: '/health', body: {} }), 400, 'ValidationException')
  assert.equal(owner.records.length, 8, 'one record each')
})

test('without a boundary every request is 503 at once, and nothing that could not be recorded is answered as done', async () => {
  const { send, owner } = setup()
  owner.broken = new BoundaryError('Unavailable', 'gone')
  is(await send(), 503, 'DependencyTimeoutException')
  owner.broken = undefined
  assert.equal((await send()).status, 200)
  const { peek } = owner.replica
  owner.broken = new BoundaryError('DiskFull')
  owner.replica.peek = (kind, id) => owner.rows.get(`${kind} ${id}`) ?? null
  for (const path of ['/keys/foo/encrypt', '/keys/foo/metadata', '/keys/none/encrypt', '/health'])
    is(await send({ path }), 503, 'DependencyTimeoutException')
  owner.replica.peek = peek
})

test('a row that was changed meanwhile is taken from the boundary, and the operation repeated once', async () => {
  const { send, owner } = setup()
  const id = `${TENANT}/foo`
  const old = owner.rows.get(`key ${id}`)
  assert.ok(old)
  owner.key(TENANT, 'foo', { state: 'Revoked' })
  const { peek } = owner.replica
  let stale = true
  owner.replica.peek = (kind, name) => (stale && kind === 'key' ? old : peek(kind, name))
  owner.replica.refresh = () => {
    stale = false
  }
  is(await send(), 400, 'InvalidStateException')
  assert.equal(stale, false)
  stale = true
  owner.replica.refresh = () => {}
  is(await send(), 500, 'InternalException')
})

test('no error tells anything of what was sent', async () => {
  const { send, defects } = setup()
  const canary = 'Q0FOQVJZQ0FOQVJZ'
  for (const body of [
    { ...ENCRYPT, plaintext: `${canary}=` },
    { ...ENCRYPT, plaintext: canary, encryptionAlgorithm: canary },
    { ...ENCRYPT, requestMetadata: { kmsRequestId: canary } },
    { ...ENCRYPT, [canary]: canary, plaintext: [canary] },
  ]) {
    const answer = await send({ body })
    is(answer, 400, 'ValidationException')
    assert.doesNotMatch(answer.text, new RegExp(canary))
  }
  assert.deepEqual(defects, [])
})
