import assert from 'node:assert/strict'
import {
  constants,
  createHash,
  createHmac,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  publicEncrypt,
  randomBytes,
  verify,
} from 'node:crypto'
import { after, before, test } from 'node:test'
import type { PrivateKeyAlgorithm } from '../algorithms.ts'
import type { KeyRow, PrivateKeyWork } from '../client/api.ts'
import type { ControlConnection } from '../client/control.ts'
import type { UseConnection } from '../client/use.ts'
import { fails, headerOfRow, type InProcess, inProcess } from './testing/in-process.ts'

let boundary: InProcess
let use: UseConnection
let control: ControlConnection
let key: KeyRow
const pair = generateKeyPairSync('rsa', { modulusLength: 2048 })
const other = generateKeyPairSync('rsa', { modulusLength: 2048 })

before(async () => {
  boundary = await inProcess({ config: { service: 'ekm' } })
  ;({ use, control } = boundary)
  key = await create('EXTERNAL_AES_256')
})
after(async () => {
  await boundary.stop()
  boundary.remove()
})

let count = 0
const create = (spec: 'EXTERNAL_AES_256' | 'RSA_2048', more: object = {}): Promise<KeyRow> =>
  control.createExternalKey(
    {
      id: `acme/key-${++count}`,
      scope: 'acme',
      tenant: 'acme',
      spec,
      backing: 'SEALED',
      tokenObject: '',
      mayEncrypt: true,
      mayDecrypt: true,
      ...more,
    },
    {},
  )
const aad = Buffer.from('aad')
const NO_LABEL = Buffer.alloc(0)
const spkiOf = (publicKey: KeyObject): Buffer =>
  createHash('sha256')
    .update(publicKey.export({ format: 'der', type: 'spki' }))
    .digest()
const pkcs8Of = (privateKey: KeyObject): Buffer => privateKey.export({ format: 'der', type: 'pkcs8' })
const sealed = (bytes: Buffer, by = key) => use.externalEncrypt(by, bytes, aad, false, {})
/** One operation with a private key that was sealed; `more` says what is different. */
const work = async (algorithm: PrivateKeyAlgorithm, message: Buffer, more: Partial<PrivateKeyWork> = {}) => {
  const given = { spki: spkiOf(pair.publicKey), algorithm, message, label: NO_LABEL, ...more }
  return use.externalPrivateKey(key, await sealed(pkcs8Of(pair.privateKey)), aad, given, {})
}

test('a digest is keyed with what was encrypted, of any version, and nothing else opens it', async () => {
  const secret = randomBytes(32)
  const message = Buffer.from('ResourceKeyDigest:resource:perimeter')
  const made = await sealed(secret)
  const expected = createHmac('sha256', secret).update(message).digest()
  assert.deepEqual(await use.externalDigest(key, made, aad, message, {}), expected)
  const wrong = use.externalDigest(key, made, Buffer.from('other'), message, {})
  await assert.rejects(wrong, fails('InvalidCiphertext'))
  key = await control.rotateExternalKey(key.id, {})
  assert.deepEqual(await use.externalDigest(key, made, aad, message, {}), expected)
})

for (const size of [256, 384, 512] as const) {
  test(`signatures of a digest of SHA-${size} are those of the key that was encrypted`, async () => {
    const hash = `sha${size}`
    const message = Buffer.from('signed attributes')
    const digest = createHash(hash).update(message).digest()
    const pkcs1 = await work(`RSASSA_PKCS1_V1_5_SHA_${size}`, digest)
    assert.ok(verify(hash, message, pair.publicKey, pkcs1))
    const pss = await work(`RSASSA_PSS_SHA_${size}`, digest)
    const padding = constants.RSA_PKCS1_PSS_PADDING
    assert.ok(verify(hash, message, { key: pair.publicKey, padding, saltLength: size / 8 }, pss))
    await assert.rejects(work(`RSASSA_PKCS1_V1_5_SHA_${size}`, digest.subarray(1)), fails('InvalidRequest'))
  })
}

test('RSAES-OAEP decrypts with its hash and label, and refuses all else alike', async () => {
  const plaintext = randomBytes(32)
  const label = Buffer.from('label')
  const by = { key: pair.publicKey, padding: constants.RSA_PKCS1_OAEP_PADDING }
  for (const [algorithm, oaepHash] of [
    ['RSAES_OAEP_SHA_1', 'sha1'],
    ['RSAES_OAEP_SHA_256', 'sha256'],
    ['RSAES_OAEP_SHA_512', 'sha512'],
  ] as const) {
    assert.deepEqual(await work(algorithm, publicEncrypt({ ...by, oaepHash }, plaintext)), plaintext)
    const labelled = publicEncrypt({ ...by, oaepHash, oaepLabel: label }, plaintext)
    assert.deepEqual(await work(algorithm, labelled, { label }), plaintext)
    for (const wrong of [labelled, randomBytes(256), randomBytes(255), Buffer.alloc(0)])
      await assert.rejects(work(algorithm, wrong), fails('InvalidCiphertext'))
  }
})

