/** The PKCS#11 room against a second token, NSS's: what SoftHSM does not do by itself, this one does, so that a token's own mechanisms are tried too. */
import assert from 'node:assert/strict'
import { constants, createPublicKey, publicEncrypt, randomBytes } from 'node:crypto'
import { after, afterEach, before, beforeEach, test } from 'node:test'
import { probeToken } from '../src/boundary/pkcs11/probe.ts'
import { openTokenWith } from '../src/boundary/pkcs11/token.ts'
import type { Token } from '../src/boundary/pkcs11/types.ts'
import { Secret } from '../src/boundary/root/types.ts'
import { NSS_SLOT, NssToken } from './support/nss.ts'
import { eventually, rejectsWith, Watched } from './support/watched-cryptoki.ts'

process.env.UV_THREADPOOL_SIZE = '16'

const PIN = 'nss-pin-1'
const AAD = Buffer.from('additional data')
let nss: NssToken
let watched: Watched
let token: Token
const open = (calls?: 'sync' | 'async'): Promise<Token> =>
  openTokenWith(path => nss.load(path, watched.load), {
    module: nss.module,
    token: { slot: NSS_SLOT },
    pin: new Secret(Buffer.from(PIN)),
    sessions: 4,
    deadlineMs: 5000,
    ...(calls === undefined ? {} : { calls }),
  })

before(() => {
  nss = new NssToken(PIN)
})
after(() => nss.remove())
beforeEach(async () => {
  watched = new Watched()
  token = await open()
})
afterEach(() => token.close())

test('a token that nothing is known of is called asynchronously, and does AES-GCM as the standard says', async () => {
  assert.equal(token.status().calls, 'async')
  assert.equal(token.status().manufacturer, 'Mozilla Foundation')
  const { ref } = await token.generateKey('gcm', Buffer.from([1]), { encrypt: true, decrypt: true })
  for (const length of [0, 1, 32, 4300]) {
    const plaintext = randomBytes(length)
    const { iv, ciphertext, tag } = await token.gcmEncrypt(ref, randomBytes(12), AAD, plaintext)
    assert.deepEqual(await token.gcmDecrypt(ref, iv, AAD, ciphertext, tag), plaintext)
    await rejectsWith(token.gcmDecrypt(ref, iv, Buffer.alloc(0), ciphertext, tag), 'InvalidCiphertext')
  }
})

test('its key wrap is used once it has shown that it makes what the loop makes, and makes the same', async () => {
  const { ref } = await token.generateKey('wrap', Buffer.from([2]), { encrypt: true, decrypt: true })
  const lengths = [16, 24, 32, 40, 64, 256, 4096]
  const data = lengths.map(length => randomBytes(length))
  for (const how of ['plain', 'padded'] as const) {
    const first = await token.wrapKey(ref, how, randomBytes(32))
    assert.ok(watched.count('C_EncryptUpdate') > 0, 'the loop does the first')
    const native = async (): Promise<boolean> => {
      const before = watched.count('C_EncryptUpdate')
      const wrapped = await token.wrapKey(ref, how, randomBytes(16))
      return watched.count('C_EncryptUpdate') === before && wrapped.length === 24
    }
    let taken = false
    const trying = (async () => {
      while (!taken) taken = await native()
    })()
    await eventually(() => taken, 'the mechanism is taken')
    await trying
    assert.equal((await token.unwrapKey(ref, how, first)).length, 32)
    const wrapped: Buffer[] = []
    for (const bytes of data) wrapped.push(await token.wrapKey(ref, how, bytes))
    const messages = new Set<string>()
    for (const [at, bytes] of data.entries()) {
      const made = wrapped[at] as Buffer
      assert.deepEqual(await token.unwrapKey(ref, how, made), bytes)
      const changed = Buffer.from(made)
      changed.writeUInt8(changed.readUInt8(5) ^ 1, 5)
      messages.add((await rejectsWith(token.unwrapKey(ref, how, changed), 'InvalidCiphertext')).message)
    }
    await token.close()
    // Called synchronously a token is never asked for more than blocks.
    token = await open('sync')
    watched.calls.clear()
    for (const [at, bytes] of data.entries()) {
      assert.deepEqual(await token.wrapKey(ref, how, bytes), wrapped[at], `${how} ${bytes.length}`)
      assert.deepEqual(await token.unwrapKey(ref, how, wrapped[at] as Buffer), bytes)
    }
    messages.add((await rejectsWith(token.unwrapKey(ref, how, randomBytes(40)), 'InvalidCiphertext')).message)
    assert.equal(messages.size, 1, 'either way says the same')
    assert.equal(watched.count('C_Encrypt') + watched.count('C_Decrypt'), 0)
    await token.close()
    token = await open()
  }
})

test('its OAEP is asked for both hashes, and its raw RSA for neither', async () => {
  const pair = await token.generatePair('pair', Buffer.from([3]), 2048, true)
  const publicKey = createPublicKey({ key: pair.publicKey, format: 'der', type: 'spki' })
  watched.calls.clear()
  for (const oaepHash of ['sha1', 'sha256'] as const) {
    const plaintext = randomBytes(32)
    const padding = { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash }
    const ciphertext = publicEncrypt({ key: publicKey, ...padding }, plaintext)
    assert.deepEqual(await token.oaepDecrypt(pair.ref, oaepHash, ciphertext), plaintext)
    const changed = Buffer.from(ciphertext)
    changed.writeUInt8(changed.readUInt8(200) ^ 1, 200)
    await rejectsWith(token.oaepDecrypt(pair.ref, oaepHash, changed), 'InvalidCiphertext')
  }
  assert.deepEqual([watched.count('C_DecryptInit'), watched.count('C_Decrypt')], [4, 4])
})

test('the probe says so', async () => {
  await token.close()
  const pin = new Secret(Buffer.from(PIN))
  const { trials, label } = await probeToken({ module: nss.module, token: { slot: NSS_SLOT }, pin }, path =>
    nss.load(path),
  )
  assert.equal(label, 'NSS Certificate DB')
  assert.deepEqual(
    trials.filter(({ ok }) => !ok),
    [],
  )
  const how = new Map(trials.map(({ name, detail }) => [name, detail]))
  for (const name of ['aes-kw', 'aes-kwp'] as const)
    assert.equal(how.get(name), 'by its own mechanism, and by AES blocks in it')
  for (const name of ['rsa-oaep-sha1', 'rsa-oaep-sha256'] as const) assert.equal(how.get(name), 'by its own mechanism')
  assert.match(how.get('aes-gcm') ?? '', /a wrong tag is CKR_ENCRYPTED_DATA_INVALID/)
  token = await open()
})
