/**
 * The EKM proxy API of Azure Managed HSM, by the real `holdfast ekm`: a client written from the specification alone (test/clients/python/azure_ekm.py), curl,
 * revoking under load, the records, tenants apart, and nothing but TLS 1.3 with the right certificate.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import tls from 'node:tls'
import { promisify } from 'node:util'
import { AzureClient, answeredByAzure, refusedByAzure } from './support/azure.ts'
import { type CertificateFiles, TestAuthority } from './support/certificates.ts'
import { type Ekm, holdfast, PATIENT, ROOT, startEkm } from './support/ekm.ts'
import { hammer, type Use } from './support/hammer.ts'

const run = promisify(execFile)
const TENANT = 'contoso/prod'
const CN = 'contoso.managedhsmclient.azure.net'
const FOREIGN = 'fabrikam.managedhsmclient.azure.net'
/** The key of RFC 3394 §4.6. */
const KEK = Buffer.from(Array.from({ length: 32 }, (_, at) => at))
const VALUE = Buffer.alloc(32, 7).toString('base64url')
const ALGORITHM = { alg: 'A256KW', value: VALUE }

const folder = mkdtempSync(join(tmpdir(), 'holdfast-azure-'))
const clients: Record<string, CertificateFiles> = {}
let caFile = ''
let ekm: Ekm<{ data: string; azure: string }>
let contoso: AzureClient
let fabrikam: AzureClient

before(async () => {
  const [owner, microsoft, stranger] = await Promise.all(
    ['owner', 'microsoft', 'stranger'].map(name => TestAuthority.make(folder, name)),
  )
  assert.ok(owner && microsoft && stranger)
  caFile = owner.caFile
  const server = await owner.issue('server', { commonName: 'ekm', ipAddresses: ['127.0.0.1'], use: 'server' })
  clients.contoso = await microsoft.issue('contoso', { commonName: CN, use: 'client' })
  clients.fabrikam = await microsoft.issue('fabrikam', { commonName: FOREIGN, use: 'client' })
  clients.wrongUse = await microsoft.issue('wrong-use', { commonName: CN, use: 'server' })
  clients.wrongRoot = await stranger.issue('wrong-root', { commonName: CN, use: 'client' })
  const notAfter = new Date(Date.now() - 3_600_000)
  clients.expired = await microsoft.issue('expired', { commonName: CN, use: 'client', notAfter })
  const file = join(folder, 'ekm.yaml')
  writeFileSync(
    file,
    JSON.stringify({
      data: join(folder, 'data'),
      listen: { port: 0 },
      azure: { port: 0, tls: { ...server, clients: { caFile: microsoft.caFile } } },
      load: PATIENT,
      boundary: { root: { kind: 'keyfile', file: join(folder, 'root.key') } },
    }),
  )
  ekm = await startEkm(['--config', file])
  await ekm.cli('tenant', 'create', TENANT, '--client', CN)
  await ekm.cli('tenant', 'create', 'fabrikam', '--client', FOREIGN)
  await ekm.cli('tenant', 'create', 'nobody')
  for (const [key, ...options] of [
    ['aes'],
    ['revoked'],
    ['wrap-only', '--usage', 'encrypt'],
    ['unwrap-only', '--usage', 'decrypt'],
    ['rsa-2048', '--spec', 'RSA_2048'],
    ['rsa-3072', '--spec', 'RSA_3072'],
    ['rsa-4096', '--spec', 'RSA_4096'],
  ] as const)
    await ekm.cli('key', 'create', key, '--tenant', TENANT, ...options)
  await ekm.cli('key', 'create', 'aes', '--tenant', 'fabrikam')
  await ekm.cli('key', 'create', 'aes', '--tenant', 'nobody')
  await ekm.cli('revoke', `${TENANT}/revoked`)
  await importKey('rfc', KEK)
  contoso = new AzureClient(ekm.line.azure, caFile, clients.contoso)
  fabrikam = new AzureClient(ekm.line.azure, caFile, clients.fabrikam)
})
after(async () => {
  contoso?.close()
  fabrikam?.close()
  assert.equal(await ekm?.stop(), 0)
  rmSync(folder, { recursive: true, force: true })
})

