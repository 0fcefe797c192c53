import assert from 'node:assert/strict'
import { createHash, generateKeyPairSync, privateDecrypt } from 'node:crypto'
import { after, before, test } from 'node:test'
import type { ExternalCiphertext } from '../client/api.ts'
import type { ControlConnection } from '../client/control.ts'
import type { UseConnection } from '../client/use.ts'
import { counterId, decodeCounter } from './keys/counters.ts'
import { fails, headerOfRow, type InProcess, inProcess, newKey } from './testing/in-process.ts'

let boundary: InProcess
let use: UseConnection
let control: ControlConnection
const config = { service: 'ekm' } as const

before(async () => {
  boundary = await inProcess({ config })
  ;({ use, control } = boundary)
})
after(async () => {
  await boundary.stop()
  boundary.remove()
})

let count = 0
const create = (tenant = 'acme', more: object = {}) =>
  control.createExternalKey(
    {
      id: `${tenant}/key-${++count}`,
      scope: tenant,
      tenant,
      spec: 'EXTERNAL_AES_256',
      backing: 'SEALED',
      tokenObject: '',
      mayEncrypt: true,
      mayDecrypt: true,
      ...more,
    },
    { operation: 'ekm:create' },
  )
const plaintext = Buffer.from('the provider’s blob')
const aad = Buffer.from('aad')

test('an external key encrypts, verifies what it encrypted, and decrypts; the front end has it at once', async () => {
  const key = await create()
  const rows = boundary.sets.at(-1)?.rows.map(row => row.kind)
  assert.deepEqual(rows, ['key', 'counter'])
  const made = await use.externalEncrypt(key, plaintext, aad, true, {})
  assert.equal(made.iv.length, 12)
  assert.equal(made.ciphertext.length, plaintext.length)
  const digest = createHash('sha256')
  for (const part of [aad, made.metadata, made.iv, made.ciphertext, made.tag]) digest.update(part)
  assert.deepEqual(made.integrityValue, digest.digest())
  assert.deepEqual(await use.externalDecrypt(key, made, aad, {}), plaintext)
  const changed = (part: keyof ExternalCiphertext): ExternalCiphertext => {
    const bytes = Buffer.from(made[part] ?? '')
    bytes.writeUInt8(bytes.readUInt8(0) ^ 1, 0)
    return { ...made, [part]: bytes }
  }
  for (const part of ['iv', 'ciphertext', 'tag', 'metadata'] as const) {
    await assert.rejects(use.externalDecrypt(key, changed(part), aad, {}), fails('InvalidCiphertext'), part)
  }
  await assert.rejects(use.externalDecrypt(key, made, Buffer.from('other'), {}), fails('InvalidCiphertext'))
  await assert.rejects(use.encrypt(key, plaintext, [], {}), fails('InvalidKeyUsage'))
})

test('rotation makes a version; the old ones still decrypt', async () => {
  const key = await create()
  const old = await use.externalEncrypt(key, plaintext, aad, false, {})
  const rotated = await control.rotateExternalKey(key.id, {})
  const made = await use.externalEncrypt(rotated, plaintext, aad, false, {})
  assert.equal(old.metadata.toString('hex'), '0100000001')
  assert.equal(made.metadata.toString('hex'), '0100000002')
  assert.deepEqual(await use.externalDecrypt(rotated, old, aad, {}), plaintext)
  assert.deepEqual(await use.externalDecrypt(rotated, made, aad, {}), plaintext)
})

test('promise 3: revoked means revoked, for a key, a tenant and everything, also for keys made later', async () => {
  const [mine, other] = [await create('acme'), await create('globex')]
  const sealed = await use.externalEncrypt(mine, plaintext, aad, false, {})
  await control.revoke({ key: mine.id }, {})
  const revoked = await boundary.key(mine.id)
  assert.equal(headerOfRow(revoked).state, 'Revoked')
  await assert.rejects(use.externalDecrypt(mine, sealed, aad, {}), fails('StaleKey'))
  await assert.rejects(use.externalDecrypt(revoked, sealed, aad, {}), fails('KeyRevoked'))
  await assert.rejects(control.rotateExternalKey(mine.id, {}), fails('KeyRevoked'))
  await control.restore({ key: mine.id }, {})
  const restored = await boundary.key(mine.id)
  assert.deepEqual(await use.externalDecrypt(restored, sealed, aad, {}), plaintext)
  for (const target of [{ tenant: 'acme' }, { all: true }] as const) {
    await control.revoke(target, {})
    await control.revoke(target, {})
    await assert.rejects(use.externalDecrypt(restored, sealed, aad, {}), fails('KeyRevoked'))
    await assert.rejects(use.externalEncrypt(restored, plaintext, aad, false, {}), fails('KeyRevoked'))
    await assert.rejects(use.externalEncrypt(await create('acme'), plaintext, aad, false, {}), fails('KeyRevoked'))
    const stopsOthers = 'all' in target
    const elsewhere = use.externalEncrypt(other, plaintext, aad, false, {})
    await (stopsOthers ? assert.rejects(elsewhere, fails('KeyRevoked')) : elsewhere)
    await control.restore(target, {})
    assert.deepEqual(await use.externalDecrypt(restored, sealed, aad, {}), plaintext)
  }
})

