import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { request as httpsRequest } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import tls, { type ConnectionOptions, type TLSSocket } from 'node:tls'
import { type Authority, type CertificateRequest, makeAuthority, writePem } from './certificates.ts'
import { startListener } from './listener.ts'
import { alternativeNames, readPeer } from './peer.ts'
import type { HttpRequest, Listener, ListenerTls } from './types.ts'

const folder = mkdtempSync(join(tmpdir(), 'holdfast-tls-'))
const listeners: Listener[] = []
let servers: Authority
let clients: Authority
let others: Authority

before(async () => {
  ;[servers, clients, others] = await Promise.all([
    makeAuthority('servers', 1),
    makeAuthority('clients', 1),
    makeAuthority('others', 1),
  ])
})
after(async () => {
  for (const listener of listeners) await listener.close({ deadlineMs: 0 })
  rmSync(folder, { recursive: true })
})

const CN = 'cks.kms.eu-west-1.amazonaws.com'
const AWS: CertificateRequest = { commonName: CN, use: 'client' }
let count = 0

async function start(more: { clients?: { subjects: string[] }; profile?: 'aws-api' | 'xks' } = {}) {
  const name = join(folder, `${++count}`)
  const files = { certificateFile: `${name}.pem`, keyFile: `${name}.key`, caFile: `${name}.ca` }
  await writeServer(files)
  writePem(files.caFile, clients.certificate)
  const { certificateFile, keyFile, caFile } = files
  const settings: ListenerTls = {
    profile: more.profile ?? 'xks',
    certificateFile,
    keyFile,
    ...(more.clients ? { clients: { caFile, ...more.clients } } : {}),
  }
  const seen: HttpRequest[] = []
  const refused: string[] = []
  const reloads: (Error | undefined)[] = []
  const listener = await startListener({
    name: 'test',
    host: '127.0.0.1',
    port: 0,
    tls: settings,
    errors: kind => ({ status: 400, headers: {}, body: kind }),
    onUnauthenticated: reason => refused.push(reason),
    onReload: error => reloads.push(error),
    handler: request => {
      seen.push(request)
      return { status: 200, headers: {}, body: 'ok' }
    },
  })
  listeners.push(listener)
  return { listener, seen, refused, reloads, ...files }
}

async function writeServer({ certificateFile, keyFile }: { certificateFile: string; keyFile: string }) {
  const { certificate, key } = await servers.issue({
    commonName: 's',
    dnsNames: ['localhost'],
    ipAddresses: ['127.0.0.1'],
    use: 'server',
  })
  writePem(certificateFile, certificate)
  writePem(keyFile, key)
}

async function client(authority: Authority, request: CertificateRequest): Promise<{ cert: string; key: string }> {
  const { certificate, key } = await authority.issue(request)
  return { cert: certificate, key }
}

/** A kept-alive connection on which requests can be asked one after another. */
async function open(port: number, options: ConnectionOptions = {}): Promise<TLSSocket> {
  const socket = tls.connect({ host: '127.0.0.1', port, ca: servers.certificate, ...options })
  await once(socket, 'secureConnect')
  return socket
}
async function ask(socket: TLSSocket): Promise<string> {
  if (socket.destroyed || socket.readableEnded) return 'ended'
  const { promise, resolve } = Promise.withResolvers<string>()
  const onData = (chunk: Buffer) => resolve(chunk.toString())
  const onEnd = () => resolve('ended')
  socket.once('data', onData).once('close', onEnd).once('error', onEnd)
  socket.write('GET / HTTP/1.1\r\nHost: h\r\n\r\n')
  const answer = await promise
  socket.off('data', onData).off('close', onEnd).off('error', onEnd)
  return answer.slice(-2) === 'ok' ? 'ok' : answer
}
async function once_(port: number, options: ConnectionOptions = {}): Promise<string> {
  const socket = tls.connect({ host: '127.0.0.1', port, ca: servers.certificate, ...options })
  try {
    await once(socket, 'secureConnect')
    return await ask(socket)
  } catch {
    return 'ended'
  } finally {
    socket.destroy()
  }
}

