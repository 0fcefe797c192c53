/**
 * Mutual TLS of the XKS proxy: from a configuration file, with root and subject names as configured, and tenants bound to certificates. A client
 * that is not admitted gets no HTTP at all.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import https from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import tls from 'node:tls'
import { type CertificateFiles, TestAuthority } from './support/certificates.ts'
import { type Ekm, PATIENT, startEkm } from './support/ekm.ts'
import { freePort } from './support/kms.ts'
import { answered, refused } from './support/xks-behaviours.ts'
import { CurlClient, encryptBody, SignerClient, type XksTarget } from './support/xks-clients.ts'

const EU = 'cks.kms.eu-west-1.amazonaws.com'
const US = 'cks.kms.us-east-1.amazonaws.com'
const folder = mkdtempSync(join(tmpdir(), 'holdfast-mtls-'))
const PLAINTEXT = Buffer.from('plaintext')

let ekm: Ekm<{ data: string; endpoint: string }>
let target: XksTarget
let pingPort: number
const clients: Record<string, CertificateFiles> = {}

before(async () => {
  const [owner, provider, stranger] = await Promise.all(
    ['owner', 'provider', 'stranger'].map(name => TestAuthority.make(folder, name)),
  )
  assert.ok(owner && provider && stranger)
  const server = await owner.issue('server', { commonName: 'proxy', ipAddresses: ['127.0.0.1'], use: 'server' })
  clients.eu = await provider.issue('eu', { commonName: EU, use: 'client' })
  clients.us = await provider.issue('us', { commonName: 'kms', dnsNames: [US], use: 'client' })
  clients.wrongName = await provider.issue('wrong-name', { commonName: `${EU}.example.com`, use: 'client' })
  clients.wrongUse = await provider.issue('wrong-use', { commonName: EU, use: 'server' })
  clients.wrongRoot = await stranger.issue('wrong-root', { commonName: EU, use: 'client' })
  const notAfter = new Date(Date.now() - 3_600_000)
  clients.expired = await provider.issue('expired', { commonName: EU, use: 'client', notAfter })
  pingPort = await freePort()
  const file = join(folder, 'ekm.yaml')
  writeFileSync(
    file,
    JSON.stringify({
      data: join(folder, 'data'),
      listen: {
        port: 0,
        ping: { port: pingPort },
        tls: { ...server, clients: { caFile: provider.caFile, subjects: [EU, US] } },
      },
      load: PATIENT,
      boundary: { root: { kind: 'keyfile', file: join(folder, 'root.key') } },
    }),
  )
  ekm = await startEkm(['--config', file])
  await ekm.cli('tenant', 'create', 'europe', '--client', EU)
  await ekm.cli('tenant', 'create', 'anyone')
  await ekm.cli('key', 'create', 'k', '--tenant', 'europe')
  await ekm.cli('key', 'create', 'k', '--tenant', 'anyone')
  const made = await ekm.cli<{ accessKeyId: string; secretAccessKey: string }>(
    'credential',
    'create',
    '--tenant',
    'europe',
  )
  target = { ...made, endpoint: ekm.line.endpoint, pathPrefix: 'europe', caFile: owner.caFile }
})
after(async () => {
  await ekm?.stop()
  rmSync(folder, { recursive: true, force: true })
})

const request = () => ({ path: 'keys/k/encrypt', body: encryptBody(PLAINTEXT) })
const as = (name: string | undefined, more: Partial<XksTarget> = {}): XksTarget => {
  const client = name === undefined ? undefined : clients[name]
  return { ...target, ...more, ...(client === undefined ? {} : { client }) }
}

test('right root and right subject: served, with both clients', async () => {
  const signer = new SignerClient(as('eu'))
  answered(await signer.send(request()))
  signer.close()
  answered(await new CurlClient(as('eu')).send(request()))
})

/** Node checks the client's certificate when the handshake is over, and closes the connection then: what the client sees of that is a matter of timing. */
const CLOSED = { message: /ECONNRESET|EPIPE|socket hang up|socket disconnected|alert/ }
for (const name of [undefined, 'wrongRoot', 'wrongName', 'wrongUse', 'expired']) {
  test(`no HTTP for a client with ${name ?? 'no certificate'}, whatever it has signed`, async () => {
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      const signer = new SignerClient(as(name), { minVersion: version, maxVersion: version })
      await assert.rejects(signer.send(request()), CLOSED, version)
      signer.close()
    }
    await assert.rejects(new CurlClient(as(name)).send(request()), /curl/)
  })
}

