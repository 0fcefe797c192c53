/** The binding to OpenSSL: nothing that C makes stays behind, and nothing that a stranger sends brings the process down. */
import assert from 'node:assert/strict'
import { createHash, generateKeyPairSync, randomBytes, sign, verify } from 'node:crypto'
import { test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { NativeKey, type SignatureScheme, unavailable } from './libcrypto.ts'

setFlagsFromString('--expose-gc')
const gc = runInNewContext('gc') as () => void

const der = (type: string, options: object = {}) => {
  const { privateKey, publicKey } = generateKeyPairSync(type as 'ec', options as { namedCurve: string })
  return {
    privateKey,
    publicKey,
    pkcs8: privateKey.export({ format: 'der', type: 'pkcs8' }),
    spki: publicKey.export({ format: 'der', type: 'spki' }),
  }
}
const EC = der('ec', { namedCurve: 'prime256v1' })
const RSA = der('rsa', { modulusLength: 2048 })
const ED = der('ed25519')
const ML = der('ml-dsa-44')
const ECDSA: SignatureScheme = { kind: 'ecdsa', hash: 'sha256' }

test('this Node shows its OpenSSL', () => {
  assert.equal(unavailable, undefined)
})

test('Ed25519ph is that of RFC 8032 §7.3', () => {
  const seed = '833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42'
  const expected =
    '98a70222f0b8121aa9d30f813d683f809e462b469c7ff87639499bb94e6dae41' +
    '31f85042463c2a355a2003d062adf5aaa10b8c61e636062aaad11c2a26083406'
  const key = NativeKey.read(Buffer.from(`302e020100300506032b657004220420${seed}`, 'hex'), 'private')
  assert.equal(key.sign({ kind: 'ed25519ph' }, Buffer.from('abc')).toString('hex'), expected)
})

/** Megabytes that are resident once what can be collected was. */
async function resident(): Promise<number> {
  for (let round = 0; round < 4; round++) {
    gc()
    await wait(1)
  }
  return process.memoryUsage().rss / 2 ** 20
}

test('many operations, keys and refusals leave no memory behind', async () => {
  const kinds: readonly [typeof EC, SignatureScheme, Buffer][] = [
    [EC, ECDSA, randomBytes(32)],
    [RSA, { kind: 'rsa-pss', hash: 'sha512' }, randomBytes(64)],
    [ED, { kind: 'ed25519ph' }, randomBytes(64)],
    [ML, { kind: 'ml-dsa-44' }, randomBytes(64)],
  ]
  const round = async (times: number): Promise<void> => {
    for (const [{ pkcs8, spki }, scheme, input] of kinds) {
      const privateKey = NativeKey.read(pkcs8, 'private')
      const publicKey = NativeKey.read(spki, 'public')
      const signature = privateKey.sign(scheme, input)
      const wrong = Buffer.alloc(signature.length)
      for (let count = 0; count < times; count++) {
        assert.ok(publicKey.verify(scheme, input, signature))
        assert.ok(!publicKey.verify(scheme, input, wrong))
        assert.throws(() => publicKey.sign(scheme, input))
        assert.throws(() => privateKey.sign({ kind: 'rsa-pkcs1', hash: 'sha256' }, randomBytes(33)))
        if (count % 10 === 0) {
          assert.ok(NativeKey.lent(publicKey.address).verify(scheme, input, signature))
          NativeKey.read(pkcs8, 'private')
          assert.throws(() => NativeKey.read(pkcs8.subarray(0, 20), 'private'))
        }
        if (count % 500 === 0) await resident()
      }
    }
  }
  await round(1000)
  const before = await resident()
  await round(4000)
  const grown = (await resident()) - before
  assert.ok(grown < 12, `${grown.toFixed(1)} MB more`)
})

test('signatures of digests are those that node:crypto verifies of messages', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), message => {
      for (const hash of ['sha256', 'sha384', 'sha512'] as const) {
        const digest = createHash(hash).update(message).digest()
        const ec = NativeKey.read(EC.pkcs8, 'private').sign({ kind: 'ecdsa', hash }, digest)
        assert.ok(verify(hash, message, EC.publicKey, ec))
        const rsa = NativeKey.read(RSA.pkcs8, 'private')
        assert.ok(verify(hash, message, RSA.publicKey, rsa.sign({ kind: 'rsa-pkcs1', hash }, digest)))
        const pss = { key: RSA.publicKey, padding: 6, saltLength: digest.length }
        assert.ok(verify(hash, message, pss, rsa.sign({ kind: 'rsa-pss', hash }, digest)))
        const theirs = sign(hash, message, { ...pss, key: RSA.privateKey })
        assert.ok(NativeKey.read(RSA.spki, 'public').verify({ kind: 'rsa-pss', hash }, digest, theirs))
      }
    }),
    { numRuns: 20 },
  )
})

test('no bytes are a key by accident, and no signature is valid by accident', () => {
  const publicKey = NativeKey.read(EC.spki, 'public')
  const any = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    fc.tuple(fc.nat(EC.pkcs8.length - 1), fc.integer({ min: 1, max: 255 })).map(([at, by]) => {
      const bytes = Uint8Array.from(EC.pkcs8)
      bytes[at] = (bytes[at] as number) ^ by
      return bytes
    }),
  )
  fc.assert(
    fc.property(any, bytes => {
      for (const half of ['private', 'public'] as const) {
        try {
          NativeKey.read(Buffer.from(bytes), half)
        } catch (error) {
          assert.match(String(error), /reads no key/)
        }
      }
      assert.equal(publicKey.verify(ECDSA, Buffer.alloc(32), Buffer.from(bytes)), false)
    }),
    { numRuns: 500 },
  )
})

test('a key that does not agree with itself is found out', async () => {
  assert.ok(await NativeKey.read(RSA.pkcs8, 'private').check())
  assert.ok(await NativeKey.read(ML.pkcs8, 'private').check())
  const wrong = Buffer.from(RSA.pkcs8)
  wrong[700] = (wrong[700] as number) ^ 2
  assert.equal(await NativeKey.read(wrong, 'private').check(), false)
})
