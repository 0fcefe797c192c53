/**
 * `holdfast ekm kubernetes-plugin` between the code of kube-apiserver and a `holdfast ekm` elsewhere, all three as processes of their own; and that key
 * manager's door over mutual TLS, tried with grpc-go and every certificate that it must not serve.
 */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { ApiServerCode } from '../support/apiserver.ts'
import { type CertificateFiles, TestAuthority } from '../support/certificates.ts'
import { type Ekm, holdfast, PATIENT, ROOT, startEkm } from '../support/ekm.ts'
import { freePort } from '../support/kms.ts'

const folder = mkdtempSync(join(tmpdir(), 'holdfast-kubernetes-plugin-'))
const NODE = 'node-1.prod.example'
const clients: Record<string, CertificateFiles> = {}
const socket = join(folder, 'kms.sock')
const SECRET = Buffer.from('a secret of the cluster, in no other form than this')

let ekm: Ekm<{ data: string; kubernetes: string }>
let code: ApiServerCode
let port: number
let owner: TestAuthority

const start = () => startEkm<typeof ekm.line>(['--config', join(folder, 'ekm.yaml')])

before(async () => {
  owner = await TestAuthority.make(folder, 'owner')
  const nodes = await TestAuthority.make(folder, 'nodes')
  const stranger = await TestAuthority.make(folder, 'stranger')
  const server = await owner.issue('server', { commonName: 'ekm', ipAddresses: ['127.0.0.1'], use: 'server' })
  const use = 'client'
  clients.node = await nodes.issue('node', { commonName: NODE, use })
  clients.other = await nodes.issue('other', { commonName: 'node', dnsNames: ['node-1.other.example'], use })
  clients.nobody = await nodes.issue('nobody', { commonName: `${NODE}.example.com`, use })
  clients['of another use'] = await nodes.issue('server-use', { commonName: NODE, use: 'server' })
  clients['of another root'] = await stranger.issue('stranger-node', { commonName: NODE, use })
  clients['that has expired'] = await nodes.issue('expired', {
    commonName: NODE,
    use,
    notAfter: new Date(Date.now() - 3_600_000),
  })
  port = await freePort()
  writeFileSync(
    join(folder, 'ekm.yaml'),
    JSON.stringify({
      data: join(folder, 'data'),
      listen: { port: 0 },
      kubernetes: { listen: { port, tls: { ...server, clients: { caFile: nodes.caFile } } } },
      load: PATIENT,
      boundary: { root: { kind: 'keyfile', file: join(folder, 'root.key') } },
    }),
  )
  ekm = await start()
  await ekm.cli('tenant', 'create', 'prod', '--client', NODE)
  await ekm.cli('tenant', 'create', 'other', '--client', 'node-1.other.example')
  await ekm.cli('tenant', 'create', 'open')
  for (const tenant of ['prod', 'other', 'open']) await ekm.cli('key', 'create', 'etcd', '--tenant', tenant)
  writeFileSync(
    join(folder, 'encryption.yaml'),
    JSON.stringify({
      apiVersion: 'apiserver.config.k8s.io/v1',
      kind: 'EncryptionConfiguration',
      resources: [
        {
          resources: ['secrets'],
          providers: [{ kms: { apiVersion: 'v2', name: 'remote', endpoint: `unix://${socket}`, timeout: '3s' } }],
        },
      ],
    }),
  )
  code = new ApiServerCode()
})

const plugins: ChildProcess[] = []
after(async () => {
  code?.end()
  for (const each of plugins) each.kill('SIGTERM')
  await ekm?.stop()
  rmSync(folder, { recursive: true, force: true })
})

interface PluginProcess {
  readonly line: { readonly endpoint: string; readonly pid: number }
  stop(): Promise<number | null>
}

/** With flags, as it is typed on a node. */
async function startPlugin(tenant = 'prod', by = clients.node): Promise<PluginProcess> {
  assert.ok(by)
  const flags = {
    socket,
    ekm: `127.0.0.1:${port}`,
    ca: owner.caFile,
    certificate: by.certificateFile,
    'key-file': by.keyFile,
    tenant,
    key: 'etcd',
  }
  const args = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, value])
  const child = spawn(join(ROOT, 'bin', 'holdfast'), ['ekm', 'kubernetes-plugin', ...args], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  plugins.push(child)
  const line = await new Promise<string>((ready, failed) => {
    createInterface({ input: child.stdout as NodeJS.ReadableStream }).once('line', ready)
    child.once('exit', status => failed(new Error(`the plugin ended with ${status}`)))
  })
  const ended = new Promise<number | null>(done => child.once('exit', done))
  return {
    line: JSON.parse(line) as PluginProcess['line'],
    stop: () => {
      child.kill('SIGTERM')
      return ended
    },
  }
}

let servers = 0
async function apiServer() {
  const id = `api-${++servers}`
  const path = '/registry/secrets/default/token'
  await code.must('start', { id, config: join(folder, 'encryption.yaml') })
  return {
    write: () => code.do('write', { id, data: SECRET, path }),
    read: (data: Buffer) => code.do('read', { id, data, path }),
    health: async () => (await code.do('health', { id })).error,
  }
}

async function until(what: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + 60_000
  while (!(await what())) {
    assert.ok(Date.now() < end, 'it does not come')
    await delay(200)
  }
}