describe('TLS', () => {
  it('speaks 1.2 and 1.3 with the suites of its profile, and nothing weaker', async () => {
    const { listener, refused } = await start({ profile: 'xks' })
    const { port } = listener
    for (const [options, suite] of [
      [{}, /^TLS_AES_256_GCM_SHA384$/],
      [{ maxVersion: 'TLSv1.2' }, /^ECDHE-ECDSA-AES256-GCM-SHA384$/],
    ] as const) {
      const socket = await open(port, options)
      assert.match(socket.getCipher().name, suite)
      assert.equal(await ask(socket), 'ok')
      socket.destroy()
    }
    const weak: ConnectionOptions[] = [
      { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' },
      { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES256-SHA:@SECLEVEL=0' },
      { minVersion: 'TLSv1.3', ciphers: 'TLS_AES_128_GCM_SHA256' },
      { maxVersion: 'TLSv1.1', minVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' },
    ]
    for (const options of weak) assert.equal(await once_(port, options), 'ended')
    assert.equal(refused.length, weak.length)
    assert.ok(refused.every(reason => reason === 'TlsHandshake'))
    const aws = await start({ profile: 'aws-api' })
    assert.equal(
      await once_(aws.listener.port, { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' }),
      'ok',
    )
    assert.match(aws.listener.url, /^https:/)
  })

  it('reads its certificate again without ending a connection, and keeps the old one where the new one is no good', async () => {
    const started = await start()
    const { listener, reloads, certificateFile } = started
    const old = await open(listener.port)
    const before = old.getPeerX509Certificate()?.fingerprint256
    await writeServer(started)
    await listener.reload()
    assert.equal(await ask(old), 'ok')
    const renewed = await open(listener.port)
    const now = renewed.getPeerX509Certificate()?.fingerprint256
    assert.notEqual(now, before)
    writePem(certificateFile, 'not a certificate')
    await assert.rejects(listener.reload())
    const kept = await open(listener.port)
    assert.equal(kept.getPeerX509Certificate()?.fingerprint256, now)
    assert.deepEqual(
      reloads.map(error => error === undefined),
      [true, false],
    )
    await writeServer(started)
    process.emit('SIGHUP', 'SIGHUP')
    assert.equal(reloads.length, 3)
    for (const socket of [old, renewed, kept]) socket.destroy()
  })

  it('a missing file, or a root file without roots, stops the start', async () => {
    const { certificateFile, keyFile } = await start()
    const base = {
      name: 't',
      host: '127.0.0.1',
      port: 0,
      handler: () => ({ status: 200, headers: {}, body: '' }),
      errors: () => ({ status: 400, headers: {}, body: '' }),
    }
    await assert.rejects(
      startListener({ ...base, tls: { profile: 'xks', certificateFile: join(folder, 'none'), keyFile } }),
      /ENOENT/,
    )
    const tlsOptions = { profile: 'xks' as const, certificateFile, keyFile, clients: { caFile: keyFile, subjects: [] } }
    await assert.rejects(startListener({ ...base, tls: tlsOptions }), /holds no certificate/)
  })
})

describe('promise 5: denied unless allowed, for client certificates', () => {
  it('admits the configured names under the configured root, and says who it was', async () => {
    const { listener, seen } = await start({ clients: { subjects: [CN, 'alt.example', 'spiffe://x/kms'] } })
    const right: CertificateRequest[] = [
      AWS,
      { commonName: 'x', dnsNames: ['other.example', 'alt.example'], use: 'client' },
      { commonName: 'x', uris: ['spiffe://x/kms'], use: 'client' },
    ]
    for (const request of right) assert.equal(await once_(listener.port, await client(clients, request)), 'ok')
    assert.equal(seen[0]?.peer?.commonName, CN)
    assert.deepEqual(seen[1]?.peer?.dnsNames, ['other.example', 'alt.example'])
    assert.deepEqual(seen[2]?.peer?.uris, ['spiffe://x/kms'])
    assert.match(seen[0]?.peer?.fingerprint ?? '', /^[0-9a-f]{64}$/)
    const any = await start({ clients: { subjects: [] } })
    assert.equal(await once_(any.listener.port, await client(clients, { commonName: 'anyone', use: 'client' })), 'ok')
  })

  it('and nobody else', async () => {
    const { listener, seen, refused } = await start({ clients: { subjects: [CN] } })
    const wrong: [Authority, CertificateRequest][] = [
      [others, AWS],
      [servers, AWS],
      [clients, { ...AWS, use: 'server' }],
      [clients, { commonName: `${CN}.evil.example`, use: 'client' }],
      [clients, { commonName: CN.toUpperCase(), use: 'client' }],
      [clients, { commonName: 'x', dnsNames: [`x.${CN}`], use: 'client' }],
      [clients, { commonName: 'x', uris: [`http://a, DNS:${CN}, URI:http://b`], use: 'client' }],
      [clients, { commonName: 'x', uris: [`http://a\nCN=${CN}`], use: 'client' }],
    ]
    for (const [authority, request] of wrong) {
      assert.equal(await once_(listener.port, await client(authority, request)), 'ended', JSON.stringify(request))
    }
    assert.equal(await once_(listener.port), 'ended')
    assert.deepEqual(seen, [])
    assert.equal(refused.length, wrong.length + 1)
  })

  it('again on every request: new roots end the connections and the sessions of the old ones', async () => {
    const { listener, caFile, refused } = await start({ clients: { subjects: [CN] } })
    const { port } = listener
    const old = await client(clients, AWS)
    let session: Buffer | undefined
    const first = await open(port, old)
    first.on('session', made => {
      session = made
    })
    assert.equal(await ask(first), 'ok')
    while (session === undefined) await once(first, 'session')
    const resumed = await open(port, { ...old, session })
    assert.ok(resumed.isSessionReused())
    assert.equal(await ask(resumed), 'ok', 'a resumed session is checked like any other')
    const idle = await open(port, old)
    writePem(caFile, others.certificate)
    await listener.reload()
    for (const socket of [first, resumed, idle]) assert.equal(await ask(socket), 'ended')
    assert.equal(await once_(port, { ...old, session }), 'ended')
    assert.equal(await once_(port, await client(others, AWS)), 'ok')
    assert.ok(refused.includes('TlsHandshake'))
    for (const socket of [first, resumed, idle]) socket.destroy()
  })

  it('a certificate that has run out is refused on its open connection', async t => {
    const { listener } = await start({ clients: { subjects: [CN] } })
    const socket = await open(listener.port, await client(clients, AWS))
    assert.equal(await ask(socket), 'ok')
    t.mock.timers.enable({ apis: ['Date'], now: Date.now() + 3 * 86_400_000 })
    assert.equal(await ask(socket), 'ended')
    socket.destroy()
  })

  it('names are read one way only', async () => {
    assert.deepEqual(alternativeNames('DNS:a, URI:"b, DNS:c", IP Address:1.2.3.4'), [
      { type: 'DNS', value: 'a' },
      { type: 'URI', value: 'b, DNS:c' },
      { type: 'IP Address', value: '1.2.3.4' },
    ])
    assert.deepEqual(alternativeNames(''), [])
    for (const text of ['DNS:"a', 'DNS:"a"b', 'DNS', 'DNS:a,DNS:b', 'DNS:"\\x"'])
      assert.equal(alternativeNames(text), undefined, text)
    const server = await servers.issue({ commonName: CN, use: 'server' })
    assert.equal(readPeer(new X509Certificate(server.certificate), []), undefined)
  })
})

it('files with keys are closed to others, and requests over node:https are served', async () => {
  const { listener, keyFile } = await start()
  assert.equal(statSync(keyFile).mode & 0o777, 0o600)
  const status = await new Promise((resolve, reject) => {
    const sent = httpsRequest({ host: '127.0.0.1', port: listener.port, ca: servers.certificate }, response => {
      response.resume()
      resolve(response.statusCode)
    })
    sent.on('error', reject).end()
  })
  assert.equal(status, 200)
})
