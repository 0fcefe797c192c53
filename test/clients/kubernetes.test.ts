/**
 * Kubernetes KMS v2 with the code of kube-apiserver itself: the EncryptionConfiguration of docs/kubernetes.md, its probe, its data keys, its transformers.
 * `holdfast ekm` is the real one, with a socket for each of two tenants.
 */
import assert from 'node:assert/strict'
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { type Answer, ApiServerCode } from '../support/apiserver.ts'
import { type Ekm, holdfast, PATIENT, ROOT, startEkm } from '../support/ekm.ts'

const folder = mkdtempSync(join(tmpdir(), 'holdfast-kubernetes-'))
const socketOf = (tenant: string): string => join(folder, `${tenant}.sock`)
const endpointOf = (tenant: string): string => `unix://${socketOf(tenant)}`

let ekm: Ekm<{ data: string; endpoint: string; kubernetes: string }>
let code: ApiServerCode
let configFile: string

const start = () => startEkm<typeof ekm.line>(['--config', join(folder, 'ekm.yaml')])

before(async () => {
  chmodSync(folder, 0o755)
  const sockets = ['prod', 'other'].map(tenant => ({ path: socketOf(tenant), tenant, key: 'etcd' }))
  writeFileSync(
    join(folder, 'ekm.yaml'),
    JSON.stringify({
      data: join(folder, 'data'),
      listen: { port: 0 },
      kubernetes: { sockets },
      load: PATIENT,
      boundary: { root: { kind: 'keyfile', file: join(folder, 'root.key') } },
    }),
  )
  ekm = await start()
  for (const tenant of ['prod', 'other']) {
    await ekm.cli('tenant', 'create', tenant)
    await ekm.cli('key', 'create', 'etcd', '--tenant', tenant)
  }
  // The configuration that the documentation gives, with another endpoint.
  const blocks = [...readFileSync(join(ROOT, 'docs', 'kubernetes.md'), 'utf8').matchAll(/```yaml\n([\s\S]*?)```/g)]
  const text = blocks.map(([, block = '']) => block).find(block => block.includes('EncryptionConfiguration')) ?? ''
  assert.ok(text.includes('unix:///run/holdfast/kms.sock'))
  configFile = join(folder, 'encryption.yaml')
  writeFileSync(configFile, text.replace('unix:///run/holdfast/kms.sock', endpointOf('prod')))
  code = new ApiServerCode()
})
after(async () => {
  code?.end()
  await ekm?.stop()
  rmSync(folder, { recursive: true, force: true })
})

const PATH = '/registry/secrets/default/token'
const SECRET = Buffer.from('a secret of the cluster, in no other form than this')
let servers = 0
/** A new API server: it has nothing in memory. */
async function apiServer(config = configFile) {
  const id = `api-${++servers}`
  await code.must('start', { id, config })
  return {
    write: (data = SECRET, path = PATH) => code.do('write', { id, data, path }),
    read: (data: Buffer, path = PATH) => code.do('read', { id, data, path }),
    health: async () => (await code.do('health', { id })).error,
    stop: () => code.must('stop', { id }),
  }
}
const inClear = (data: Buffer) => code.must('stored', { data, provider: 'holdfast' })
const well = (answer: Answer): Buffer => {
  assert.equal(answer.error, '')
  return answer.data
}

/** The API server remembers for 20 s that it was well, and for 3 s that it was not. */
async function until(what: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + 60_000
  while (!(await what())) {
    assert.ok(Date.now() < end, 'it does not come')
    await delay(200)
  }
}

test('the socket is its owner’s alone', () => {
  assert.equal(statSync(socketOf('prod')).mode & 0o777, 0o600)
  assert.equal(ekm.line.kubernetes, endpointOf('other'))
})

test('what an API server writes is ciphertext, names the key’s version, and is read by itself and by another', async () => {
  const first = await apiServer()
  assert.equal(await first.health(), '')
  const stored = well(await first.write())
  assert.ok(stored.toString('latin1').startsWith('k8s:enc:kms:v2:holdfast:'))
  assert.equal(stored.includes(SECRET.subarray(0, 12)), false)
  const { keyId, annotations, data } = await inClear(stored)
  assert.equal(keyId, 'prod/etcd:v1')
  assert.deepEqual(Object.keys(annotations), ['request.holdfast.internal'])
  assert.equal(data.length, 32 + 35, 'the seed of 32 bytes as a blob')
  for (const server of [first, await apiServer()]) {
    const read = await server.read(stored)
    assert.deepEqual(well(read), SECRET)
    assert.equal(read.stale, false)
  }
  const moved = await first.read(stored, '/registry/secrets/default/another')
  assert.notEqual(moved.error, '', 'an object is bound to its place, by the API server')
})

test('the record of the seed is found by the annotation, with the uid that the API server gave it', async () => {
  const server = await apiServer()
  const { annotations } = await inClear(well(await server.write()))
  const requestId = Buffer.from(annotations['request.holdfast.internal'] ?? '', 'base64').toString()
  const { stdout } = await holdfast(['log', 'show', ekm.data, '--operation', 'kubernetes:encrypt', '--json'])
  const found = stdout.split('\n').filter(line => line.includes(`"${requestId}"`))
  assert.equal(found.length, 1)
  const record = found[0] ?? ''
  assert.match(record, /"allowed"/)
  assert.ok(record.includes(endpointOf('prod')), record)
  assert.ok(record.includes('prod/etcd'), record)
  assert.match(record, /"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"/)
})

