import assert from 'node:assert/strict'
import { constants, generateKeyPairSync, privateDecrypt, publicEncrypt, randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { canUnpad, unpadOaep } from './libcrypto-oaep.ts'

test('what node:crypto pads is unpadded after a raw operation, with both hashes and every length of interest', () => {
  assert.ok(canUnpad)
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const raw = (ciphertext: Buffer): Buffer =>
    privateDecrypt({ key: privateKey, padding: constants.RSA_NO_PADDING }, ciphertext)
  for (const [hash, limit] of [
    ['sha1', 214],
    ['sha256', 190],
  ] as const) {
    for (const length of [0, 1, 32, limit]) {
      const plaintext = randomBytes(length)
      const padding = { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: hash }
      const encoded = raw(publicEncrypt({ key: publicKey, ...padding }, plaintext))
      const kept = Buffer.from(encoded)
      assert.deepEqual(unpadOaep(encoded, hash), plaintext)
      assert.deepEqual(encoded, Buffer.alloc(256), 'the encoded message is wiped')
      assert.equal(unpadOaep(Buffer.from(kept), hash === 'sha1' ? 'sha256' : 'sha1'), undefined)
      for (const at of [0, 1, 20, 40, 100, 255]) {
        const changed = Buffer.from(kept)
        changed.writeUInt8(changed.readUInt8(at) ^ 1, at)
        assert.equal(unpadOaep(changed, hash), undefined, `byte ${at}`)
      }
    }
  }
  assert.equal(unpadOaep(Buffer.alloc(256), 'sha256'), undefined)
})
