/**
 * Google Workspace client-side encryption by the real `holdfast ekm`, over HTTPS: a client from the reference alone, a browser, two services of which one
 * takes over from the other, what revoking does, and what the log says of it.
 */
import assert from 'node:assert/strict'
import { createHash, createHmac, generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { JWTPayload } from 'jose'
import { chromium } from 'playwright-core'
import type { EkmConfigInput } from '../src/config/ekm.ts'
import { Issuer } from '../src/ekm/access/testing.ts'
import type { Ekm } from './support/ekm.ts'
import {
  type Answered,
  ask,
  certificateFor,
  type Listening,
  pythonClient,
  records,
  type ServiceLine,
  startService,
} from './support/ekm-service.ts'
import { freePort } from './support/kms.ts'

const RESOURCE = 'document-1'
const PERIMETER = 'legal'
const DELEGATE = 'room@meet.example'
const DEK = Buffer.from('a data key of thirty-two bytes..')
const folder = mkdtempSync(join(tmpdir(), 'holdfast-kacls-'))

interface Service {
  readonly ekm: Ekm<ServiceLine>
  /** KACLS URL of the tenant acme. */
  readonly url: string
}

let listening: Listening
let idp: Issuer
let google: Issuer
let page: Server
let pageOrigin: string
let mine: Service
let old: Service

before(async () => {
  idp = await Issuer.start('https://id.acme.example/')
  google = await Issuer.start('gsuitecse-tokenissuer-drive@system.gserviceaccount.com')
  page = createServer((_request, response) => response.setHeader('Content-Type', 'text/html').end('<!doctype html>'))
  await new Promise<void>(done => page.listen(0, '127.0.0.1', done))
  pageOrigin = `http://127.0.0.1:${(page.address() as AddressInfo).port}`
  listening = await certificateFor(folder, 'kacls')
  const ports = [await freePort(), await freePort()] as const
  const urls = ports.map(port => `https://127.0.0.1:${port}/acme/v1`)
  const start = async (name: string, port: number, other: string): Promise<Service> => {
    const tenant = {
      key: 'workspace',
      authentication: { [idp.name]: { audiences: ['workspace'], keys: idp.url } },
      authorization: { [google.name]: { audiences: ['cse-authorization'], keys: google.url } },
      ownerDomain: 'acme.example',
      admins: ['root@acme.example'],
    }
    const peers = { [other]: { caFile: listening.caFile, addresses: ['127.0.0.1'] } }
    const kacls: EkmConfigInput['kacls'] = {
      port,
      tls: listening.tls,
      publicUrl: `https://127.0.0.1:${port}`,
      origins: [pageOrigin],
      tenants: { acme: { ...tenant, signingKey: 'signer', peers }, globex: tenant },
    }
    const ekm = await startService(folder, name, { kacls })
    for (const prefix of ['acme', 'globex']) {
      await ekm.cli('tenant', 'create', prefix)
      await ekm.cli('key', 'create', 'workspace', '--tenant', prefix)
    }
    await ekm.cli('key', 'create', 'signer', '--tenant', 'acme', '--spec', 'RSA_2048', '--usage', 'sign')
    return { ekm, url: `https://127.0.0.1:${port}/acme/v1` }
  }
  ;[mine, old] = await Promise.all([start('new', ports[0], urls[1] ?? ''), start('old', ports[1], urls[0] ?? '')])
})
after(async () => {
  await idp?.stop()
  await google?.stop()
  await new Promise(done => page?.close(done))
  for (const service of [mine, old]) assert.equal(await service?.ekm.stop(), 0)
  rmSync(folder, { recursive: true, force: true })
})

const authentication = (claims: JWTPayload = {}, o = {}): Promise<string> =>
  idp.sign({ aud: 'workspace', sub: 'ada', email: 'Ada@acme.example', ...claims }, o)
const authorization = (role: string, claims: JWTPayload = {}, { url } = mine): Promise<string> =>
  google.sign({
    aud: 'cse-authorization',
    email: 'ada@acme.example',
    role,
    kacls_url: url,
    resource_name: RESOURCE,
    perimeter_id: PERIMETER,
    kacls_owner_domain: 'acme.example',
    ...claims,
  })
const tokens = async (role: string, service = mine) => ({
  authentication: await authentication(),
  authorization: await authorization(role, {}, service),
  reason: '{"client":"drive"}',
})
const post = (method: string, body: object, { url } = mine): Promise<Answered> =>
  ask(`${url}/${method}`, listening.caFile, { body })
async function wrap(service = mine): Promise<string> {
  const { status, json, text } = await post(
    'wrap',
    { ...(await tokens('writer', service)), key: DEK.toString('base64') },
    service,
  )
  assert.equal(status, 200, text)
  return String(json.wrapped_key)
}
const unwrap = async (wrapped_key: string, service = mine): Promise<Answered> =>
  post('unwrap', { ...(await tokens('reader', service)), wrapped_key }, service)

test('a client from the reference alone: every method, and every refusal', async () => {
  const pair = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const [privateKey, publicKey] = [join(folder, 'smime.key'), join(folder, 'smime.pem')]
  writeFileSync(privateKey, pair.privateKey.export({ format: 'pem', type: 'pkcs8' }), { mode: 0o600 })
  writeFileSync(publicKey, pair.publicKey.export({ format: 'pem', type: 'spki' }))
  const der = pair.publicKey.export({ format: 'der', type: 'spki' })
  const spki = createHash('sha256').update(der).digest('base64')
  const ofKey = { spki_hash: spki, spki_hash_algorithm: 'SHA-256', message_id: 'message-1' }
  const roles = Object.fromEntries(
    await Promise.all(
      ['reader', 'writer', 'upgrader', 'verifier', 'migrator'].map(
        async role => [role, await authorization(role)] as const,
      ),
    ),
  )
  const day = 86_400_000
  const checked = await pythonClient('kacls.py', {
    url: mine.url,
    ca: listening.caFile,
    resource: RESOURCE,
    perimeter: PERIMETER,
    delegate: DELEGATE,
    privateKey,
    publicKey,
    scratch: join(folder, 'signature'),
    spki,
    tokens: {
      ...roles,
      user: await authentication(),
      other: await authentication({ email: 'eve@acme.example' }),
      admin: await authentication({ email: 'root@acme.example' }),
      userExpired: await authentication({}, { now: Date.now() - day }),
      signer: await authorization('signer', ofKey),
      decrypter: await authorization('decrypter', ofKey),
      otherKey: await authorization('signer', { ...ofKey, spki_hash: createHash('sha256').digest('base64') }),
      delegator: await authorization('reader', { delegated_to: DELEGATE }),
      document2: await authorization('reader', { resource_name: 'document-2' }),
      perimeter2: await authorization('reader', { perimeter_id: 'sales' }),
      guest: await authorization('reader', { email_type: 'google-visitor' }),
      elsewhere: await authorization('reader', { kacls_url: 'https://elsewhere.example/v1' }),
      expired: await authorization('reader', { exp: Math.floor(Date.now() / 1000) - 61 }),
      audience: await authorization('reader', { aud: 'workspace' }),
      forged: await idp.sign({ iss: google.name, aud: 'cse-authorization' }, { kid: google.current.kid }),
    },
  })
  assert.equal(checked.length, 54, checked.join('\n'))
})

test('one service takes over a key from the other, over TLS, under a token that the other verifies', async () => {
  const wrapped_key = await wrap(old)
  const asked = { authorization: await authorization('migrator'), reason: 'migration', wrapped_key }
  const { status, json, text } = await post('rewrap', { ...asked, original_kacls_url: old.url })
  assert.equal(status, 200, text)
  const words = `ResourceKeyDigest:${RESOURCE}:${PERIMETER}`
  assert.equal(json.resource_key_hash, createHmac('sha256', DEK).update(words).digest('base64'))
  assert.deepEqual((await unwrap(String(json.wrapped_key))).json, { key: DEK.toString('base64') })
  assert.equal((await unwrap(wrapped_key)).status, 400)
  const asks = (await records(old.ekm.data)).findLast(({ asserted }) => asserted.operation === 'kacls:privilegedunwrap')
  assert.deepEqual([asks?.outcome, asks?.asserted.principal, asks?.asserted.subject], ['allowed', mine.url, RESOURCE])
  const steps = ['kacls:migrate', 'kacls:rewrap']
  const ours = (await records(mine.ekm.data))
    .filter(({ asserted }) => steps.includes(asserted.operation ?? ''))
    .slice(-2)
  assert.deepEqual(
    ours.map(({ boundaryOperation, keyId, asserted }) => [boundaryOperation, keyId, asserted.operation]),
    [
      ['sign', 'acme/signer', 'kacls:migrate'],
      ['externalEncrypt', 'acme/workspace', 'kacls:rewrap'],
    ],
  )
})

test('what the other service refuses is refused here, and when it is away this says so', async () => {
  const asked = async (wrapped_key: string) =>
    post('rewrap', {
      authorization: await authorization('migrator'),
      reason: '',
      wrapped_key,
      original_kacls_url: old.url,
    })
  assert.equal((await asked(Buffer.alloc(80).toString('base64'))).status, 400)
  const wrapped_key = await wrap(old)
  await old.ekm.cli('revoke', 'acme/workspace')
  assert.equal((await asked(wrapped_key)).status, 400)
  await old.ekm.cli('restore', 'acme/workspace')
  assert.equal((await asked(wrapped_key)).status, 200)
  assert.equal(await old.ekm.stop(), 0)
  assert.equal((await asked(wrapped_key)).status, 503)
})

test('a page of an origin that is named may call it from a browser, and one of another may not', async () => {
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] })
  try {
    const context = await browser.newContext({ ignoreHTTPSErrors: true })
    const call = async (origin: string): Promise<string> => {
      const tab = await context.newPage()
      await tab.goto(origin)
      const body = JSON.stringify({ ...(await tokens('writer')), key: DEK.toString('base64') })
      return tab.evaluate(
        `fetch(${JSON.stringify(`${mine.url}/wrap`)}, {
          method: 'POST', headers: { 'Content-Type': 'application/json' }, body: ${JSON.stringify(body)}
        }).then(answer => answer.json()).then(json => Object.keys(json).join(), error => error.name)`,
      )
    }
    assert.equal(await call(pageOrigin), 'wrapped_key')
    assert.equal(await call(pageOrigin.replace('127.0.0.1', 'localhost')), 'TypeError')
  } finally {
    await browser.close()
  }
})

