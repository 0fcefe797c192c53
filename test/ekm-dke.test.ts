/**
 * Double key encryption by the real `holdfast ekm`, over HTTPS: a client from the specification alone, key versions, what revoking and the lists do, and
 * what the log says of it.
 */
import assert from 'node:assert/strict'
import { constants, createPublicKey, publicEncrypt } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { JWTPayload } from 'jose'
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

const DIRECTORY = 'a1b2c3d4-0000-1111-2222-333344445555'
const SIGN_IN = 'https://login.windows.net/common/oauth2/authorize'
const PLAINTEXT = Buffer.from('the content key of a document')
const folder = mkdtempSync(join(tmpdir(), 'holdfast-dke-'))

let ekm: Ekm<ServiceLine>
let issuer: Issuer
let stranger: Issuer
let url: string
let listening: Listening

before(async () => {
  issuer = await Issuer.start(`https://sts.windows.net/${DIRECTORY}/`)
  stranger = await Issuer.start('https://sts.windows.net/ffffffff-0000-1111-2222-333344445555/')
  listening = await certificateFor(folder, 'dke')
  const port = await freePort()
  url = `https://127.0.0.1:${port}`
  const issuers = { [issuer.name]: { audiences: [url], keys: issuer.url } }
  const tenant = { directory: DIRECTORY, issuers, audience: url }
  ekm = await startService(folder, 'owner', {
    dke: {
      port,
      tls: listening.tls,
      publicUrl: url,
      cacheDays: 30,
      tenants: {
        'customers/acme': { ...tenant, keys: { payroll: { emails: ['ada@acme.example'], roles: ['Payroll.Read'] } } },
        globex: { ...tenant, keys: { payroll: { emails: ['ada@acme.example'] } } },
      },
    },
  })
  for (const name of ['customers/acme', 'globex']) {
    await ekm.cli('tenant', 'create', name)
    await ekm.cli('key', 'create', 'payroll', '--tenant', name, '--spec', 'RSA_2048')
  }
})
after(async () => {
  await issuer?.stop()
  await stranger?.stop()
  assert.equal(await ekm?.stop(), 0)
  rmSync(folder, { recursive: true, force: true })
})

const sign = (claims: JWTPayload = {}, by = issuer, o = {}): Promise<string> =>
  by.sign({ aud: url, sub: 'subject', tid: DIRECTORY, upn: 'Ada@acme.example', ...claims }, o)

interface PublicKey {
  readonly n: string
  readonly e: number
  readonly kid: string
}
const get = (path: string) => ask(`${url}/${path}`, listening.caFile, { method: 'GET' })
const keyOf = async (path: string) => (await get(path)).json.key as PublicKey

