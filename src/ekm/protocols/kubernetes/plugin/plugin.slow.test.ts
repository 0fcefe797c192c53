/** The plugin and the client in it, against the key manager's own TLS door, in one process. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import http2 from 'node:http2'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { after, before } from 'node:test'
import { pluginConfig } from '../../../../config/kubernetes-plugin.ts'
import { parseConfig } from '../../../../config/load.ts'
import { type Authority, type Issued, makeAuthority } from '../../../../http/certificates.ts'
import { DEFAULT_LIMITS } from '../../../../http/types.ts'
import { frame, readMessage, unframe } from '../grpc/frames.ts'
import { GrpcServer, type UnaryCall, type UnaryReply } from '../grpc/server.ts'
import { listenTls, type TlsDoor } from '../grpc/tls.ts'
import { type ConnectionPeer, KEY_HEADER, TENANT_HEADER } from '../handler.ts'
import { MAX_MESSAGE, type Method, methodAt, pathOf, STATUS_RESPONSE } from '../messages.ts'
import { decode, encode } from '../protobuf.ts'
import { setup, TENANT } from '../testing.ts'
import { startPlugin } from './plugin.ts'

const folder = mkdtempSync(join(tmpdir(), 'holdfast-plugin-'))
after(() => rmSync(folder, { recursive: true, force: true }))
const file = (name: string): string => join(folder, name)

let authority: Authority
const put = (name: string, { certificate, key }: Issued): void => {
  writeFileSync(file(`${name}.pem`), certificate)
  writeFileSync(file(`${name}.key`), key, { mode: 0o600 })
}
const newNode = async (commonName: string) => put('node', await authority.issue({ commonName, use: 'client' }))

before(async () => {
  authority = await makeAuthority('owner', 1)
  writeFileSync(file('ca.pem'), authority.certificate)
  put('server', await authority.issue({ commonName: 'ekm', dnsNames: ['ekm.example'], use: 'server' }))
  await newNode('node.example')
})

type Handle = (call: UnaryCall<ConnectionPeer>) => Promise<UnaryReply>

/** The key manager's side on a port, which can be stopped and started again on the same one. */
async function owner(handle: Handle, port = 0) {
  const refused: string[] = []
  const server = new GrpcServer<ConnectionPeer>({
    limits: DEFAULT_LIMITS,
    maxMessage: MAX_MESSAGE,
    has: path => methodAt(path) !== undefined,
    handle,
    onRefused: reason => void refused.push(reason),
    onDefect: error => assert.fail(String(error)),
  })
  writeFileSync(file('clients-ca.pem'), authority.certificate)
  const clients = { caFile: file('clients-ca.pem'), subjects: [] }
  const door: TlsDoor = await listenTls({
    host: '127.0.0.1',
    port,
    tls: { profile: 'xks', certificateFile: file('server.pem'), keyFile: file('server.key'), clients },
    limits: DEFAULT_LIMITS,
    accept: (socket, address, identify) =>
      server.accept(socket, address, () => {
        const peer = identify()
        return peer && { kind: 'certificate', peer }
      }),
    onRefused: reason => void refused.push(reason),
    onReload: () => {},
  })
  const stop = async () => {
    door.close()
    await server.close({ deadlineMs: 0 })
  }
  return { port: Number(new URL(door.url).port), stop, refused }
}

let sockets = 0
async function plugin(t: { after: (fn: () => unknown) => void }, port: number, more: object = {}) {
  const path = file(`${++sockets}.sock`)
  const ekm = {
    host: '127.0.0.1',
    serverName: 'ekm.example',
    port,
    caFile: file('ca.pem'),
    certificateFile: file('node.pem'),
    keyFile: file('node.key'),
  }
  const config = parseConfig(pluginConfig, {
    socket: { path },
    ekm,
    tenant: TENANT,
    key: 'etcd',
    deadlineMs: 1500,
    ...more,
  })
  const lines: string[] = []
  const running = await startPlugin(config, (_level, message) => void lines.push(message))
  assert.equal(running.endpoint, `unix://${path}`)
  t.after(() => running.close())
  const call = (
    method: Method,
    message: Buffer = Buffer.alloc(0),
  ): Promise<{ status: string; text: string; message: Buffer }> =>
    new Promise((resolve, reject) => {
      const session = http2.connect('http://localhost', { createConnection: () => connect(path) })
      const stream = session.request({ ':method': 'POST', ':path': pathOf(method), 'content-type': 'application/grpc' })
      let got: Record<string, unknown> = {}
      const chunks: Buffer[] = []
      for (const event of ['response', 'trailers'] as const)
        stream.on(event, (headers: object) => {
          got = { ...got, ...headers }
        })
      stream.on('data', (chunk: Buffer) => chunks.push(chunk))
      stream.on('error', reject)
      stream.on('close', () => {
        session.close()
        const message = chunks.length === 0 ? Buffer.alloc(0) : unframe(Buffer.concat(chunks))
        resolve({ status: String(got['grpc-status']), text: readMessage(got['grpc-message']), message })
      })
      stream.end(frame(message))
    })
  const status = async () => {
    const { status: code, message, text } = await call('Status')
    assert.equal(code, '0', text)
    return decode(STATUS_RESPONSE, message)
  }
  return { call, status, lines }
}

test('every call reaches the key manager with the names of the configuration, and comes back as it was answered', async t => {
  const world = setup()
  const headers: (string | string[] | undefined)[] = []
  const there = await owner(async call => {
    headers.push(call.headers[TENANT_HEADER], call.headers[KEY_HEADER])
    const { peer, path, body, timeoutMs } = call
    return world.send({
      peer,
      headers: call.headers as Record<string, string>,
      body,
      method: methodAt(path) ?? 'Status',
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
    })
  })
  t.after(there.stop)
  const { status, call } = await plugin(t, there.port)
  assert.deepEqual(await status(), { version: 'v2', healthz: 'ok', key_id: 'clusters/prod/etcd:v1' })
  assert.deepEqual(headers, [TENANT, 'etcd'])
  const refused = await call('Encrypt')
  assert.deepEqual([refused.status, refused.text], ['3', 'plaintext is empty.'])
})

