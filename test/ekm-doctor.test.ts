/**
 * `holdfast ekm doctor` against real listeners: what is right is said to be, each thing that is wrong is a finding with what to do, and nothing is sent to a
 * server that has not shown who it is.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import https from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { Finding } from '../src/ekm/doctor/types.ts'
import { type CertificateFiles, TestAuthority } from './support/certificates.ts'
import { type Ekm, holdfast, startEkm } from './support/ekm.ts'

const folder = mkdtempSync(join(tmpdir(), 'holdfast-doctor-'))
const importFile = join(folder, 'xks-proxy.json')
let authority: TestAuthority
let client: CertificateFiles
let open: Ekm<{ data: string; endpoint: string }>
let closed: Ekm<{ data: string; endpoint: string }>

async function service(name: string, clients: boolean): Promise<Ekm<{ data: string; endpoint: string }>> {
  const server = await authority.issue(name, { commonName: 'localhost', dnsNames: ['localhost'], use: 'server' })
  const file = join(folder, `${name}.yaml`)
  const tls = { ...server, ...(clients ? { clients: { caFile: authority.caFile } } : {}) }
  const root = { kind: 'keyfile', file: join(folder, `${name}.root`) }
  writeFileSync(file, JSON.stringify({ data: join(folder, name), listen: { port: 0, tls }, boundary: { root } }))
  return startEkm(['--config', file])
}

before(async () => {
  authority = await TestAuthority.make(folder, 'authority')
  client = await authority.issue('client', { commonName: 'cks.kms.eu-west-1.amazonaws.com', use: 'client' })
  ;[open, closed] = await Promise.all([service('open', false), service('closed', true)])
  for (const each of [open, closed]) await each.cli('tenant', 'create', 'acme')
  await open.cli('credential', 'create', '--import-file', importFile)
  await closed.cli('credential', 'create', '--import-file', `${importFile}.closed`)
})
after(async () => {
  await Promise.all([open?.stop(), closed?.stop()])
  rmSync(folder, { recursive: true, force: true })
})

/** As the clouds name it. */
const named = (endpoint: string): string => endpoint.replace('127.0.0.1', 'localhost')

async function doctor(url: string, ...args: string[]): Promise<{ code: number; findings: readonly Finding[] }> {
  const { code, stdout, stderr } = await holdfast(['ekm', 'doctor', url, '--json', ...args])
  assert.equal(stderr, '')
  return { code, findings: JSON.parse(stdout) }
}

const xks = (each: Ekm<{ endpoint: string }>, ...args: string[]) =>
  doctor(`${named(each.line.endpoint)}/acme`, '--cloud', 'xks', '--ca', authority.caFile, ...args)

const verdicts = (findings: readonly Finding[], check: string) =>
  findings.filter(each => each.check === check).map(each => each.verdict)

test('a service as AWS wants it but for port, CA and renewal: no problem, and the three are named', async () => {
  const clientArgs = ['--cert', client.certificateFile, '--key-file', client.keyFile]
  const { code, findings } = await xks(closed, '--import-file', `${importFile}.closed`, ...clientArgs)
  assert.equal(code === 0, !findings.some(({ verdict }) => verdict === 'problem'))
  assert.equal(verdicts(findings, 'latency').length, 1)
  assert.deepEqual(
    // How long it takes is this machine's affair.
    findings.filter(({ check, verdict }) => check !== 'latency' && verdict !== 'ok').map(({ check }) => check),
    // The port; the CA that is not a public one, and the ten days that the certificates of the tests last.
    ['name', 'certificate', 'certificate'],
  )
  for (const check of ['tls', 'client-certificate', 'credential', 'health', 'clock'])
    assert.ok(verdicts(findings, check).includes('ok'), check)
  for (const { verdict, advice } of findings) assert.equal(advice === '', verdict === 'ok')
})

