/**
 * The XKS proxy of `holdfast ekm --config` with root of trust and external keys in a PKCS#11 token (SoftHSM): the behaviours of the public test client,
 * health's check in the token itself, revoking with the token there and gone.
 */
import assert from 'node:assert/strict'
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { TestAuthority } from './support/certificates.ts'
import { type Ekm, PATIENT, startEkm } from './support/ekm.ts'
import { SoftHsm } from './support/softhsm.ts'
import { answered, refused, xksBehaviours } from './support/xks-behaviours.ts'
import { decryptBody, encryptBody, metadata, SignerClient, type XksTarget } from './support/xks-clients.ts'

const PIN = 'canary-pin-0815'
const TENANT = 'customers/acme'
const KEYS = { foo: 'both', encrypt_only_key: 'encrypt', decrypt_only_key: 'decrypt', impotent_key: 'none' }
const PLAINTEXT = Buffer.from('the provider’s blob')
const folder = mkdtempSync(join(tmpdir(), 'holdfast-xks-token-'))
const hsm = new SoftHsm()

let ekm: Ekm<{ data: string; endpoint: string; operations: string }>
let client: SignerClient

before(async () => {
  hsm.addToken('owner', PIN)
  hsm.importKey(PIN, 'payments-2026', Buffer.from('a1b2', 'hex'), randomBytes(32))
  hsm.importKey(PIN, 'soft', Buffer.from('a1b3', 'hex'), randomBytes(32), { sensitive: false, extractable: true })
  const pinFile = join(folder, 'pin')
  writeFileSync(pinFile, `${PIN}\n`, { mode: 0o600 })
  const authority = await TestAuthority.make(folder, 'root')
  const server = await authority.issue('server', { commonName: 'proxy', ipAddresses: ['127.0.0.1'], use: 'server' })
  const file = join(folder, 'ekm.yaml')
  writeFileSync(
    file,
    JSON.stringify({
      data: join(folder, 'data'),
      listen: { port: 0, tls: server },
      load: PATIENT,
      boundary: { root: { kind: 'pkcs11', module: hsm.module, tokenLabel: 'owner', pinFile } },
      health: { everyMs: 1000 },
    }),
  )
  ekm = await startEkm(['--config', file], { SOFTHSM2_CONF: hsm.configuration })
  await ekm.cli('tenant', 'create', TENANT)
  for (const [key, usage] of Object.entries(KEYS)) await ekm.cli('key', 'create', key, '--usage', usage, '--token')
  const made = await ekm.cli<Pick<XksTarget, 'accessKeyId' | 'secretAccessKey'>>('credential', 'create')
  client = new SignerClient({ ...made, endpoint: ekm.line.endpoint, pathPrefix: TENANT, caFile: authority.caFile })
})
after(async () => {
  client?.close()
  assert.equal(await ekm?.stop(), 0)
  rmSync(folder, { recursive: true, force: true })
  hsm.remove()
})

const encrypt = (key: string) => client.send({ path: `keys/${key}/encrypt`, body: encryptBody(PLAINTEXT) })
type Encrypted = Awaited<ReturnType<typeof encrypt>>
const decrypt = (key: string, made: Encrypted) => client.send({ path: `keys/${key}/decrypt`, body: decryptBody(made) })
const opens = async (key: string, made: Encrypted) =>
  assert.equal(answered(await decrypt(key, made)).json.plaintext, PLAINTEXT.toString('base64'))
const status = async (): Promise<string> => {
  const { kmsRequestId, kmsOperation } = metadata('KmsHealthCheck')
  const body = { requestMetadata: { kmsRequestId, kmsOperation } }
  return JSON.parse(answered(await client.send({ path: 'health', body })).text).ekmFleetDetails[0].healthStatus
}

describe('the public test client’s 49 behaviours, with keys in the token', () => {
  xksBehaviours(() => ({ ...client.target, client }))
})

test('keys are in the token, and nowhere else', async () => {
  const keys = await ekm.cli<{ keyId: string; backing: string; tokenObject: string }[]>('key', 'list')
  assert.deepEqual(
    keys.map(({ keyId, backing }) => `${keyId} ${backing}`).sort(),
    Object.keys(KEYS)
      .map(key => `${key} token`)
      .sort(),
  )
  for (const { tokenObject } of keys) assert.match(tokenObject, /^(id|label):./)
  const publicKey = join(folder, 'wrapping.pem')
  const wrapping = generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey
  writeFileSync(publicKey, wrapping.export({ format: 'pem', type: 'spki' }))
  const out = join(folder, 'wrapped')
  await assert.rejects(ekm.cli('wrap-for-import', '--public-key', publicKey, '--from', 'foo', '--out', out), /leave/)
})

test('an object that was in the token already, by label and by id; one that could leave it is refused', async () => {
  await ekm.cli('key', 'create', 'by-label', '--token', 'label:payments-2026')
  await ekm.cli('key', 'create', 'by-id', '--token', 'id:a1b2')
  await opens('by-id', answered(await encrypt('by-label')))
  await assert.rejects(ekm.cli('key', 'create', 'no', '--token', 'label:soft'), /exit code 1/)
  await assert.rejects(ekm.cli('key', 'create', 'no', '--token', 'label:none'), /exit code 1/)
  refused(await encrypt('no'), 'KeyNotFoundException')
})

test('rotation in the token: the id stays, and what older versions encrypted opens', async () => {
  const older = answered(await encrypt('foo'))
  await ekm.cli('key', 'rotate', 'foo')
  const newer = answered(await encrypt('foo'))
  assert.notEqual(newer.json.ciphertextMetadata, older.json.ciphertextMetadata)
  for (const made of [older, newer]) await opens('foo', made)
})

test('revoke and restore: a key, its tenant, everything', async () => {
  const made = answered(await encrypt('foo'))
  for (const target of [['foo'], ['--tenant', TENANT], ['--all']]) {
    await ekm.cli('revoke', ...target)
    refused(await decrypt('foo', made), 'InvalidStateException')
    refused(await encrypt('foo'), 'InvalidStateException')
    await ekm.cli('restore', ...target)
    await opens('foo', made)
  }
})

test('the token goes: health says so, nothing is used, revoking works; it comes back, and what was revoked is revoked', async () => {
  const made = answered(await encrypt('foo'))
  const other = answered(await encrypt('by-label'))
  const ready = async (): Promise<number> => (await fetch(`${ekm.line.operations}/health/ready`)).status
  const until = async (wanted: number): Promise<void> => {
    while ((await ready()) !== wanted) await delay(20)
  }
  assert.equal(await ready(), 200)
  const away = `${hsm.tokens}.away`
  renameSync(hsm.tokens, away)
  mkdirSync(hsm.tokens)
  await until(503)
  assert.equal(await status(), 'UNAVAILABLE')
  assert.equal((await fetch(`${ekm.line.operations}/ping`)).status, 503)
  assert.ok((await decrypt('foo', made)).status >= 500)
  await ekm.cli('revoke', 'foo')
  rmSync(hsm.tokens, { recursive: true })
  renameSync(away, hsm.tokens)
  await until(200)
  assert.equal(await status(), 'ACTIVE')
  refused(await decrypt('foo', made), 'InvalidStateException')
  await opens('by-label', other)
  await ekm.cli('restore', 'foo')
  await opens('foo', made)
})

test('promise 1: the PIN is not in what the service writes', () => {
  assert.ok(!ekm.stderr.includes(PIN))
})