test('through the plugin, with the key elsewhere: away, back, revoked, and stopped without a trace', async () => {
  const plugin = await startPlugin()
  assert.equal(plugin.line.endpoint, `unix://${socket}`)
  assert.equal(statSync(socket).mode & 0o777, 0o600)
  const running = await apiServer()
  assert.equal(await running.health(), '')
  const written = await running.write()
  assert.equal(written.error, '')
  const { keyId, data } = await code.must('stored', { data: written.data, provider: 'remote' })
  assert.equal(keyId, 'prod/etcd:v1')
  const fresh = await apiServer()
  assert.deepEqual((await fresh.read(written.data)).data, SECRET)

  await ekm.cli('revoke', 'prod/etcd')
  const refused = await apiServer()
  assert.match(await refused.health(), /the owner has revoked the key/)
  assert.notEqual((await refused.read(written.data)).error, '')
  await ekm.cli('restore', 'prod/etcd')

  await ekm.stop()
  await code.must('connect', { id: 'plugin', endpoint: `unix://${socket}` })
  const away = await code.must('Status', { id: 'plugin' })
  assert.equal(away.keyId, keyId)
  assert.match(away.healthz, /^(UNAVAILABLE|DEADLINE_EXCEEDED): /)
  const begun = performance.now()
  const lost = await code.do('Decrypt', { id: 'plugin', data, keyId })
  assert.equal(lost.code, 'Unavailable', 'the plugin’s own answer, and not the API server’s deadline')
  assert.ok(performance.now() - begun < 3000)
  assert.deepEqual((await running.read(written.data)).data, SECRET)
  ekm = await start()
  await until(async () => (await code.do('Status', { id: 'plugin' })).healthz === 'ok')
  assert.equal((await code.must('Decrypt', { id: 'plugin', data, keyId })).data.length, 32)
  await until(async () => (await refused.health()) === '')
  assert.deepEqual((await refused.read(written.data)).data, SECRET)

  await ekm.cli('key', 'rotate', 'prod/etcd')
  assert.equal((await code.must('Status', { id: 'plugin' })).keyId, 'prod/etcd:v2')
  const rotated = await apiServer()
  const again = await rotated.write()
  assert.equal((await code.must('stored', { data: again.data, provider: 'remote' })).keyId, 'prod/etcd:v2')
  assert.deepEqual((await rotated.read(written.data)).data, SECRET)

  assert.equal(await plugin.stop(), 0)
  assert.equal(statSync(socket, { throwIfNoEntry: false }), undefined)
})

test('the record says which node asked, from where, and that its names were verified', async () => {
  const { stdout } = await holdfast(['log', 'show', ekm.data, '--operation', 'kubernetes:decrypt', '--json'])
  const record = stdout.split('\n').find(line => line.includes('"allowed"')) ?? ''
  for (const part of [NODE, '127.0.0.1', 'prod/etcd']) assert.ok(record.includes(part), `${part} in ${record}`)
})

test('a certificate that is taken from a tenant is refused from the next call on; the plugin says why', async () => {
  const plugin = await startPlugin()
  await code.must('connect', { id: 'plugin', endpoint: `unix://${socket}` })
  assert.equal((await code.must('Status', { id: 'plugin' })).healthz, 'ok')
  await ekm.cli('tenant', 'set-clients', 'prod', 'node-2.prod.example')
  assert.match((await code.must('Status', { id: 'plugin' })).healthz, /^UNAUTHENTICATED: .*set-clients/)
  assert.equal((await code.do('Encrypt', { id: 'plugin', data: Buffer.alloc(32) })).code, 'Unauthenticated')
  await ekm.cli('tenant', 'set-clients', 'prod', NODE)
  assert.equal((await code.must('Status', { id: 'plugin' })).healthz, 'ok')
  await plugin.stop()
})

/** Straight to the door, by grpc-go. */
async function direct(by: string | undefined, tenant: string | undefined, key = 'etcd') {
  const files = by === undefined ? undefined : clients[by]
  await code.must('connect', {
    id: 'direct',
    endpoint: `127.0.0.1:${port}`,
    ca: owner.caFile,
    ...(files === undefined ? {} : { certificate: files.certificateFile, keyFile: files.keyFile }),
  })
  const metadata = tenant === undefined ? {} : { 'holdfast-tenant': tenant, 'holdfast-key': key }
  return (await code.do('Status', { id: 'direct', metadata })).code
}

test('each tenant’s certificates, and no others', async () => {
  assert.equal(await direct('node', 'prod'), '')
  assert.equal(await direct('other', 'other'), '')
  for (const [by, tenant] of [
    ['node', 'other'],
    ['other', 'prod'],
    ['nobody', 'prod'],
    ['node', 'open'],
    ['node', 'none'],
    ['node', undefined],
  ] as const)
    assert.equal(await direct(by, tenant), 'Unauthenticated', `${by} for ${tenant}`)
  assert.equal(await direct('node', 'prod', 'none'), 'NotFound')
})

for (const by of [undefined, 'of another use', 'of another root', 'that has expired'])
  test(`no answer at all for ${by === undefined ? 'no certificate' : `a certificate ${by}`}`, async () => {
    assert.equal(await direct(by, 'prod'), 'Unavailable')
  })

test('wrong flags and a wrong configuration are told, and nothing is served', async () => {
  const flags = await holdfast(['ekm', 'kubernetes-plugin', '--socket', 'kms.sock', '--ekm', 'nowhere'])
  assert.equal(flags.code, 78)
  for (const path of ['socket.path: must be an absolute path', 'ekm.host: missing', 'tenant: missing'])
    assert.ok(flags.stderr.includes(path), `${path} in ${flags.stderr}`)
  const file = join(folder, 'wrong.yaml')
  writeFileSync(file, 'socket: { path: /run/x.sock, mode: 0777 }\n')
  const { code: exit, stderr } = await holdfast(['ekm', 'kubernetes-plugin', '--config', file])
  assert.equal(exit, 78)
  assert.match(stderr, /socket\.mode: unknown/)
})