test('promise 3: a revocation holds while many uses are under way', async () => {
  const key = await create()
  let revoked = false
  let late = 0
  const worker = async (): Promise<void> => {
    for (;;) {
      const startedAfter = revoked
      try {
        await use.externalEncrypt(key, plaintext, aad, false, {})
        if (startedAfter) late++
      } catch (error) {
        fails('KeyRevoked', 'StaleKey')(error)
        return
      }
    }
  }
  const workers = Array.from({ length: 32 }, worker)
  for (let i = 0; i < 50; i++) await new Promise(resolve => setImmediate(resolve))
  await control.revoke({ key: key.id }, {})
  revoked = true
  await Promise.all(workers)
  assert.equal(late, 0)
})

test('usage is what the key was made for', async () => {
  const encryptOnly = await create('acme', { mayDecrypt: false })
  const made = await use.externalEncrypt(encryptOnly, plaintext, aad, false, {})
  await assert.rejects(use.externalDecrypt(encryptOnly, made, aad, {}), fails('InvalidKeyUsage'))
  const neither = await create('acme', { mayEncrypt: false, mayDecrypt: false })
  await assert.rejects(use.externalEncrypt(neither, plaintext, aad, false, {}), fails('InvalidKeyUsage'))
})

test('wrapForImport: what the provider unwraps is what the owner kept', async () => {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const spki = publicKey.export({ type: 'spki', format: 'der' })
  const keepAs = { id: 'acme/kept', scope: 'acme', tenant: 'acme' }
  const input = { publicKey: spki, algorithm: 'RSAES_OAEP_SHA_256', material: undefined, keepAs } as const
  const { wrapped, fingerprint } = await control.wrapForImport(input, {})
  const material = privateDecrypt({ key: privateKey, oaepHash: 'sha256' }, wrapped)
  assert.equal(material.length, 32)
  const same = await control.wrapForImport({ ...input, material, keepAs: undefined }, {})
  assert.deepEqual(same.fingerprint, fingerprint)
  assert.notDeepEqual(same.wrapped, wrapped)
  const kept = await boundary.key('acme/kept')
  const made = await use.externalEncrypt(kept, plaintext, aad, false, {})
  assert.deepEqual(await use.externalDecrypt(kept, made, aad, {}), plaintext)
  await assert.rejects(control.wrapForImport(input, {}), fails('AlreadyExists'))
  const short = { ...input, publicKey: spki.subarray(3), keepAs: undefined }
  await assert.rejects(control.wrapForImport(short, {}), fails('InvalidRequest'))
})

test('a provider’s operations are refused by an owner’s boundary, and the other way round', async () => {
  await assert.rejects(newKey(use), fails('NotPermitted'))
  const kms = await inProcess()
  const input = {
    id: 'a/b',
    scope: 'a',
    tenant: 'a',
    spec: 'EXTERNAL_AES_256',
    backing: 'SEALED',
    tokenObject: '',
  } as const
  await assert.rejects(
    kms.control.createExternalKey({ ...input, mayEncrypt: true, mayDecrypt: true }, {}),
    fails('NotPermitted'),
  )
  await assert.rejects(kms.control.revoke({ all: true }, {}), fails('NotPermitted'))
  await assert.rejects(kms.control.revoke({ key: (await newKey(kms.use)).id }, {}), fails('NotPermitted'))
  await kms.stop()
  kms.remove()
})

test('encryptions are counted in blocks that survive', async () => {
  const limits = { maxEncryptions: 320, renewAfter: 319 }
  const block = 19
  const key = {
    id: 'a/b',
    scope: 'a',
    tenant: 'a',
    spec: 'EXTERNAL_AES_256',
    backing: 'SEALED',
    tokenObject: '',
    mayEncrypt: true,
    mayDecrypt: true,
  } as const
  const first = await inProcess({ config: { ...config, limits } })
  const row = await first.control.createExternalKey(key, {})
  const id = counterId(key.id, 1)
  const reserved = async (own: InProcess) =>
    decodeCounter((await own.control.getRow('counter', id))?.body ?? Buffer.alloc(0))
  const encrypt = (own: InProcess) => own.use.externalEncrypt(row, plaintext, aad, false, {})
  assert.equal(await reserved(first), 0)
  for (let i = 0; i < 3; i++) await encrypt(first)
  assert.equal(await reserved(first), block)
  for (let i = 0; i < block; i++) await encrypt(first)
  const before = await reserved(first)
  assert.ok(before > block)
  await first.stop()
  const second = await inProcess({ config: { ...config, limits }, folder: first.folder })
  await encrypt(second)
  assert.equal(await reserved(second), before + block, 'what another process may have used is passed over')
  await second.stop()
  second.remove()
})

test('the self test does real cryptography and has a record', async () => {
  const before = (await use.status()).logSize
  assert.deepEqual(await use.selfTest(), { ok: true, detail: '' })
  assert.equal((await use.status()).logSize, before + 1)
})
