import assert from 'node:assert/strict'
import test from 'node:test'
import { BoundaryError } from '../../../boundary/words.ts'
import type { Policy } from '../../access/policy.ts'
import { ERROR_NAMES } from './errors.ts'
import type { UnaryReply } from './grpc/server.ts'
import { keyIdOf, versionIn } from './key-id.ts'
import { DECRYPT_REQUEST, ENCRYPT_REQUEST, MAX_PLAINTEXT } from './messages.ts'
import { REQUEST_ANNOTATION } from './operations.ts'
import { encode } from './protobuf.ts'
import { plugin, type Send, SOCKET, setup, TENANT } from './testing.ts'

const SEED = Buffer.alloc(32, 7)
const KEY_ID = 'clusters/prod/etcd:v1'

test('Status, Encrypt and Decrypt: one key_id, one record each, with the uid of the API server', async () => {
  const { owner, status, encrypt, decrypt, answers } = setup()
  assert.deepEqual(await status(), { version: 'v2', healthz: 'ok', key_id: KEY_ID })
  const made = await encrypt(SEED, 'uid-of-apiserver')
  assert.equal(made.key_id, KEY_ID)
  assert.ok(made.ciphertext.length > 0 && made.ciphertext.length < 1024)
  assert.ok(!made.ciphertext.includes(SEED))
  assert.deepEqual(await decrypt(made), SEED)
  assert.deepEqual(answers, ['status ok', 'encrypt ok', 'decrypt ok'])
  const seen = owner.records.map(({ outcome, use, keyId, asserted }) => [
    asserted.operation,
    outcome,
    use,
    keyId,
    asserted.accessKeyId,
    asserted.claimedRequestId,
  ])
  const by = ['clusters/prod/etcd', 'unix:///run/kms.sock']
  assert.deepEqual(seen, [
    ['kubernetes:status', 'allowed', false, ...by, undefined],
    ['kubernetes:encrypt', 'allowed', true, ...by, 'uid-of-apiserver'],
    ['kubernetes:decrypt', 'allowed', true, ...by, 'uid-2'],
  ])
  // The annotation leads from etcd to the record.
  assert.equal(String(made.annotations.get(REQUEST_ANNOTATION)), owner.records[1]?.asserted.requestId)
})

test('Status is not ok for a key that is revoked, alone or with others, nor for a key manager that is not well', async () => {
  const { owner, status, monotonic } = setup()
  for (const id of ['all', `tenant/${TENANT}`, 'protocol/kubernetes', 'principal/unix:///run/kms.sock']) {
    owner.switch(id, true)
    assert.deepEqual(await status(), { version: 'v2', healthz: 'the owner has revoked the key', key_id: KEY_ID }, id)
    owner.switch(id, false)
  }
  assert.equal((await status()).healthz, 'ok')
  owner.healthy = false
  monotonic.now += 61_000
  assert.match((await status()).healthz, /^the key manager is not well/)
  const uses = owner.records.filter(record => record.use)
  assert.equal(uses.length, 0, 'no key of a customer was used to find that out')
})

const textOf = (reply: UnaryReply): string => (reply.status === 'OK' ? '' : reply.text)

/** Every failure of the core, and of the protocol itself. */
const REFUSED: Readonly<Record<string, { given?: (o: ReturnType<typeof setup>) => unknown; send: Send; as: string }>> =
  {
    'a key that there is not': { send: { peer: { ...SOCKET, key: 'none' } }, as: 'NOT_FOUND' },
    'a revoked key': {
      given: ({ owner }) => owner.key(TENANT, 'etcd', { state: 'Revoked' }),
      send: encryptOf(SEED),
      as: 'FAILED_PRECONDITION',
    },
    'a key that may not encrypt': {
      given: ({ owner }) => owner.key(TENANT, 'etcd', { mayEncrypt: false }),
      send: encryptOf(SEED),
      as: 'FAILED_PRECONDITION',
    },
    'a busy boundary': {
      given: ({ owner }) => Object.assign(owner, { broken: new BoundaryError('Busy') }),
      send: encryptOf(SEED),
      as: 'RESOURCE_EXHAUSTED',
    },
    'a boundary that is away': {
      given: ({ owner }) => Object.assign(owner, { broken: new BoundaryError('Unavailable') }),
      send: {},
      as: 'UNAVAILABLE',
    },
    'an empty plaintext': { send: encryptOf(Buffer.alloc(0)), as: 'INVALID_ARGUMENT' },
    'a plaintext without room': { send: encryptOf(Buffer.alloc(MAX_PLAINTEXT + 1)), as: 'UNIMPLEMENTED' },
    'a ciphertext of nobody': { send: decryptOf(Buffer.alloc(60), KEY_ID), as: 'INVALID_ARGUMENT' },
    'no message': { send: { body: Buffer.alloc(0) }, as: 'INVALID_ARGUMENT' },
    'a compressed message': { send: { body: Buffer.of(1, 0, 0, 0, 0) }, as: 'UNIMPLEMENTED' },
    'two messages': { send: { body: Buffer.alloc(10) }, as: 'INVALID_ARGUMENT' },
    'a malformed message': { send: { message: Buffer.of(0x80) }, as: 'INVALID_ARGUMENT' },
  }

function encryptOf(plaintext: Buffer): Send {
  return { method: 'Encrypt', message: encode(ENCRYPT_REQUEST, { plaintext, uid: 'u' }) }
}
function decryptOf(ciphertext: Buffer, key_id: string): Send {
  return {
    method: 'Decrypt',
    message: encode(DECRYPT_REQUEST, { ciphertext, key_id, uid: 'u', annotations: new Map() }),
  }
}