test('a service that serves whoever has a credential, a wrong credential, a wrong path: each is said', async () => {
  const served = await xks(open, '--import-file', importFile)
  assert.deepEqual(verdicts(served.findings, 'client-certificate'), ['warning'])
  const wrong = join(folder, 'wrong.json')
  const made = JSON.parse(readFileSync(importFile, 'utf8'))
  made.XksProxyAuthenticationCredential.RawSecretAccessKey = 'x'.repeat(43)
  writeFileSync(wrong, JSON.stringify(made))
  const refused = await xks(open, '--import-file', wrong)
  assert.deepEqual([refused.code, verdicts(refused.findings, 'credential')], [1, ['problem']])
  const elsewhere = await doctor(
    `${named(open.line.endpoint)}/nobody`,
    ...['--cloud', 'xks', '--ca', authority.caFile, '--import-file', importFile],
  )
  assert.deepEqual([elsewhere.code, verdicts(elsewhere.findings, 'health')], [1, ['problem']])
  const untried = await xks(open)
  assert.deepEqual([untried.code, verdicts(untried.findings, 'credential')], [0, ['warning']])
})

test('demands of another cloud on the same door: TLS 1.3 only, client certificates required', async () => {
  const { findings } = await doctor(named(open.line.endpoint), '--cloud', 'azure', '--ca', authority.caFile)
  assert.ok(findings.some(({ check, seen }) => check === 'tls' && seen === 'TLS 1.2 is served too'))
})

/** A server that counts what it is asked. */
async function impostor(
  certificate: CertificateFiles,
): Promise<{ url: string; asked: () => number; stop: () => void }> {
  let asked = 0
  const server = https.createServer(
    { cert: readFileSync(certificate.certificateFile), key: readFileSync(certificate.keyFile) },
    (_request, response) => {
      asked++
      response.end('{}')
    },
  )
  await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
  const address = server.address()
  assert.ok(address !== null && typeof address === 'object')
  return { url: `https://localhost:${address.port}/acme`, asked: () => asked, stop: () => server.close() }
}

test('a certificate of another name, another root or the past is a problem, and its server is sent nothing', async () => {
  const notAfter = new Date(Date.now() - 3 * 86_400_000)
  const stranger = await TestAuthority.make(folder, 'stranger')
  const wrong = [
    await authority.issue('other', { commonName: 'other.example', dnsNames: ['other.example'], use: 'server' }),
    await stranger.issue('strange', { commonName: 'localhost', dnsNames: ['localhost'], use: 'server' }),
    await authority.issue('past', {
      commonName: 'localhost',
      dnsNames: ['localhost'],
      use: 'server',
      notAfter,
    }),
  ]
  for (const certificate of wrong) {
    const { url, asked, stop } = await impostor(certificate)
    const args = ['--cloud', 'xks', '--ca', authority.caFile, '--import-file', importFile]
    const { code, findings } = await doctor(url, ...args)
    stop()
    assert.deepEqual([code, verdicts(findings, 'certificate')[0]], [1, 'problem'], certificate.certificateFile)
    assert.equal(asked(), 0)
  }
})

test('what does not resolve or listen ends with what to do, and wrong use with how to use it', async () => {
  const nowhere = await doctor('https://nowhere.invalid/acme', '--cloud', 'xks')
  assert.deepEqual([nowhere.code, nowhere.findings.map(({ check }) => check)], [1, ['name', 'tls']])
  for (const args of [
    ['http://x.example', '--cloud', 'xks'],
    ['https://x.example'],
    ['https://x.example', '--cloud', 'smtp'],
  ]) {
    const { code, stderr } = await holdfast(['ekm', 'doctor', ...args])
    assert.equal(code, 1)
    assert.match(stderr, /error:/)
  }
})

test('with --data it looks at the keys of the service on this machine, and says where there is none', async () => {
  await open.cli('key', 'create', 'k')
  const { findings } = await xks(open, '--import-file', importFile, '--data', open.data)
  assert.deepEqual(
    findings.filter(({ check }) => check === 'encryptions').map(({ verdict, seen }) => [verdict, seen]),
    [['ok', 'none of 1 keys needs a new version; the busiest has used 0.0 % of one']],
  )
  const nobody = await xks(open, '--import-file', importFile, '--data', join(folder, 'nobody'))
  assert.deepEqual([nobody.code, verdicts(nobody.findings, 'encryptions')], [1, ['problem']])
})
