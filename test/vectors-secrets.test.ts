/** Encryption, MACs, key agreement and KEM against Wycheproof and NIST's ACVP vectors, through the very functions that the boundary uses. */
import assert from 'node:assert/strict'
import { createCipheriv, createDecipheriv, createPublicKey, createSecretKey } from 'node:crypto'
import { test } from 'node:test'
import type { MacAlgorithm } from '../src/boundary/algorithms.ts'
import { agree, peerKey } from '../src/boundary/crypto/agreement.ts'
import { readMaterial } from '../src/boundary/crypto/imported.ts'
import { decapsulateWith, encapsulateTo } from '../src/boundary/crypto/kem.ts'
import { unwrapPadded, wrapPadded } from '../src/boundary/crypto/key-wrap.ts'
import { macOf, sameMac } from '../src/boundary/crypto/mac.ts'
import { oaepEncrypt, oaepLimit } from '../src/boundary/crypto/oaep.ts'
import { Pair } from '../src/boundary/crypto/pairs.ts'
import { HERE, type PrivateWork } from '../src/boundary/crypto/private-work.ts'
import { materialKey } from '../src/boundary/crypto/sealed.ts'
import { fails } from '../src/boundary/service/testing/in-process.ts'
import { threads } from '../src/boundary/service/threads/threads.ts'
import { acvp, wycheproof } from './support/go-modules.ts'

const bytes = (hex: unknown): Buffer => Buffer.from(String(hex), 'hex')
/** On the calling thread, and on one of slow work. */
const OAEP_WAYS: readonly PrivateWork[] = [HERE, threads]

test('Wycheproof RSAES-OAEP: what opens, opens, and all else is one error', async () => {
  let [opened, refused, otherLabel] = [0, 0, 0]
  for (const name of [
    '2048_sha1_mgf1sha1',
    '2048_sha256_mgf1sha256',
    '3072_sha256_mgf1sha256',
    '4096_sha256_mgf1sha256',
  ]) {
    const bits = name.slice(0, 4) as '2048'
    const hash = name.includes('_sha1_') ? 'sha1' : 'sha256'
    const file = wycheproof<{ privateKeyPkcs8: string }, { msg: string; ct: string; label: string }>(`rsa_oaep_${name}`)
    for (const group of file.testGroups) {
      const { material } = await readMaterial(`RSA_${bits}`, bytes(group.privateKeyPkcs8))
      const pair = new Pair(material)
      for (const { msg, ct, label, result, tcId } of group.tests) {
        // The API's label is empty: to it, a ciphertext with another is none.
        if (result === 'valid' && label === '') {
          for (const way of OAEP_WAYS)
            assert.deepEqual(
              await way.rsaDecrypt(pair.privateKey, { kind: 'oaep', hash }, bytes(ct)),
              bytes(msg),
              `${name} ${tcId}`,
            )
          opened++
        } else {
          for (const way of OAEP_WAYS)
            await assert.rejects(
              way.rsaDecrypt(pair.privateKey, { kind: 'oaep', hash }, bytes(ct)),
              fails('InvalidCiphertext'),
              `${name} ${tcId}`,
            )
          if (result === 'valid') otherLabel++
          else refused++
        }
      }
      const longest = Buffer.alloc(oaepLimit(pair.publicKey, hash), 1)
      for (const way of OAEP_WAYS)
        assert.deepEqual(
          await way.rsaDecrypt(pair.privateKey, { kind: 'oaep', hash }, oaepEncrypt(pair.publicKey, hash, longest)),
          longest,
        )
    }
  }
  assert.deepEqual([opened, refused, otherLabel], [40, 76, 31])
})

test('Wycheproof HMAC: whole tags only', () => {
  let [right, wrong, cut] = [0, 0, 0]
  for (const hash of ['224', '256', '384', '512']) {
    const file = wycheproof<{ tagSize: number }, { key: string; msg: string; tag: string }>(`hmac_sha${hash}`)
    for (const group of file.testGroups) {
      for (const { key, msg, tag, result, tcId } of group.tests) {
        const mac = macOf(createSecretKey(bytes(key)), `HMAC_SHA_${hash}` as MacAlgorithm, bytes(msg))
        const same = sameMac(mac, bytes(tag))
        const isWhole = group.tagSize === Number(hash)
        assert.equal(same, isWhole && result === 'valid', `${hash} ${tcId}`)
        if (result === 'valid' && !isWhole) assert.deepEqual(mac.subarray(0, group.tagSize / 8), bytes(tag))
        if (!isWhole) cut++
        else if (same) right++
        else wrong++
      }
    }
  }
  assert.deepEqual([right, wrong, cut], [132, 216, 346])
})