function encrypt({ n, kid }: PublicKey): { url: string; value: string } {
  const jwk = { kty: 'RSA', e: 'AQAB', n: Buffer.from(n, 'base64').toString('base64url') }
  const oaep = { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' }
  const value = publicEncrypt({ key: createPublicKey({ key: jwk, format: 'jwk' }), ...oaep }, PLAINTEXT)
  return { url: `${kid}/decrypt`, value: value.toString('base64') }
}

const decrypt = async (made: { url: string; value: string }, token?: string): Promise<Answered> =>
  ask(made.url, listening.caFile, {
    headers: { Authorization: `Bearer ${token ?? (await sign())}` },
    body: { alg: 'RSA-OAEP-256', value: made.value },
  })
const opens = async (made: { url: string; value: string }): Promise<void> =>
  assert.deepEqual((await decrypt(made)).json, { value: PLAINTEXT.toString('base64') })

test('a client from the specification alone: the key, decrypting, and every refusal', async () => {
  const day = 86_400_000
  const checked = await pythonClient('dke.py', {
    url: `${url}/customers/acme/payroll`,
    ca: listening.caFile,
    audience: url,
    signIn: SIGN_IN,
    plaintext: PLAINTEXT.toString('base64'),
    tokens: {
      good: await sign(),
      other: await sign({ upn: 'eve@acme.example' }),
      expired: await sign({}, issuer, { now: Date.now() - day }),
      future: await sign({}, issuer, { now: Date.now() + day }),
      audience: await sign({ aud: 'https://elsewhere.example' }),
      directory: await sign({ tid: 'ffffffff-0000-1111-2222-333344445555' }),
      stranger: await sign({}, stranger),
      forged: await sign({ iss: issuer.name }, stranger, { kid: issuer.current.kid }),
      nobody: await sign({ upn: undefined }),
    },
  })
  assert.equal(checked.length, 30, checked.join('\n'))
})

test('the tenant’s key is not another tenant’s, although both have its name', async () => {
  const made = encrypt(await keyOf('customers/acme/payroll'))
  const other = encrypt(await keyOf('globex/payroll'))
  await opens(made)
  await opens(other)
  const crossed = await decrypt({ url: other.url, value: made.value })
  assert.deepEqual([crossed.status, crossed.json.code], [400, 'InvalidRequest'])
  const renamed = await decrypt({ url: made.url.replace('customers/acme', 'globex'), value: made.value })
  assert.deepEqual([renamed.status, renamed.json.code], [400, 'KeyNotFound'])
})

test('after a rotation new documents name the new version, and old ones open', async () => {
  const old = await keyOf('customers/acme/payroll')
  const before = encrypt(old)
  await ekm.cli('key', 'rotate', 'customers/acme/payroll')
  const rotated = await keyOf('customers/acme/payroll')
  assert.notEqual(rotated.kid, old.kid)
  assert.notEqual(rotated.n, old.n)
  await opens(before)
  const after = encrypt(rotated)
  await opens(after)
  assert.equal((await decrypt({ url: before.url, value: after.value })).status, 400)
})

const switches: readonly (readonly string[])[] = [
  ['customers/acme/payroll'],
  ['--tenant', 'customers/acme'],
  ['--protocol', 'dke'],
  ['--principal', 'ada@acme.example'],
  ['--all'],
]
for (const target of switches) {
  test(`promise 3: once holdfast ekm revoke ${target.join(' ')} has ended, nothing that starts later decrypts`, async () => {
    const made = encrypt(await keyOf('customers/acme/payroll'))
    const token = await sign()
    let revoked = false
    let before = 0
    let later = 0
    const work = async (): Promise<void> => {
      while (later < 40) {
        const startedLater = revoked
        const { status, text } = await decrypt(made, token)
        if (startedLater) {
          later++
          assert.equal(status, 403, text)
        } else if (status === 200) before++
        else assert.equal(status, 403, text)
      }
    }
    const working = Promise.all(Array.from({ length: 4 }, work))
    while (before < 10) await Promise.race([working, new Promise(next => setImmediate(next))])
    await ekm.cli('revoke', ...target)
    revoked = true
    await working
    const { status } = await get('customers/acme/payroll')
    assert.equal(status, target[0] === '--principal' ? 200 : 403)
    await ekm.cli('restore', ...target)
    await opens(made)
  })
}

test('promise 2: the log has every use and every refusal of somebody known, and counts the rest', async () => {
  const made = encrypt(await keyOf('customers/acme/payroll'))
  await opens(made)
  assert.equal((await decrypt(made, await sign({ upn: 'mallory@acme.example' }))).status, 403)
  const all = await records(ekm.data)
  const used = all.findLast(({ asserted }) => asserted.principal === 'ada@acme.example')
  assert.deepEqual(
    [used?.boundaryOperation, used?.outcome, used?.keyId, used?.asserted.operation, used?.asserted.account],
    ['externalUnwrap', 'allowed', 'customers/acme/payroll', 'dke:decrypt', 'customers/acme'],
  )
  assert.equal(used?.asserted.accessKeyId, `${issuer.name} subject`)
  const denied = all.findLast(({ asserted }) => asserted.principal === 'mallory@acme.example')
  assert.deepEqual([denied?.outcome, denied?.error, denied?.keyId], ['denied', 'Forbidden', 'customers/acme/payroll'])
  const text = JSON.stringify(all)
  for (const secret of [PLAINTEXT.toString('base64'), PLAINTEXT.toString(), made.value])
    assert.ok(!text.includes(secret))
})

test('a key of the issuer that is new works when a token first names it', async () => {
  const made = encrypt(await keyOf('customers/acme/payroll'))
  await opens(made)
  issuer.rotate()
  const deadline = Date.now() + 60_000
  // Keys are fetched at most once in ten seconds, whatever strangers name.
  let { status } = await decrypt(made)
  while (status === 401 && Date.now() < deadline) {
    await new Promise(next => setTimeout(next, 250))
    status = (await decrypt(made)).status
  }
  assert.equal(status, 200)
})

test('what strangers did is counted by reason when the service stops', async () => {
  assert.equal(await ekm.stop(), 0)
  const counted = new Map(
    (await records(ekm.data)).filter(({ count }) => count).map(({ error, count }) => [error, count]),
  )
  for (const reason of [
    'PublicKey',
    'TokenMissing',
    'TokenAudience',
    'TokenExpired',
    'TokenNotYetValid',
    'TokenIssuer',
    'TokenSignature',
    'TokenDirectory',
    'TokenIdentity',
    'MethodNotAllowed',
    'InvalidUriPath',
  ])
    assert.ok((counted.get(reason) ?? 0) > 0, reason)
})