/** The way to a key of known material: it is kept while it is wrapped for somebody else. */
async function importKey(name: string, material: Buffer): Promise<void> {
  const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const files = { public: join(folder, `${name}.pub`), material: join(folder, `${name}.bin`) }
  writeFileSync(files.public, publicKey.export({ format: 'pem', type: 'spki' }))
  writeFileSync(files.material, material, { mode: 0o600 })
  const from = ['--public-key', files.public, '--material', files.material, '--out', join(folder, `${name}.wrapped`)]
  await ekm.cli('wrap-for-import', ...from, '--keep-as', `${TENANT}/${name}`)
}

interface Entry {
  readonly outcome: string
  readonly error?: string
  readonly asserted: Readonly<Record<string, string>>
}

/** What `holdfast log show` has of the protocol's calls for a key of the tenant. */
async function azureRecords(key: string): Promise<Entry[]> {
  const { code, stdout, stderr } = await holdfast(['log', 'show', ekm.data, '--key', `${TENANT}/${key}`, '--json'])
  assert.equal(code, 0, stderr)
  const entries = stdout.split('\n').filter(line => line !== '')
  return entries
    .map(line => JSON.parse(line) as Entry)
    .filter(({ asserted }) => asserted.operation?.startsWith('azure:'))
}

const wrap = (client: AzureClient, tenant = TENANT) => client.post(`/${tenant}/aes/wrapkey`, ALGORITHM)
async function unwrap(wrapped: string) {
  return contoso.post(`/${TENANT}/aes/unwrapkey`, { alg: 'A256KW', value: wrapped })
}

test('a client written from the specification alone finds nothing that is not as documented', async () => {
  const { hostname, port } = new URL(ekm.line.azure)
  const given = {
    host: hostname,
    port: Number(port),
    caFile,
    prefix: `/${TENANT}`,
    client: clients.contoso,
    stranger: clients.fabrikam,
    kek: KEK.toString('hex'),
    keys: {
      aes: 'aes',
      rfc: 'rfc',
      revoked: 'revoked',
      wrapOnly: 'wrap-only',
      unwrapOnly: 'unwrap-only',
      rsa2048: 'rsa-2048',
      rsa3072: 'rsa-3072',
      rsa4096: 'rsa-4096',
    },
  }
  const asked = run('python3', [join(ROOT, 'test', 'clients', 'python', 'azure_ekm.py')])
  asked.child.stdin?.end(JSON.stringify(given))
  const told: string = await asked.then(
    ({ stdout }) => stdout,
    ({ stdout, message }) => `${stdout}${message}`,
  )
  const [, checks] = /^ok (\d+) slowest/.exec(told) ?? []
  assert.ok(Number(checks) > 900, told)
})

test('curl, as docs/azure.md has it, with each of the two suites', async () => {
  const client = clients.contoso
  assert.ok(client)
  for (const suite of ['TLS_AES_256_GCM_SHA384', 'TLS_AES_128_GCM_SHA256']) {
    const { stdout }: { stdout: string } = await run('curl', [
      ...['--silent', '--show-error', '--fail-with-body', '--tlsv1.3', '--tls13-ciphers', suite, '--cacert', caFile],
      ...['--cert', client.certificateFile, '--key', client.keyFile, '--header', 'content-type: application/json'],
      ...['--data', '{"request_context":{"correlation_id":"1","pool_name":"contoso"}}'],
      `${ekm.line.azure}/${TENANT}/info?api-version=0.1-preview`,
    ])
    assert.equal(JSON.parse(stdout).api_version, '0.1-preview')
  }
})

test('TLS 1.3 with the documented suites, and nothing else', async () => {
  const client = clients.contoso
  assert.ok(client)
  const { port } = new URL(ekm.line.azure)
  const handshake = (options: tls.ConnectionOptions): Promise<string> =>
    new Promise((done, failed) => {
      const socket = tls.connect(
        { port: Number(port), host: '127.0.0.1', rejectUnauthorized: false, ...options },
        () => {
          done(`${socket.getProtocol()} ${socket.getCipher().standardName}`)
          socket.destroy()
        },
      )
      socket.on('error', failed)
    })
  assert.equal(await handshake({}), 'TLSv1.3 TLS_AES_256_GCM_SHA384')
  assert.equal(await handshake({ ciphers: 'TLS_AES_128_GCM_SHA256' }), 'TLSv1.3 TLS_AES_128_GCM_SHA256')
  await assert.rejects(handshake({ ciphers: 'TLS_CHACHA20_POLY1305_SHA256' }), /alert/)
  for (const version of ['TLSv1.2', 'TLSv1.1', 'TLSv1'] as const) {
    const older = { minVersion: version, maxVersion: version, ciphers: 'ALL:@SECLEVEL=0' }
    await assert.rejects(handshake(older), /protocol version/, version)
  }
})