test('Wycheproof AES key wrap with padding, under keys of 256 bits', () => {
  let [opened, refused] = [0, 0]
  const file = wycheproof<{ keySize: number }, { key: string; msg: string; ct: string }>('aes_kwp')
  for (const group of file.testGroups.filter(each => each.keySize === 256)) {
    for (const { key, msg, ct, result, tcId } of group.tests) {
      if (result === 'invalid') {
        assert.throws(() => unwrapPadded(bytes(key), bytes(ct)), fails('InvalidCiphertext'), String(tcId))
        refused++
        continue
      }
      assert.deepEqual(unwrapPadded(bytes(key), bytes(ct)), bytes(msg), String(tcId))
      assert.deepEqual(wrapPadded(bytes(key), bytes(msg)), bytes(ct), String(tcId))
      opened++
    }
  }
  assert.deepEqual([opened, refused], [25, 69])
})

const CURVES = {
  ECC_NIST_P256: { file: 'ecdh_secp256r1', tests: [335, 277], oid: '06082a8648ce3d030107', bytes: 32 },
  ECC_NIST_P384: { file: 'ecdh_secp384r1', tests: [776, 271], oid: '06052b81040022', bytes: 48 },
  ECC_NIST_P521: { file: 'ecdh_secp521r1', tests: [638, 278], oid: '06052b81040023', bytes: 66 },
} as const

/** Node's own cipher, which every format calls with a nonce of 12 bytes and a tag of 16; what is around it has vectors in test/vectors. */
test('Wycheproof AES-256-GCM', () => {
  let [opened, refused] = [0, 0]
  const file = wycheproof<
    { ivSize: number; keySize: number; tagSize: number },
    { key: string; iv: string; aad: string; msg: string; ct: string; tag: string }
  >('aes_gcm')
  const groups = file.testGroups.filter(each => each.keySize === 256 && each.ivSize === 96 && each.tagSize === 128)
  for (const { key, iv, aad, msg, ct, tag, result, tcId } of groups.flatMap(group => group.tests)) {
    const options = { authTagLength: 16 } as const
    const decipher = createDecipheriv('aes-256-gcm', bytes(key), bytes(iv), options)
    decipher.setAAD(bytes(aad)).setAuthTag(bytes(tag))
    const clear = decipher.update(bytes(ct))
    if (result === 'invalid') {
      assert.throws(() => decipher.final(), String(tcId))
      refused++
      continue
    }
    decipher.final()
    assert.deepEqual(clear, bytes(msg), String(tcId))
    const cipher = createCipheriv('aes-256-gcm', bytes(key), bytes(iv), options).setAAD(bytes(aad))
    assert.deepEqual(Buffer.concat([cipher.update(bytes(msg)), cipher.final()]), bytes(ct), String(tcId))
    assert.deepEqual(cipher.getAuthTag(), bytes(tag), String(tcId))
    opened++
  }
  assert.deepEqual([opened, refused], [39, 27])
})

/** PKCS #8 of a scalar, which Wycheproof has as a number with or without zeros in front. */
function ecKey(oid: string, scalar: Buffer, length: number): Buffer {
  const tlv = (tag: number, ...contents: Buffer[]): Buffer => {
    const content = Buffer.concat(contents)
    return Buffer.concat([
      Buffer.from(content.length < 128 ? [tag, content.length] : [tag, 0x81, content.length]),
      content,
    ])
  }
  const padded = Buffer.concat([Buffer.alloc(length), scalar]).subarray(-length)
  const inner = tlv(0x30, bytes('020101'), tlv(4, padded))
  return tlv(0x30, bytes('020100'), tlv(0x30, bytes('06072a8648ce3d0201'), bytes(oid)), tlv(4, inner))
}

for (const [spec, curve] of Object.entries(CURVES)) {
  test(`Wycheproof ECDH on ${spec}: the secret, or InvalidPublicKey`, async () => {
    let [agreed, refused] = [0, 0]
    const { testGroups, numberOfTests } = wycheproof<object, { public: string; private: string; shared: string }>(
      curve.file,
    )
    for (const { public: spki, private: scalar, shared, result, tcId, flags } of testGroups.flatMap(
      group => group.tests,
    )) {
      const { material } = await readMaterial(spec as keyof typeof CURVES, ecKey(curve.oid, bytes(scalar), curve.bytes))
      let secret: Buffer | undefined
      try {
        const peer = peerKey(material, bytes(spki))
        secret = agree(material, peer)
        if (tcId % 16 === 0) assert.deepEqual(await threads.agree(material, peer), secret)
      } catch (error) {
        fails('InvalidPublicKey')(error)
      }
      if (result === 'valid') assert.ok(secret !== undefined, `${tcId} ${flags}`)
      if (result === 'invalid') assert.equal(secret, undefined, `${tcId} ${flags}`)
      if (secret === undefined) refused++
      else {
        assert.deepEqual(secret, bytes(shared), `${tcId} ${flags}`)
        agreed++
      }
    }
    assert.equal(agreed + refused, numberOfTests)
    assert.deepEqual([agreed, refused], curve.tests)
  })
}