test('PKCS #1 v1.5: a wrong padding decrypts to bytes that say nothing, the same each time', async () => {
  const plaintext = randomBytes(32)
  const by = { key: pair.publicKey, padding: constants.RSA_PKCS1_PADDING }
  assert.deepEqual(await work('RSAES_PKCS1_V1_5', publicEncrypt(by, plaintext)), plaintext)
  const raw = { key: pair.publicKey, padding: constants.RSA_NO_PADDING }
  const padded = (start: readonly number[]): Buffer => {
    const block = Buffer.concat([Buffer.from(start), Buffer.alloc(200, 0x11), Buffer.of(0), plaintext])
    return publicEncrypt(raw, Buffer.concat([block, Buffer.alloc(256 - block.length, 0x22)]))
  }
  for (const start of [
    [0, 1],
    [1, 2],
    [0, 2, 0],
  ]) {
    const first = await work('RSAES_PKCS1_V1_5', padded(start))
    assert.ok(!first.includes(plaintext))
    assert.deepEqual(await work('RSAES_PKCS1_V1_5', padded(start)), first)
  }
  const [other256, short] = [Buffer.alloc(256, 0xff), randomBytes(255)]
  for (const wrong of [other256, short])
    await assert.rejects(work('RSAES_PKCS1_V1_5', wrong), fails('InvalidCiphertext'))
})

test('another key than the one that is meant, and what is no RSA key of 2048 to 4096 bits, is not used', async () => {
  const digest = randomBytes(32)
  await assert.rejects(
    work('RSASSA_PKCS1_V1_5_SHA_256', digest, { spki: spkiOf(other.publicKey) }),
    fails('InvalidCiphertext'),
  )
  const curve = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
  const small = generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey
  for (const bytes of [randomBytes(32), pkcs8Of(curve), pkcs8Of(small)]) {
    const given = {
      spki: spkiOf(pair.publicKey),
      algorithm: 'RSASSA_PKCS1_V1_5_SHA_256',
      message: digest,
      label: NO_LABEL,
    }
    const made = await sealed(bytes)
    await assert.rejects(use.externalPrivateKey(key, made, aad, given as PrivateKeyWork, {}), fails('InvalidRequest'))
  }
})

test('a key that may not decrypt, or is revoked, opens for neither', async () => {
  const closed = await create('EXTERNAL_AES_256', { mayDecrypt: false })
  const digest = async (by: KeyRow) => use.externalDigest(by, await sealed(randomBytes(32), by), aad, aad, {})
  await assert.rejects(digest(closed), fails('InvalidKeyUsage'))
  const revoked = await create('EXTERNAL_AES_256')
  const made = await sealed(randomBytes(32), revoked)
  await control.revoke({ key: revoked.id }, {})
  const now = await boundary.key(revoked.id)
  await assert.rejects(use.externalDigest(now, made, aad, aad, {}), fails('KeyRevoked'))
})

test('a pair that may neither encrypt nor decrypt signs, and no other does', async () => {
  const signer = await create('RSA_2048', { mayEncrypt: false, mayDecrypt: false })
  assert.equal(headerOfRow(signer).usage, 'SIGN_VERIFY')
  const message = Buffer.from('header.payload')
  const input = { algorithm: 'RSASSA_PKCS1_V1_5_SHA_256', messageType: 'RAW', message } as const
  const { signature } = await use.sign(signer, input, {})
  const publicKey = createPublicKey({ key: headerOfRow(signer).publicKey, format: 'der', type: 'spki' })
  assert.ok(verify('sha256', message, publicKey, signature))
  await assert.rejects(use.externalWrap(signer, 'RSA-OAEP-256', message, {}), fails('InvalidKeyUsage'))
  await assert.rejects(use.externalUnwrap(signer, 'RSA-OAEP-256', randomBytes(256), 0, {}), fails('InvalidKeyUsage'))
  const wrapper = await create('RSA_2048')
  await assert.rejects(use.sign(wrapper, input, {}), fails('InvalidKeyUsage'))
})