const CLOSED = { message: /ECONNRESET|EPIPE|socket hang up|socket disconnected|alert/ }
for (const name of ['wrongRoot', 'wrongUse', 'expired'])
  test(`no HTTP for a client whose certificate is ${name}`, async () => {
    const files = clients[name]
    assert.ok(files)
    const client = new AzureClient(ekm.line.azure, caFile, files)
    await assert.rejects(wrap(client), CLOSED)
    client.close()
  })

test('a certificate of another tenant, under the same root, is nobody here; a tenant without certificates is nobody’s', async () => {
  answeredByAzure(await wrap(fabrikam, 'fabrikam'))
  refusedByAzure(await wrap(fabrikam), 'Unauthorized')
  refusedByAzure(await wrap(contoso, 'fabrikam'), 'Unauthorized')
  for (const tenant of ['nobody', 'no-such-tenant']) refusedByAzure(await wrap(contoso, tenant), 'Unauthorized')
  await ekm.cli('tenant', 'set-clients', 'nobody', FOREIGN)
  answeredByAzure(await wrap(fabrikam, 'nobody'))
  await ekm.cli('tenant', 'set-clients', 'nobody')
  refusedByAzure(await wrap(fabrikam, 'nobody'), 'Unauthorized')
})

test('keys of one tenant open nothing of another, though they have one name', async () => {
  const { json } = answeredByAzure(await wrap(fabrikam, 'fabrikam'))
  refusedByAzure(await unwrap(json.value ?? ''), 'InvalidRequest')
})

test('a rotated key wraps under its new version, and opens what the old one wrapped', async () => {
  await ekm.cli('key', 'create', 'rotated', '--tenant', TENANT)
  const make = async () => answeredByAzure(await contoso.post(`/${TENANT}/rotated/wrapkey`, ALGORITHM)).json.value ?? ''
  const open = async (value: string) =>
    answeredByAzure(await contoso.post(`/${TENANT}/rotated/unwrapkey`, { alg: 'A256KW', value })).json.value
  const old = await make()
  await ekm.cli('key', 'rotate', `${TENANT}/rotated`)
  const fresh = await make()
  assert.notEqual(fresh, old)
  assert.deepEqual([await open(old), await open(fresh)], [VALUE, VALUE])
})

for (const target of [[`${TENANT}/aes`], ['--tenant', TENANT], ['--all']])
  test(`promise 3: under load, no use that starts after holdfast ekm revoke ${target.join(' ')} has ended succeeds`, async () => {
    const made = answeredByAzure(await wrap(contoso)).json.value ?? ''
    const use: Use = async attempt => {
      const answer = await (attempt % 2 === 0 ? unwrap(made) : wrap(contoso))
      if (answer.status === 200) return 'ok'
      refusedByAzure(answer, 'KeyDisabled')
      return 'refused'
    }
    await hammer([use, use, use, use], () => ekm.cli('revoke', ...target))
    refusedByAzure(await contoso.post(`/${TENANT}/aes/metadata`), 'KeyDisabled')
    if (!target.includes('--all')) answeredByAzure(await wrap(fabrikam, 'fabrikam'))
    await ekm.cli('restore', ...target)
    assert.equal(answeredByAzure(await unwrap(made)).json.value, VALUE)
    answeredByAzure(await contoso.post(`/${TENANT}/aes/metadata`))
  })

for (const target of [
  ['--protocol', 'azure'],
  ['--principal', CN],
  ['--principal', 'pool-of-the-switch'],
])
  test(`holdfast ekm revoke ${target.join(' ')} ends uses, and its restore undoes it`, async () => {
    const use = () => contoso.post(`/${TENANT}/aes/wrapkey`, ALGORITHM, 'pool-of-the-switch')
    answeredByAzure(await use())
    await ekm.cli('revoke', ...target)
    refusedByAzure(await use(), 'KeyDisabled')
    refusedByAzure(await contoso.post(`/${TENANT}/info`, {}, 'pool-of-the-switch'), 'KeyDisabled')
    await ekm.cli('restore', ...target)
    answeredByAzure(await use())
  })

