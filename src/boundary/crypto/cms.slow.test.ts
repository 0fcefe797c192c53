import assert from 'node:assert/strict'
import { constants, createDecipheriv, generateKeyPairSync, type KeyObject, privateDecrypt } from 'node:crypto'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { opensslDecrypt, opensslPrint } from '../../../test/support/cms.ts'
import { BoundaryError } from '../words.ts'
import { encryptForRecipient, recipientDigestOf } from './cms.ts'

const keys = (modulusLength: number) => generateKeyPairSync('rsa', { modulusLength })
const spkiOf = (key: KeyObject): Buffer => key.export({ format: 'der', type: 'spki' })
const pair = keys(2048)
const spki = spkiOf(pair.publicKey)

describe('CMS for a recipient', () => {
  it('is opened by openssl, whatever its length and the size of the key', () => {
    for (const length of [0, 15, 16, 6000]) {
      const plaintext = Buffer.alloc(length, 7)
      assert.deepEqual(opensslDecrypt(encryptForRecipient(spki, plaintext), pair.privateKey), plaintext)
    }
    const { publicKey, privateKey } = keys(4096)
    const message = encryptForRecipient(spkiOf(publicKey), Buffer.from('data key'))
    assert.equal(opensslDecrypt(message, privateKey).toString(), 'data key')
  })

  it('says what it is', () => {
    const text = opensslPrint(encryptForRecipient(spki, Buffer.from('x')))
    const digest = recipientDigestOf(spki)
    for (const part of [
      /contentType: pkcs7-envelopedData/,
      /version: 2\s+originatorInfo: <ABSENT>\s+recipientInfos:\s+d\.ktri:\s+version: 2\s+d\.subjectKeyIdentifier:/,
      /keyEncryptionAlgorithm:\s+algorithm: rsaesOaep/,
      /contentType: pkcs7-data/,
      /contentEncryptionAlgorithm:\s+algorithm: aes-256-cbc/,
      /unprotectedAttrs:\s+<ABSENT>/,
    ])
      assert.match(text, part)
    assert.ok(text.replace(/[^0-9a-f]/g, '').includes(digest.subarray(0, 8).toString('hex')))
  })

  it('is laid out as the Nitro Enclaves SDK for C walks it', () => {
    const plaintext = Buffer.from('0123456789abcdef0123456789abcdef')
    const { encryptedKey, iv, content } = walk(encryptForRecipient(spki, plaintext))
    const padding = constants.RSA_PKCS1_OAEP_PADDING
    const contentKey = privateDecrypt({ key: pair.privateKey, padding, oaepHash: 'sha256' }, encryptedKey)
    assert.equal(contentKey.length, 32)
    const cipher = createDecipheriv('aes-256-cbc', contentKey, iv)
    assert.deepEqual(Buffer.concat([cipher.update(content), cipher.final()]), plaintext)
  })

  it('never repeats a key, an initialisation vector or a ciphertext', () => {
    const seen = new Set<string>()
    for (let i = 0; i < 20; i++) {
      const { encryptedKey, iv, content } = walk(encryptForRecipient(spki, Buffer.alloc(32)))
      for (const part of [encryptedKey, iv, content]) seen.add(part.toString('hex'))
    }
    assert.equal(seen.size, 60)
  })

  it('leaves the plaintext as it was', () => {
    const plaintext = Buffer.alloc(32, 5)
    encryptForRecipient(spki, plaintext)
    assert.deepEqual(plaintext, Buffer.alloc(32, 5))
  })

  const refused = (key: Buffer): void =>
    assert.throws(
      () => encryptForRecipient(key, Buffer.from('x')),
      (error: unknown) => error instanceof BoundaryError && error.code === 'InvalidPublicKey',
    )

  it('is for RSA keys of 2048 to 4096 bits only, each in its one encoding', () => {
    refused(spkiOf(keys(1024).publicKey))
    refused(spkiOf(keys(2047).publicKey))
    refused(spkiOf(generateKeyPairSync('rsa-pss', { modulusLength: 2048 }).publicKey))
    refused(spkiOf(generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey))
    refused(Buffer.concat([spki, Buffer.of(0)]))
    refused(pair.publicKey.export({ format: 'der', type: 'pkcs1' }))
    refused(Buffer.alloc(0))
    refused(Buffer.from('-----BEGIN PUBLIC KEY-----'))
  })

  it('is made for no bytes that are not a key', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 600 }), bytes => refused(Buffer.from(bytes))))
  })
})

/** The steps of `aws_cms_parse_enveloped_data`: into four structures of indefinite length, over the rest by its definite ones. */
function walk(message: Buffer): { encryptedKey: Buffer; iv: Buffer; content: Buffer } {
  let at = 0
  const enter = (tag: number): void => {
    assert.deepEqual([message[at], message[at + 1]], [tag, 0x80])
    at += 2
  }
  const take = (tag: number): Buffer => {
    assert.equal(message[at], tag)
    let length = message[at + 1] ?? 0
    let start = at + 2
    if (length > 0x80) {
      start += length & 0x7f
      length = message.readUIntBE(at + 2, length & 0x7f)
    }
    at = start + length
    return message.subarray(start, at)
  }
  const inside = <T>(bytes: Buffer, read: () => T): T => {
    const back = at
    at = bytes.byteOffset - message.byteOffset
    const value = read()
    at = back
    return value
  }
  enter(0x30)
  assert.equal(take(0x06).toString('hex'), '2a864886f70d010703')
  enter(0xa0)
  enter(0x30)
  assert.equal(take(0x02).toString('hex'), '02')
  const encryptedKey = inside(take(0x31), () =>
    inside(take(0x30), () => {
      assert.equal(take(0x02).toString('hex'), '02')
      assert.equal(take(0x80).length, 32)
      take(0x30)
      return take(0x04)
    }),
  )
  enter(0x30)
  assert.equal(take(0x06).toString('hex'), '2a864886f70d010701')
  const iv = inside(take(0x30), () => {
    assert.equal(take(0x06).toString('hex'), '60864801650304012a')
    return take(0x04)
  })
  const content = take(0x80)
  assert.equal(message.subarray(at).toString('hex'), '0000'.repeat(4))
  return { encryptedKey, iv, content }
}
