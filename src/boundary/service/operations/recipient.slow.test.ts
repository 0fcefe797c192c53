/** Every use that hands out plaintext, with a recipient: what leaves the boundary is for that recipient, or nothing leaves. */
import assert from 'node:assert/strict'
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, publicEncrypt } from 'node:crypto'
import { after, before, test } from 'node:test'
import { opensslDecrypt } from '../../../../test/support/cms.ts'
import type { UseConnection } from '../../client/use.ts'
import { fails, headerOfRow, type InProcess, inProcess, newKey } from '../testing/in-process.ts'

const recipient = generateKeyPairSync('rsa', { modulusLength: 2048 })
const spkiOf = (key: KeyObject): Buffer => key.export({ format: 'der', type: 'spki' })
const spki = spkiOf(recipient.publicKey)
const openIt = (message: Buffer | undefined): Buffer => opensslDecrypt(message ?? Buffer.alloc(0), recipient.privateKey)
const PLAINTEXT = Buffer.from('what only the recipient may read')

let boundary: InProcess
let use: UseConnection
before(async () => {
  boundary = await inProcess()
  use = boundary.use
})
after(async () => {
  await boundary.stop()
  boundary.remove()
})

const rsaKey = () => newKey(use, { spec: 'RSA_2048', usage: 'ENCRYPT_DECRYPT' })
const agreementKey = () => newKey(use, { spec: 'ECC_NIST_P256', usage: 'KEY_AGREEMENT' })

/** One use of each kind with this recipient: what it answers in place of the plaintext. */
const USES: Readonly<Record<string, (recipient: Buffer | undefined) => Promise<Buffer | undefined>>> = {
  decrypt: async to => {
    const key = await newKey(use)
    const { ciphertext } = await use.encrypt(key, Buffer.from(PLAINTEXT), [['a', 'b']], {})
    return (await use.decrypt(key, ciphertext, [['a', 'b']], {}, to)).plaintext
  },
  generateDataKey: async to => (await use.generateDataKey(await newKey(use), 32, true, [], {}, to)).plaintext,
  generateRandom: async to => use.generateRandom(64, {}, to),
  generateDataKeyPair: async to =>
    (await use.generateDataKeyPair(await newKey(use), 'ECC_NIST_P256', true, [], {}, to)).plaintext,
  deriveSharedSecret: async to => {
    const peer = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    return (await use.deriveSharedSecret(await agreementKey(), spkiOf(peer.publicKey), {}, to)).sharedSecret
  },
  asymmetricDecrypt: async to => {
    const key = await rsaKey()
    const publicKey = createPublicKey({ key: headerOfRow(key).publicKey, format: 'der', type: 'spki' })
    const ciphertext = publicEncrypt({ key: publicKey, oaepHash: 'sha256' }, PLAINTEXT)
    return (await use.asymmetricDecrypt(key, 'RSAES_OAEP_SHA_256', ciphertext, {}, to)).plaintext
  },
}

for (const [name, run] of Object.entries(USES)) {
  test(`${name} answers for its recipient`, async () => {
    const [alone, sealed] = [await run(undefined), await run(spki)]
    const opened = openIt(sealed)
    if (name === 'generateDataKeyPair') {
      assert.equal(createPrivateKey({ key: opened, format: 'der', type: 'pkcs8' }).asymmetricKeyType, 'ec')
    } else assert.equal(opened.length, alone?.length)
    if (name.toLowerCase().includes('decrypt')) assert.deepEqual(opened, PLAINTEXT)
    assert.ok(!sealed?.includes(opened))
  })

  test(`${name} answers nothing where its recipient has no usable key, in one record`, async () => {
    const weak = spkiOf(generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey)
    for (const bad of [weak, Buffer.from('no key'), spkiOf(generateKeyPairSync('ed25519').publicKey)]) {
      // All that goes before the use itself has its records too, as often as without a recipient.
      const start = (await use.status()).logSize
      await run(undefined)
      const usual = (await use.status()).logSize - start
      await assert.rejects(run(bad), fails('InvalidPublicKey'))
      assert.equal((await use.status()).logSize, start + 2 * usual)
    }
  })
}

test('what a key of the store encrypts is the same data key that its recipient gets', async () => {
  const key = await newKey(use)
  const { ciphertext, plaintext } = await use.generateDataKey(key, 32, true, [], {}, spki)
  assert.deepEqual((await use.decrypt(key, ciphertext, [], {})).plaintext, openIt(plaintext))
  assert.equal((await use.generateDataKey(key, 32, false, [], {}, spki)).plaintext, undefined)
})
