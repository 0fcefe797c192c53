/**
 * Certificates renewed while both services run, by renaming finished files over the old ones: the proxy's own, its clients' root, and those of the
 * provider's XKS client. Everything is renewed under another root, so an encryption succeeds afterwards only where all of them are in use.
 */
import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import tls from 'node:tls'
import { TestAuthority } from './support/certificates.ts'
import { REGION } from './support/kms.ts'
import { connectOwner, type OwnedStore, type Pair, startPair } from './support/pair.ts'

const NAME = 'acme.owner.example'
const SUBJECT = `cks.kms.${REGION}.amazonaws.com`
const folder = mkdtempSync(join(tmpdir(), 'holdfast-renewed-'))
const certificates = join(folder, 'certificates')
/** Longer than the files are left unlooked at, by far. */
const PATIENCE = { timeout: 60_000 }

let pair: Pair
let store: OwnedStore

before(async () => {
  pair = await startPair(folder, ['acme'])
  store = await connectOwner(pair, 'acme')
})
after(async () => {
  await pair?.stop()
  rmSync(folder, { recursive: true, force: true })
})

const encrypts = async (): Promise<boolean> => {
  const { status } = await pair.client.call('Encrypt', { KeyId: store.KeyId, Plaintext: 'cGxhaW50ZXh0' })
  return status === 200
}

/**
 * Fingerprint of the certificate that the proxy shows to whoever connects. A connection that a renewal falls into is cut, by design: then undefined, for
 * the caller to ask again.
 */
function shown(): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const socket = tls.connect({ port: pair.proxyPort, servername: NAME, rejectUnauthorized: false }, () => {
      resolve(socket.getPeerCertificate().fingerprint256)
      socket.destroy()
    })
    socket.once('error', (error: NodeJS.ErrnoException) =>
      error.code === 'ECONNRESET' ? resolve(undefined) : reject(error),
    )
  })
}

/** Lines of the log that hold these words. */
const told = (words: string): string[] =>
  pair
    .log()
    .split('\n')
    .filter(line => line.includes(words))

test(
  'under another root: the proxy shows the new certificate, and the provider reaches it with its own new one',
  PATIENCE,
  async () => {
    assert.ok(await encrypts())
    const next = await TestAuthority.make(folder, 'next')
    const server = await next.issue('next-proxy', { commonName: NAME, dnsNames: [NAME], use: 'server' })
    const client = await next.issue('next-client', { commonName: SUBJECT, dnsNames: [SUBJECT], use: 'client' })
    const { fingerprint256 } = new X509Certificate(readFileSync(server.certificateFile))
    const first = await shown()
    assert.ok(first !== undefined && first !== fingerprint256)
    const over: readonly (readonly [string, string])[] = [
      [server.certificateFile, 'proxy.pem'],
      [server.keyFile, 'proxy.key'],
      [client.certificateFile, basename(pair.clientCertificate.certificateFile)],
      [client.keyFile, basename(pair.clientCertificate.keyFile)],
      [next.caFile, basename(pair.caFile)],
    ]
    for (const [file, name] of over) renameSync(file, join(certificates, name))
    while ((await shown()) !== fingerprint256) await delay(50)
    while (told(`"host":"${NAME}"`).length === 0) await delay(50)
    while (!(await encrypts())) await delay(50)
  },
)

test('a certificate without its key: the log says so, and the one in use stays in use', PATIENCE, async () => {
  const before = await shown()
  assert.ok(before !== undefined)
  const odd = await TestAuthority.make(folder, 'odd')
  const server = await odd.issue('odd-proxy', { commonName: NAME, dnsNames: [NAME], use: 'server' })
  const client = await odd.issue('odd-client', { commonName: SUBJECT, use: 'client' })
  renameSync(server.certificateFile, join(certificates, 'proxy.pem'))
  renameSync(client.certificateFile, pair.clientCertificate.certificateFile)
  const failed = () => told('could not be read again')
  while (!(failed().some(line => line.includes(NAME)) && failed().some(line => !line.includes(NAME)))) await delay(50)
  assert.equal(await shown(), before)
  assert.ok(await encrypts())
})