test('a tenant’s keys are not another tenant’s', async () => {
  const wrapped_key = await wrap()
  const globex = { ...mine, url: mine.url.replace('acme', 'globex') }
  assert.equal((await unwrap(wrapped_key, globex)).status, 400)
  assert.equal((await post('unwrap', { ...(await tokens('reader')), wrapped_key }, globex)).status, 403)
  const status = await ask(`${globex.url}/status`, listening.caFile, { method: 'GET' })
  assert.ok(!(status.json.operations_supported as string[]).includes('delegate'))
})

test('after a rotation old keys unwrap', async () => {
  const wrapped_key = await wrap()
  await mine.ekm.cli('key', 'rotate', 'acme/workspace')
  assert.notEqual(await wrap(), wrapped_key)
  assert.deepEqual((await unwrap(wrapped_key)).json, { key: DEK.toString('base64') })
})

const switches: readonly (readonly string[])[] = [
  ['acme/workspace'],
  ['--tenant', 'acme'],
  ['--protocol', 'kacls'],
  ['--principal', 'ada@acme.example'],
  ['--all'],
]
for (const target of switches) {
  test(`promise 3: once holdfast ekm revoke ${target.join(' ')} has ended, nothing that starts later unwraps`, async () => {
    const wrapped_key = await wrap()
    const body = { ...(await tokens('reader')), wrapped_key }
    let revoked = false
    let before = 0
    let later = 0
    const work = async (): Promise<void> => {
      while (later < 40) {
        const startedLater = revoked
        const { status, json, text } = await post('unwrap', body)
        if (status === 200) assert.ok(!startedLater, 'started later, and succeeded')
        else assert.deepEqual([status, json.details], [403, 'KeyRevoked'], text)
        if (startedLater) later++
        else if (status === 200) before++
      }
    }
    const working = Promise.all(Array.from({ length: 4 }, work))
    while (before < 10) await Promise.race([working, new Promise(next => setImmediate(next))])
    await mine.ekm.cli('revoke', ...target)
    revoked = true
    await working
    await mine.ekm.cli('restore', ...target)
    assert.equal((await unwrap(wrapped_key)).status, 200)
  })
}