const ML_KEM = { 512: '01', 768: '02', 1024: '03' } as const
type Size = keyof typeof ML_KEM
const sized = (tag: number, ...contents: Buffer[]): Buffer => {
  const content = Buffer.concat(contents)
  return Buffer.concat([Buffer.from([tag, 0x82, content.length >> 8, content.length & 255]), content])
}
const kemId = (size: Size): Buffer => bytes(`300b06096086480165030404${ML_KEM[size]}`)
const fromSeed = (size: Size, seed: Buffer): Buffer =>
  sized(0x30, bytes('020100'), kemId(size), sized(4, Buffer.from([0x80, seed.length]), seed))
const fromExpanded = (size: Size, key: Buffer): Buffer =>
  sized(0x30, bytes('020100'), kemId(size), sized(4, sized(4, key)))
const pairOf = (size: Size, pkcs8: Buffer): Pair => new Pair(materialKey(`ML_KEM_${size}`, pkcs8))
const rawPublic = (pair: Pair): Buffer => pair.publicKey.export({ format: 'der', type: 'spki' }).subarray(22)
const sizeOf = (group: Readonly<Record<string, string>>): Size => Number(group.parameterSet?.slice(7)) as Size

test('Wycheproof ML-KEM: keys from seeds, and decapsulation with implicit rejection', () => {
  let [opened, refused, keys] = [0, 0, 0]
  for (const size of [512, 768, 1024] as const) {
    const file = wycheproof<object, { seed: string; ek: string; c: string; K: string }>(`mlkem_${size}`)
    for (const { seed, ek, c, K, result, tcId } of file.testGroups.flatMap(group => group.tests)) {
      if (result === 'valid') {
        const pair = pairOf(size, fromSeed(size, bytes(seed)))
        assert.deepEqual(rawPublic(pair), bytes(ek), String(tcId))
        assert.deepEqual(decapsulateWith(pair.privateKey, bytes(c)), bytes(K), String(tcId))
        opened++
      } else {
        assert.throws(
          () => decapsulateWith(pairOf(size, fromSeed(size, bytes(seed))).privateKey, bytes(c)),
          `${size} ${tcId}`,
        )
        refused++
      }
    }
    const made = wycheproof<object, { seed: string; ek: string; dk: string }>(`mlkem_${size}_keygen_seed`)
    for (const { seed, ek, dk } of made.testGroups.flatMap(group => group.tests)) {
      const pairs = [pairOf(size, fromSeed(size, bytes(seed))), pairOf(size, fromExpanded(size, bytes(dk)))]
      for (const pair of pairs) assert.deepEqual(rawPublic(pair), bytes(ek))
      keys++
    }
  }
  assert.deepEqual([opened, refused, keys], [483, 120, 300])
})

test('Wycheproof ML-KEM: to public keys that are none, nothing is encapsulated', () => {
  let [encapsulated, refused] = [0, 0]
  for (const size of [512, 768, 1024] as const) {
    const file = wycheproof<object, { ek: string }>(`mlkem_${size}_encaps`)
    for (const { ek, result, tcId } of file.testGroups.flatMap(group => group.tests)) {
      const spki = sized(0x30, kemId(size), sized(3, Buffer.from([0]), bytes(ek)))
      const to = () => encapsulateTo(createPublicKey({ key: spki, format: 'der', type: 'spki' }))
      if (result === 'valid') {
        assert.equal(to().sharedSecret.length, 32)
        encapsulated++
      } else {
        assert.throws(to, `${size} ${tcId}`)
        refused++
      }
    }
  }
  assert.deepEqual([encapsulated, refused], [399, 396])
})

test('ACVP ML-KEM: key generation and decapsulation', () => {
  const made = acvp('kem/mlkem', 'ML-KEM-keyGen-FIPS203')
  assert.equal(made.length, 75)
  for (const { group, test: given, expected } of made) {
    const size = sizeOf(group)
    const fromSeeds = pairOf(size, fromSeed(size, Buffer.concat([bytes(given.d), bytes(given.z)])))
    const whole = pairOf(size, fromExpanded(size, bytes(expected.dk)))
    for (const pair of [fromSeeds, whole]) {
      assert.deepEqual(rawPublic(pair), bytes(expected.ek))
      const { sharedSecret, ciphertext } = encapsulateTo(pair.publicKey)
      assert.deepEqual(decapsulateWith(fromSeeds.privateKey, ciphertext), sharedSecret)
      assert.deepEqual(decapsulateWith(whole.privateKey, ciphertext), sharedSecret)
    }
  }
  const opened = acvp('kem/mlkem', 'ML-KEM-encapDecap-FIPS203').filter(each => each.group.function === 'decapsulation')
  assert.equal(opened.length, 30)
  for (const { group, test: given, expected } of opened) {
    const { privateKey } = pairOf(sizeOf(group), fromExpanded(sizeOf(group), bytes(group.dk)))
    assert.deepEqual(decapsulateWith(privateKey, bytes(given.c)), bytes(expected.k), String(given.tcId))
  }
})