test('the key manager away: not well, under the key_id that it last named; back: well again, on a connection of its own making', async t => {
  const world = setup()
  const handle: Handle = ({ peer, headers, body, path }) =>
    world.send({ peer, headers: headers as Record<string, string>, body, method: methodAt(path) ?? 'Status' })
  const there = await owner(handle)
  const { status, call, lines } = await plugin(t, there.port, { deadlineMs: 300 })
  assert.equal((await status()).healthz, 'ok')
  await there.stop()
  const away = await status()
  assert.equal(away.key_id, 'clusters/prod/etcd:v1')
  assert.match(away.healthz, /^(UNAVAILABLE|DEADLINE_EXCEEDED): /)
  assert.notEqual((await call('Encrypt')).status, '0')
  const again = await owner(handle, there.port)
  t.after(again.stop)
  assert.deepEqual(await status(), { version: 'v2', healthz: 'ok', key_id: 'clusters/prod/etcd:v1' })
  assert.deepEqual(lines, [
    'connected to the key manager',
    'the key manager cannot be reached',
    'connected to the key manager',
  ])
})

test('a call waits for a key manager that is just being started', async t => {
  const world = setup()
  const first = await owner(async () => ({ status: 'UNAVAILABLE', text: 'nobody asks this one' }))
  await first.stop()
  const { status } = await plugin(t, first.port)
  const asked = status()
  const there = await owner(
    ({ peer, headers, body }) => world.send({ peer, headers: headers as Record<string, string>, body }),
    first.port,
  )
  t.after(there.stop)
  assert.equal((await asked).healthz, 'ok')
})

test('never known, there is no key_id to give: an error, not an answer', async t => {
  const first = await owner(async () => ({ status: 'PERMISSION_DENIED', text: 'no' }))
  t.after(first.stop)
  const { call } = await plugin(t, first.port)
  assert.deepEqual(await call('Status'), { status: '7', text: 'no', message: Buffer.alloc(0) })
})

test('an older version of the key does not make the API server rotate back', async t => {
  let version = 2
  const there = await owner(async () => ({
    status: 'OK',
    message: encode(STATUS_RESPONSE, { version: 'v2', healthz: 'ok', key_id: `a/b:v${version}` }),
  }))
  t.after(there.stop)
  const { status } = await plugin(t, there.port)
  assert.deepEqual(await status(), { version: 'v2', healthz: 'ok', key_id: 'a/b:v2' })
  version = 1
  const old = await status()
  assert.equal(old.key_id, 'a/b:v2')
  assert.match(old.healthz, /older version/)
  version = 3
  assert.deepEqual(await status(), { version: 'v2', healthz: 'ok', key_id: 'a/b:v3' })
})

test('a certificate that is replaced is used from the next connection on, and calls go on', async t => {
  const names: string[] = []
  const there = await owner(async ({ peer }) => {
    names.push(peer.kind === 'certificate' ? peer.peer.commonName : '')
    return { status: 'OK', message: encode(STATUS_RESPONSE, { version: 'v2', healthz: 'ok', key_id: 'a/b:v1' }) }
  })
  t.after(there.stop)
  const { status } = await plugin(t, there.port)
  await status()
  await newNode('second.example')
  process.emit('SIGHUP')
  await status()
  assert.deepEqual(names, ['node.example', 'second.example'])
  await newNode('node.example')
})

test('roots for clients that are replaced are in force at once, for connections that are open too', async t => {
  const there = await owner(async () => ({
    status: 'OK',
    message: encode(STATUS_RESPONSE, { version: 'v2', healthz: 'ok', key_id: 'a/b:v1' }),
  }))
  t.after(there.stop)
  const { status } = await plugin(t, there.port, { deadlineMs: 300 })
  assert.equal((await status()).healthz, 'ok')
  const stranger = await makeAuthority('stranger', 1)
  writeFileSync(file('clients-ca.pem'), stranger.certificate)
  process.emit('SIGHUP')
  assert.notEqual((await status()).healthz, 'ok')
  writeFileSync(file('clients-ca.pem'), authority.certificate)
  process.emit('SIGHUP')
  assert.equal((await status()).healthz, 'ok')
})

test('nobody without a certificate of the root, and no other server than the one that is named', async t => {
  const there = await owner(async () => assert.fail('served'))
  t.after(there.stop)
  const stranger = await makeAuthority('stranger', 1)
  writeFileSync(file('stranger-ca.pem'), stranger.certificate)
  put('stranger', await stranger.issue({ commonName: 'node.example', use: 'client' }))
  const ekm = { host: '127.0.0.1', serverName: 'ekm.example', port: there.port, caFile: file('ca.pem') }
  const cases = [
    { ...ekm, certificateFile: file('stranger.pem'), keyFile: file('stranger.key') },
    { ...ekm, certificateFile: file('node.pem'), keyFile: file('node.key'), serverName: 'other.example' },
    { ...ekm, certificateFile: file('node.pem'), keyFile: file('node.key'), caFile: file('stranger-ca.pem') },
  ]
  for (const each of cases) {
    const { call } = await plugin(t, there.port, { ekm: each, deadlineMs: 300 })
    const { status } = await call('Status')
    assert.ok(['4', '14'].includes(status), status)
  }
  assert.ok(there.refused.includes('TlsHandshake'))
})