test('promise 2: the log has every use and every refusal, and neither keys nor tokens', async () => {
  const wrapped_key = await wrap()
  const { authentication: user, authorization: reader } = await tokens('reader')
  assert.equal(
    (await post('wrap', { authentication: user, authorization: reader, reason: 'r', key: DEK.toString('base64') }))
      .status,
    403,
  )
  const all = await records(mine.ekm.data)
  const used = all.findLast(({ asserted, outcome }) => asserted.operation === 'kacls:wrap' && outcome === 'allowed')
  assert.deepEqual(
    [used?.boundaryOperation, used?.keyId, used?.asserted.principal, used?.asserted.subject, used?.asserted.reason],
    ['externalEncrypt', 'acme/workspace', 'ada@acme.example', RESOURCE, 'REASON_UNSPECIFIED: {"client":"drive"}'],
  )
  const denied = all.findLast(({ outcome }) => outcome === 'denied')
  assert.deepEqual(
    [denied?.outcome, denied?.error, denied?.asserted.claimedOperation],
    ['denied', 'Forbidden', 'reader'],
  )
  for (const operation of [
    'digest',
    'delegate',
    'privatekeysign',
    'privatekeydecrypt',
    'privilegedunwrap',
    'wrapprivatekey',
  ])
    assert.ok(
      all.some(({ outcome, asserted }) => outcome === 'allowed' && asserted.operation === `kacls:${operation}`),
      operation,
    )
  const text = JSON.stringify(all)
  for (const secret of [DEK.toString('base64'), wrapped_key, user, reader]) assert.ok(!text.includes(secret))
  assert.ok(!mine.ekm.stderr.includes(DEK.toString('base64')))
})