test('another tenant’s socket opens nothing of it', async () => {
  const server = await apiServer()
  const { keyId, data } = await inClear(well(await server.write()))
  for (const tenant of ['prod', 'other']) await code.must('connect', { id: tenant, endpoint: endpointOf(tenant) })
  const ask = { data, keyId, uid: 'u' }
  assert.equal((await code.must('Decrypt', { id: 'prod', ...ask })).data.length, 32)
  assert.equal((await code.do('Decrypt', { id: 'other', ...ask })).code, 'InvalidArgument')
  const own = { ...ask, keyId: 'other/etcd:v1' }
  assert.equal((await code.do('Decrypt', { id: 'other', ...own })).code, 'InvalidArgument')
  const foreign = join(folder, 'other.yaml')
  writeFileSync(foreign, readFileSync(configFile, 'utf8').replace(endpointOf('prod'), endpointOf('other')))
  const other = await apiServer(foreign)
  assert.notEqual((await other.read(well(await server.write()))).error, '')
})

test('grpc-go: codes as documented, and every bound', async () => {
  await code.must('connect', { id: 'raw', endpoint: endpointOf('prod') })
  const status = await code.must('Status', { id: 'raw' })
  assert.deepEqual([status.version, status.healthz, status.keyId], ['v2', 'ok', 'prod/etcd:v1'])
  const encrypt = (bytes: number, more = {}) => code.do('Encrypt', { id: 'raw', data: Buffer.alloc(bytes, 1), ...more })
  const made = await encrypt(989)
  assert.deepEqual([made.error, made.data.length], ['', 1024])
  assert.equal((await code.must('Decrypt', { id: 'raw', data: made.data, keyId: made.keyId })).data.length, 989)
  assert.equal((await encrypt(990)).code, 'Unimplemented')
  assert.equal((await encrypt(0)).code, 'InvalidArgument')
  assert.equal((await encrypt(100_000)).code, 'ResourceExhausted')
  assert.equal((await encrypt(32, { uid: 'u'.repeat(257) })).code, 'InvalidArgument')
  assert.equal((await encrypt(32, { gzip: true })).code, 'Unimplemented')
  assert.equal(
    (await code.do('Decrypt', { id: 'raw', data: Buffer.alloc(80), keyId: 'prod/etcd:v1' })).code,
    'InvalidArgument',
  )
  assert.equal(
    (await code.do('Decrypt', { id: 'raw', data: made.data, keyId: 'prod/etcd:v2' })).code,
    'InvalidArgument',
  )
  assert.equal((await encrypt(32)).error, '', 'the connection has gone on')
})

test('rotation: the API server moves to the new version by itself, and the old one decrypts on', async () => {
  const server = await apiServer()
  const old = well(await server.write())
  await ekm.cli('key', 'rotate', 'prod/etcd')
  await until(
    async () => (await server.health()) === '' && (await inClear(well(await server.write()))).keyId === 'prod/etcd:v2',
  )
  const stale = await server.read(old)
  assert.deepEqual([stale.error, stale.stale], ['', true])
  const fresh = await apiServer()
  assert.deepEqual(well(await fresh.read(old)), SECRET)
  const again = well(await fresh.write())
  assert.equal((await inClear(again)).keyId, 'prod/etcd:v2')
  assert.equal((await server.read(again)).stale, false)
})

for (const target of [['prod/etcd'], ['--tenant', 'prod'], ['--all']]) {
  test(`revoke ${target.join(' ')}: nothing is decrypted or encrypted from then on, and Status says so; restored, everything is`, async () => {
    await code.must('connect', { id: 'raw', endpoint: endpointOf('prod') })
    const stored = well(await (await apiServer()).write())
    const { keyId, data } = await inClear(stored)
    await ekm.cli('revoke', ...target)
    for (let n = 0; n < 20; n++)
      assert.equal((await code.do('Decrypt', { id: 'raw', data, keyId })).code, 'FailedPrecondition')
    assert.equal((await code.do('Encrypt', { id: 'raw', data: Buffer.alloc(32) })).code, 'FailedPrecondition')
    const server = await apiServer()
    assert.match(await server.health(), /the owner has revoked the key/)
    assert.notEqual((await server.read(stored)).error, '')
    assert.notEqual((await server.write()).error, '')
    await ekm.cli('restore', ...target)
    await until(async () => (await server.health()) === '')
    assert.deepEqual(well(await server.read(stored)), SECRET)
    await server.stop()
  })
}

test('revoked under a running API server: it reads what it has in memory, and ends its writes after 3 minutes', async () => {
  const running = await apiServer()
  const stored = well(await running.write())
  await ekm.cli('revoke', 'prod/etcd')
  await until(async () => (await running.health()) !== '')
  // What the API server holds in memory is not ours to take.
  assert.deepEqual(well(await running.read(stored)), SECRET)
  await code.must('clock', { provider: 'holdfast', aheadMs: 181_000 })
  assert.match((await running.write()).error, /expired/)
  await code.must('clock', { provider: 'holdfast', aheadMs: 0 })
  await ekm.cli('restore', 'prod/etcd')
  await until(async () => (await running.health()) === '')
  well(await running.write())
})

test('the front end killed, and the key manager stopped and started: the API server finds it again', async () => {
  const running = await apiServer()
  const stored = well(await running.write())
  process.kill(ekm.children().frontEnd, 'SIGKILL')
  const second = await apiServer()
  await until(async () => (await second.health()) === '')
  assert.deepEqual(well(await second.read(stored)), SECRET)
  assert.equal(await ekm.stop(), 0)
  assert.equal(statSync(socketOf('prod'), { throwIfNoEntry: false }), undefined)
  assert.deepEqual(well(await running.read(stored)), SECRET)
  await until(async () => (await running.health()) !== '')
  ekm = await start()
  await until(async () => (await running.health()) === '')
  const third = await apiServer()
  assert.deepEqual(well(await third.read(stored)), SECRET)
  assert.equal((await inClear(well(await third.write()))).keyId, (await inClear(stored)).keyId)
})