test('promise 5: what no policy permits is denied, here every pool but one, in force at once and named in the record', async () => {
  await ekm.cli('key', 'create', 'judged', '--tenant', TENANT)
  const use = (pool: string) => contoso.post(`/${TENANT}/judged/wrapkey`, ALGORITHM, pool)
  answeredByAzure(await use('another'))
  const file = join(folder, 'pools.cedar')
  writeFileSync(
    file,
    '@id("own-pool") permit (principal in Protocol::"azure", action, resource) when { context.claimedPool == "contoso" };',
  )
  await ekm.cli('policy', 'set', file, '--tenant', TENANT)
  answeredByAzure(await use('contoso'))
  for (const path of [`/${TENANT}/judged/wrapkey`, `/${TENANT}/judged/metadata`])
    refusedByAzure(await contoso.post(path, ALGORITHM, 'another'), 'Forbidden')
  await ekm.cli('policy', 'set', '--starter', '--tenant', TENANT)
  answeredByAzure(await use('another'))
  const decided = await azureRecords('judged')
  assert.deepEqual(
    decided.map(({ outcome, asserted }) => [outcome, asserted.policy]),
    [
      ['allowed', 'own-callers'],
      ['allowed', 'own-pool'],
      ['denied', undefined],
      ['denied', undefined],
      ['allowed', 'own-callers'],
    ],
  )
})

test('a key on hold is refused at once, since the protocol cannot wait, until a named person has decided', async () => {
  await ekm.cli('key', 'create', 'held', '--tenant', TENANT)
  const use = () => contoso.post(`/${TENANT}/held/wrapkey`, ALGORITHM)
  await ekm.cli('hold', 'set', `${TENANT}/held`, '--mode', 'wait', '--approver', 'ann')
  refusedByAzure(await use(), 'Forbidden')
  const [ask] = await ekm.cli<{ ask: string; operation: string; peer: string }[]>('hold', 'asks')
  assert.ok(ask)
  assert.deepEqual([ask.operation, ask.peer], ['azure:wrapkey', CN])
  await ekm.cli('hold', 'approve', ask.ask, '--as', 'ann')
  answeredByAzure(await use())
})

test('the log says who asked, for which pool, by which ids and how it ended', async () => {
  await ekm.cli('key', 'create', 'recorded', '--tenant', TENANT)
  const path = `/${TENANT}/recorded`
  const { json } = answeredByAzure(await contoso.post(`${path}/wrapkey`, ALGORITHM, 'pool-of-the-record'))
  const value = json.value ?? ''
  answeredByAzure(await contoso.post(`${path}/unwrapkey`, { alg: 'A256KW', value }, 'pool-of-the-record'))
  refusedByAzure(
    await contoso.post(`${path}/unwrapkey`, { alg: 'A256KWP', value }, 'pool-of-the-record'),
    'InvalidRequest',
  )
  refusedByAzure(
    await contoso.post(`${path}/wrapkey`, { alg: 'none', value }, 'pool-of-the-record'),
    'UnsupportedAlgorithm',
  )
  const uses = await azureRecords('recorded')
  const text = JSON.stringify(uses)
  assert.ok(!text.includes(VALUE) && !text.includes(value))
  assert.deepEqual(
    uses.map(({ asserted, outcome, error }) => [asserted.operation, outcome, error]),
    [
      ['azure:wrapkey', 'allowed', undefined],
      ['azure:unwrapkey', 'allowed', undefined],
      ['azure:unwrapkey', 'failed', 'InvalidCiphertext'],
      ['azure:wrapkey', 'failed', 'UnsupportedAlgorithm'],
    ],
  )
  for (const { asserted } of uses) {
    assert.equal(asserted.principal, CN)
    assert.equal(asserted.claimedPrincipal, 'pool-of-the-record')
    assert.equal(asserted.claimedRequestId, 'correlation request')
    assert.equal(asserted.account, TENANT)
  }
})