for (const [name, { given, send, as }] of Object.entries(REFUSED)) {
  test(`${as}: ${name}`, async () => {
    const world = setup()
    given?.(world)
    const reply = await world.send(send)
    assert.equal(reply.status, as)
    assert.match(textOf(reply), /^[\x20-\x7e]{1,300}$/)
    assert.deepEqual(world.defects, [])
    if (world.owner.broken === undefined) assert.equal(world.owner.records.length, 1)
  })
}

test('every failure of the core has a code, and policy, hold and exhaustion have theirs', async () => {
  const denied: Policy = { decide: () => ({ allowed: false, policies: [] }) }
  assert.equal((await setup(denied).send(encryptOf(SEED))).status, 'PERMISSION_DENIED')
  assert.equal((await setup(denied).send({})).status, 'PERMISSION_DENIED')
  const { owner, send } = setup()
  for (const [code, as] of [
    ['Busy', 'RESOURCE_EXHAUSTED'],
    ['LimitExceeded', 'FAILED_PRECONDITION'],
    ['TokenUnavailable', 'UNAVAILABLE'],
    ['DiskFull', 'UNAVAILABLE'],
    ['Held', 'PERMISSION_DENIED'],
  ] as const) {
    const { externalEncrypt } = owner.boundary
    Object.assign(owner.boundary, { externalEncrypt: async () => Promise.reject(new BoundaryError(code, 'deny ask')) })
    assert.equal((await send(encryptOf(SEED))).status, as, code)
    Object.assign(owner.boundary, { externalEncrypt })
  }
  assert.equal(new Set(Object.values(ERROR_NAMES)).has('INTERNAL'), true)
})

test('a ciphertext opens for its tenant and key, and under its own key_id, only', async () => {
  const { owner, encrypt, decrypt, send, decryptRequest } = setup()
  owner.key(TENANT, 'second')
  const made = await encrypt(SEED)
  for (const key_id of ['', 'clusters/prod/etcd:v2', 'clusters/prod/second:v1', `${KEY_ID} `])
    assert.equal((await send(decryptRequest({ ...made, key_id }))).status, 'INVALID_ARGUMENT', key_id)
  const second = { ...SOCKET, key: 'second' }
  const moved = { ...made, key_id: 'clusters/prod/second:v1' }
  assert.equal((await send({ ...decryptRequest(moved), peer: second })).status, 'INVALID_ARGUMENT')
  for (let at = 0; at < made.ciphertext.length; at++) {
    const ciphertext = Buffer.from(made.ciphertext)
    ciphertext[at] = (ciphertext[at] ?? 0) ^ 1
    assert.equal((await send(decryptRequest({ ...made, ciphertext }))).status, 'INVALID_ARGUMENT', `byte ${at}`)
  }
  assert.deepEqual(await decrypt(made), SEED)
})

test('a plugin elsewhere speaks for the tenants that name its certificate, and for no other', async () => {
  const { status, encrypt, decrypt, send, strangers, owner } = setup()
  const prod = plugin('node.example', TENANT)
  assert.equal((await status(prod)).key_id, KEY_ID)
  assert.deepEqual(await decrypt(await encrypt(SEED, 'u', prod), prod), SEED)
  const use = owner.records.at(-1)?.asserted
  assert.deepEqual(
    [use?.principal, use?.accessKeyId, use?.peer, use?.sourceIp, use?.account],
    ['node.example', 'ab'.repeat(32), 'node.example', '192.0.2.7', TENANT],
  )
  const records = owner.records.length
  const refused: readonly (readonly [string, string, string])[] = [
    ['node.example', 'other', 'ClientCertificate'],
    ['other.example', TENANT, 'ClientCertificate'],
    // A tenant that names no certificate is nobody's here.
    ['node.example', 'open', 'ClientCertificate'],
    ['', TENANT, 'ClientCertificate'],
    ['node.example', 'none', 'UnknownTenant'],
    ['node.example', '', 'UnknownTenant'],
    ['node.example', '../x', 'UnknownTenant'],
  ]
  const texts = new Set<string>()
  for (const [name, tenant] of refused) {
    const reply = await send({ ...encryptOf(SEED), ...plugin(name, tenant) })
    assert.equal(reply.status, 'UNAUTHENTICATED', `${name} for ${tenant}`)
    texts.add(textOf(reply))
  }
  assert.equal(texts.size, 1, 'which tenants there are cannot be told')
  assert.deepEqual(
    strangers,
    refused.map(([, , reason]) => reason),
  )
  assert.equal(owner.records.length, records)
  for (const key of ['', 'none', 'a/b', '..%2f'])
    assert.equal((await send({ ...encryptOf(SEED), ...plugin('node.example', TENANT, key) })).status, 'NOT_FOUND', key)
})

test('for a person to decide a use waits as long as the API server does, less the way', async () => {
  const { owner, send } = setup()
  const waited: number[] = []
  Object.assign(owner.boundary, {
    externalEncrypt: async () => Promise.reject(new BoundaryError('Held', 'wait ask-1')),
    awaitDecision: async (_ask: string, milliseconds: number) => void waited.push(milliseconds),
  })
  for (const timeoutMs of [3000, 200, undefined, 10_000_000])
    assert.equal(
      (await send({ ...encryptOf(SEED), ...(timeoutMs === undefined ? {} : { timeoutMs }) })).status,
      'PERMISSION_DENIED',
    )
  assert.deepEqual(waited, [2700, 60_000])
})

test('key ids name tenant, key and version, and are read back', () => {
  assert.equal(keyIdOf('/', 'k', 4_294_967_295), '//k:v4294967295')
  assert.equal(versionIn('//k:v4294967295'), 4_294_967_295)
  for (const text of ['', 'k', 'k:v', 'k:v0', 'k:v01', 'k:v12345678901', 'k:v1 '])
    assert.equal(versionIn(text), 0, text)
})