test('a tenant that is bound to a certificate refuses every other that the listener admits', async () => {
  const us = new SignerClient(as('us'))
  refused(await us.send(request()), 'AuthenticationFailedException')
  us.close()
  const made = await ekm.cli<{ accessKeyId: string; secretAccessKey: string }>(
    'credential',
    'create',
    '--tenant',
    'anyone',
  )
  const anyone = new SignerClient(as('us', { ...made, pathPrefix: 'anyone' }))
  answered(await anyone.send(request()))
  anyone.close()
})

test('a replay from another peer is refused even at once', async () => {
  const made = await ekm.cli<{ accessKeyId: string; secretAccessKey: string }>(
    'credential',
    'create',
    '--tenant',
    'anyone',
  )
  const [eu, us] = ['eu', 'us'].map(name => new SignerClient(as(name, { ...made, pathPrefix: 'anyone' })))
  assert.ok(eu && us)
  const prepared = await eu.prepare(request())
  answered(await eu.sendPrepared(prepared))
  const { agent: _, ...options } = prepared.options
  const theirs = await us.prepare(request())
  const replayed = { body: prepared.body, options: { ...options, agent: theirs.options.agent ?? false } }
  refused(await us.sendPrepared(replayed), 'AuthenticationFailedException')
  eu.close()
  us.close()
})

test('TLS: the suites that the specification demands, and nothing older than 1.2', async () => {
  const client = clients.eu
  assert.ok(client)
  const [cert, key] = [readFileSync(client.certificateFile), readFileSync(client.keyFile)]
  const { port } = new URL(target.endpoint)
  const handshake = (options: tls.ConnectionOptions): Promise<string> =>
    new Promise((done, failed) => {
      const socket = tls.connect(
        { port: Number(port), host: '127.0.0.1', rejectUnauthorized: false, cert, key, ...options },
        () => {
          done(`${socket.getProtocol()} ${socket.getCipher().standardName}`)
          socket.destroy()
        },
      )
      socket.on('error', failed)
    })
  assert.equal(await handshake({}), 'TLSv1.3 TLS_AES_256_GCM_SHA384')
  const chacha = 'TLS_CHACHA20_POLY1305_SHA256'
  assert.equal(await handshake({ ciphers: chacha, minVersion: 'TLSv1.3' }), `TLSv1.3 ${chacha}`)
  const old = { maxVersion: 'TLSv1.2' as const }
  assert.equal(await handshake(old), 'TLSv1.2 TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384')
  for (const ciphers of ['ECDHE-ECDSA-AES128-GCM-SHA256', 'ECDHE-ECDSA-AES256-SHA', 'AES256-GCM-SHA384'])
    await assert.rejects(handshake({ ...old, ciphers }), /alert/, ciphers)
  await assert.rejects(handshake({ minVersion: 'TLSv1.3', ciphers: 'TLS_AES_128_GCM_SHA256' }), /alert/)
  for (const version of ['TLSv1', 'TLSv1.1'] as const) {
    const older = { minVersion: version, maxVersion: version, ciphers: 'ALL@SECLEVEL=0' }
    await assert.rejects(handshake(older), /protocol version/, version)
  }
})

test('load balancers have a GET of their own that asks for no certificate, and nothing else is there', async () => {
  const get = (path: string, method = 'GET'): Promise<string> =>
    new Promise((done, failed) => {
      const options = { host: '127.0.0.1', port: pingPort, path, method, rejectUnauthorized: false, agent: false }
      const sent = https.request(options, response => {
        let text = String(response.statusCode)
        response.on('data', chunk => {
          text += String(chunk)
        })
        response.on('end', () => done(text))
      })
      sent.on('error', failed)
      sent.end()
    })
  assert.deepEqual(
    await Promise.all([get('/ping'), get('/ping', 'POST'), get('/europe/kms/xks/v1/health', 'POST'), get('/metrics')]),
    ['200', '405', '404', '404'],
  )
})
