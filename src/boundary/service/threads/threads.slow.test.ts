import assert from 'node:assert/strict'
import {
  constants,
  createPublicKey,
  generateKeyPairSync,
  hash,
  type KeyObject,
  publicEncrypt,
  randomBytes,
} from 'node:crypto'
import { test } from 'node:test'
import { agree } from '../../crypto/agreement.ts'
import { oaepEncrypt } from '../../crypto/oaep.ts'
import { Pair } from '../../crypto/pairs.ts'
import { verify } from '../../crypto/signing.ts'
import { fails } from '../testing/in-process.ts'
import { Threads } from './threads.ts'

const rsa = new Pair(generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey)
const p384 = (): KeyObject => generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey
const pss = 'RSASSA_PSS_SHA_256'

test('a thread signs messages and digests, and tells true signatures from others', async () => {
  const threads = new Threads(1)
  const message = randomBytes(100)
  const digest = hash('sha256', message, 'buffer')
  for (const [type, input] of [
    ['RAW', message],
    ['DIGEST', digest],
  ] as const) {
    const signature = await threads.sign(rsa, pss, type, input)
    assert.ok(verify(rsa, pss, 'RAW', message, signature))
    assert.equal(await threads.verify(rsa, pss, type, input, signature), true)
    assert.equal(await threads.verify(rsa, pss, type, randomBytes(32), signature), false)
  }
})

test('a thread agrees and decrypts; what is refused is refused as if it had been done here', async () => {
  const threads = new Threads(1)
  const [own, peer] = [p384(), p384()]
  assert.deepEqual(await threads.agree(own, createPublicKey(peer)), agree(peer, createPublicKey(own)))
  await assert.rejects(threads.agree(own, rsa.publicKey), fails('InvalidPublicKey'))
  const plaintext = randomBytes(32)
  const pkcs1 = publicEncrypt({ key: rsa.publicKey, padding: constants.RSA_PKCS1_PADDING }, plaintext)
  assert.deepEqual(await threads.rsaDecrypt(rsa.privateKey, { kind: 'pkcs1' }, pkcs1), plaintext)
  const label = Buffer.from('a label')
  const named = publicEncrypt({ key: rsa.publicKey, oaepHash: 'sha512', oaepLabel: label }, plaintext)
  const labelled = (given: Buffer) =>
    threads.rsaDecrypt(rsa.privateKey, { kind: 'oaep', hash: 'sha512', label: given }, named)
  assert.deepEqual(await labelled(label), plaintext)
  await assert.rejects(labelled(Buffer.from('another')), fails('InvalidCiphertext'))
  const ciphertext = oaepEncrypt(rsa.publicKey, 'sha256', plaintext)
  assert.deepEqual(await threads.rsaDecrypt(rsa.privateKey, { kind: 'oaep', hash: 'sha256' }, ciphertext), plaintext)
  await assert.rejects(
    threads.rsaDecrypt(rsa.privateKey, { kind: 'oaep', hash: 'sha1' }, ciphertext),
    fails('InvalidCiphertext'),
  )
  await assert.rejects(
    threads.rsaDecrypt(rsa.privateKey, { kind: 'oaep', hash: 'sha256' }, Buffer.alloc(3)),
    fails('InvalidCiphertext'),
  )
})

test('what no caller can mend is an error that says so, and the thread goes on', async () => {
  const threads = new Threads(1)
  const none = new Pair(p384())
  await assert.rejects(threads.sign(none, 'ML_DSA_SHAKE_256', 'EXTERNAL_MU', randomBytes(64)), error => {
    assert.ok(error instanceof Error)
    return true
  })
  assert.equal((await threads.sign(rsa, pss, 'RAW', randomBytes(1))).length, 256)
})

test('many at once on several threads: each gets its own', async () => {
  const threads = new Threads(2)
  const messages = Array.from({ length: 150 }, () => randomBytes(40))
  const signatures = await Promise.all(messages.map(message => threads.sign(rsa, pss, 'RAW', message)))
  for (const [at, signature] of signatures.entries())
    assert.ok(verify(rsa, pss, 'RAW', messages[at] as Buffer, signature), `${at}`)
})

test('a key is lent for as long as its job waits, referenced by nobody else', async () => {
  const threads = new Threads(1)
  const message = randomBytes(32)
  const works = Array.from({ length: 40 }, () => {
    const pair = new Pair(p384())
    const half = pair.publicKey
    return threads.sign(pair, 'ECDSA_SHA_384', 'DIGEST', Buffer.concat([message, randomBytes(16)])).then(() => half)
  })
  assert.equal((await Promise.all(works)).length, 40)
})
