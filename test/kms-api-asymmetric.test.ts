/**
 * Keys of every spec over the wire, with the AWS SDK: what the service signs, encrypts, authenticates and agrees on is checked outside it, with nothing but
 * the public key (or a peer's own), and what was made outside is taken. aws-kms.md §3.3, §3.4, §3.5.
 */
import assert from 'node:assert/strict'
import {
  constants,
  createHash,
  createPrivateKey,
  createPublicKey,
  decapsulate,
  diffieHellman,
  encapsulate,
  generateKeyPairSync,
  type KeyObject,
  privateDecrypt,
  publicEncrypt,
  randomBytes,
  sign as signHere,
  verify as verifyHere,
} from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import type { DataKeyPairSpec, KeySpec, KeyUsageType, KMS, SigningAlgorithmSpec } from '@aws-sdk/client-kms'
import { type Kms, startKms } from './support/kms.ts'
import { newKey, refused, sdk } from './support/sdk.ts'

let service: Kms
let kms: KMS

before(async () => {
  service = await startKms()
  kms = sdk(service.line.endpoint, service.line)
})
after(async () => {
  kms?.destroy()
  await service?.stop()
})

const SPKI = { format: 'der', type: 'spki' } as const
const publicOf = (der: Uint8Array | undefined): KeyObject => createPublicKey({ key: Buffer.from(der ?? []), ...SPKI })
const bytes = (value: Uint8Array | undefined): Buffer => Buffer.from(value ?? [])

interface Made {
  readonly id: string
  readonly arn: string
  readonly publicKey: KeyObject
}

async function keyWithPublic(spec: KeySpec, usage: KeyUsageType): Promise<Made> {
  const key = await newKey(kms, { KeySpec: spec, KeyUsage: usage })
  const answer = await kms.getPublicKey({ KeyId: key.id })
  assert.equal(answer.KeyId, key.arn)
  assert.equal(answer.KeySpec, spec)
  assert.equal(answer.KeyUsage, usage)
  return { ...key, publicKey: publicOf(answer.PublicKey) }
}

/** How a signature is verified without the service. ECDSA: DER, as AWS gives it. */
interface Outside {
  readonly hash: string | null
  readonly padding?: number
  readonly saltLength?: number
}
const hashOf = (algorithm: string): string => `sha${algorithm.slice(-3)}`
function outside(algorithm: string): Outside {
  if (algorithm.startsWith('RSASSA_PSS')) {
    const saltLength = Number(algorithm.slice(-3)) / 8
    return { hash: hashOf(algorithm), padding: constants.RSA_PKCS1_PSS_PADDING, saltLength }
  }
  if (algorithm.startsWith('RSASSA_PKCS1')) return { hash: hashOf(algorithm), padding: constants.RSA_PKCS1_PADDING }
  return { hash: algorithm.startsWith('ECDSA') ? hashOf(algorithm) : null }
}

describe('signatures', () => {
  const RSA: readonly SigningAlgorithmSpec[] = [
    'RSASSA_PKCS1_V1_5_SHA_256',
    'RSASSA_PKCS1_V1_5_SHA_384',
    'RSASSA_PKCS1_V1_5_SHA_512',
    'RSASSA_PSS_SHA_256',
    'RSASSA_PSS_SHA_384',
    'RSASSA_PSS_SHA_512',
  ]
  const cases: readonly (readonly [KeySpec, readonly SigningAlgorithmSpec[]])[] = [
    ['RSA_2048', RSA],
    ['RSA_3072', RSA],
    ['RSA_4096', RSA],
    ['ECC_NIST_P256', ['ECDSA_SHA_256']],
    ['ECC_NIST_P384', ['ECDSA_SHA_384']],
    ['ECC_NIST_P521', ['ECDSA_SHA_512']],
    ['ECC_SECG_P256K1', ['ECDSA_SHA_256']],
    ['ECC_NIST_EDWARDS25519', ['ED25519_SHA_512']],
    ['ML_DSA_44', ['ML_DSA_SHAKE_256']],
    ['ML_DSA_65', ['ML_DSA_SHAKE_256']],
    ['ML_DSA_87', ['ML_DSA_SHAKE_256']],
  ]

  for (const [spec, algorithms] of cases) {
    test(`${spec}: verified outside with the public key, of messages and of digests`, async () => {
      const key = await keyWithPublic(spec, 'SIGN_VERIFY')
      const Message = randomBytes(1000)
      for (const SigningAlgorithm of algorithms) {
        const { hash, ...options } = outside(SigningAlgorithm)
        const forms =
          hash === null
            ? [{ Message }]
            : [{ Message }, { Message: createHash(hash).update(Message).digest(), MessageType: 'DIGEST' as const }]
        for (const form of forms) {
          const { Signature, $metadata: _, ...rest } = await kms.sign({ KeyId: key.id, SigningAlgorithm, ...form })
          assert.deepEqual(rest, { KeyId: key.arn, SigningAlgorithm })
          const good = bytes(Signature)
          assert.ok(verifyHere(hash, Message, { key: key.publicKey, ...options }, good), SigningAlgorithm)
          const { $metadata: __, ...verified } = await kms.verify({
            KeyId: key.id,
            SigningAlgorithm,
            Signature: good,
            ...form,
          })
          assert.deepEqual(verified, { KeyId: key.arn, SignatureValid: true, SigningAlgorithm })
          good[good.length >> 1] = (good[good.length >> 1] ?? 0) ^ 1
          await refused(
            kms.verify({ KeyId: key.id, SigningAlgorithm, Signature: good, ...form }),
            'KMSInvalidSignature',
          )
        }
      }
    })
  }

  test('Ed25519ph: the digest that is given is hashed once more, and is no signature of Ed25519', async () => {
    const key = await keyWithPublic('ECC_NIST_EDWARDS25519', 'SIGN_VERIFY')
    const Message = createHash('sha512').update('a message').digest()
    const asked = { KeyId: key.id, SigningAlgorithm: 'ED25519_PH_SHA_512', MessageType: 'DIGEST', Message } as const
    const { Signature } = await kms.sign(asked)
    assert.equal(Signature?.length, 64)
    await kms.verify({ ...asked, Signature })
    assert.ok(!verifyHere(null, Message, key.publicKey, bytes(Signature)))
    await refused(
      kms.verify({ KeyId: key.id, SigningAlgorithm: 'ED25519_SHA_512', Message, Signature }),
      'KMSInvalidSignature',
    )
  })

  test('ML-DSA: mu, computed outside from the public key, stands for the message', async () => {
    for (const [spec, length] of [
      ['ML_DSA_44', 1312],
      ['ML_DSA_87', 2592],
    ] as const) {
      const key = await keyWithPublic(spec, 'SIGN_VERIFY')
      const message = randomBytes(300)
      const shake = (...parts: readonly Buffer[]): Buffer => {
        const hash = createHash('shake256', { outputLength: 64 })
        for (const part of parts) hash.update(part)
        return hash.digest()
      }
      // FIPS 204, algorithms 2 and 7: an empty context has two zero bytes.
      const tr = shake(key.publicKey.export(SPKI).subarray(-length))
      const mu = shake(tr, Buffer.alloc(2), message)
      const asked = { KeyId: key.id, SigningAlgorithm: 'ML_DSA_SHAKE_256' } as const
      const { Signature } = await kms.sign({ ...asked, Message: mu, MessageType: 'EXTERNAL_MU' })
      assert.ok(verifyHere(null, message, key.publicKey, bytes(Signature)), spec)
      await kms.verify({ ...asked, Message: message, Signature })
    }
  })
})

describe('encryption with RSA', () => {
  for (const spec of ['RSA_2048', 'RSA_3072', 'RSA_4096'] as const) {
    test(`${spec}: what was encrypted outside is decrypted, and its answers name the key`, async () => {
      const key = await keyWithPublic(spec, 'ENCRYPT_DECRYPT')
      for (const [EncryptionAlgorithm, oaepHash] of [
        ['RSAES_OAEP_SHA_1', 'sha1'],
        ['RSAES_OAEP_SHA_256', 'sha256'],
      ] as const) {
        const Plaintext = randomBytes(100)
        const padding = constants.RSA_PKCS1_OAEP_PADDING
        const blob = publicEncrypt({ key: key.publicKey, padding, oaepHash }, Plaintext)
        const asked = { KeyId: key.arn, EncryptionAlgorithm }
        const { Plaintext: opened, $metadata: _, ...rest } = await kms.decrypt({ ...asked, CiphertextBlob: blob })
        assert.deepEqual(bytes(opened), Plaintext)
        assert.deepEqual(rest, { KeyId: key.arn, EncryptionAlgorithm })
        const { CiphertextBlob } = await kms.encrypt({ ...asked, Plaintext })
        assert.equal(CiphertextBlob?.length, blob.length)
        assert.notDeepEqual(bytes(CiphertextBlob), blob)
        assert.deepEqual(bytes((await kms.decrypt({ ...asked, CiphertextBlob })).Plaintext), Plaintext)
      }
    })
  }

  test('two keys are two keys', async () => {
    const [one, two] = await Promise.all([
      keyWithPublic('RSA_2048', 'ENCRYPT_DECRYPT'),
      keyWithPublic('RSA_2048', 'ENCRYPT_DECRYPT'),
    ])
    assert.ok(!one.publicKey.equals(two.publicKey))
  })
})

test('MACs: of the hash’s length, and of this key and this message in whole', async () => {
  const sizes = { HMAC_224: 28, HMAC_256: 32, HMAC_384: 48, HMAC_512: 64 } as const
  for (const spec of Object.keys(sizes) as (keyof typeof sizes)[]) {
    const MacAlgorithm = `HMAC_SHA_${spec.slice(-3)}` as 'HMAC_SHA_224'
    const key = await newKey(kms, { KeySpec: spec, KeyUsage: 'GENERATE_VERIFY_MAC' })
    const other = await newKey(kms, { KeySpec: spec, KeyUsage: 'GENERATE_VERIFY_MAC' })
    const Message = randomBytes(500)
    const { Mac, $metadata: _, ...rest } = await kms.generateMac({ KeyId: key.id, MacAlgorithm, Message })
    assert.deepEqual(rest, { MacAlgorithm, KeyId: key.arn })
    assert.equal(Mac?.length, sizes[spec])
    assert.deepEqual((await kms.generateMac({ KeyId: key.id, MacAlgorithm, Message })).Mac, Mac)
    const { $metadata: __, ...verified } = await kms.verifyMac({ KeyId: key.id, MacAlgorithm, Message, Mac })
    assert.deepEqual(verified, { KeyId: key.arn, MacValid: true, MacAlgorithm })
    await refused(kms.verifyMac({ KeyId: other.id, MacAlgorithm, Message, Mac }), 'KMSInvalidMac')
    const changed = { KeyId: key.id, MacAlgorithm, Message: Message.subarray(1), Mac }
    await refused(kms.verifyMac(changed), 'KMSInvalidMac')
    await refused(kms.verifyMac({ ...changed, Message, Mac: Mac?.subarray(1) }), 'KMSInvalidMac')
  }
})

test('key agreement: a peer outside comes to the same secret', async () => {
  for (const [spec, namedCurve] of [
    ['ECC_NIST_P256', 'P-256'],
    ['ECC_NIST_P384', 'P-384'],
    ['ECC_NIST_P521', 'P-521'],
  ] as const) {
    const key = await keyWithPublic(spec, 'KEY_AGREEMENT')
    const peer = generateKeyPairSync('ec', { namedCurve })
    const {
      SharedSecret,
      $metadata: _,
      ...rest
    } = await kms.deriveSharedSecret({
      KeyId: key.id,
      KeyAgreementAlgorithm: 'ECDH',
      PublicKey: peer.publicKey.export(SPKI),
    })
    assert.deepEqual(rest, { KeyId: key.arn, KeyAgreementAlgorithm: 'ECDH', KeyOrigin: 'AWS_KMS' })
    const ours = diffieHellman({ privateKey: peer.privateKey, publicKey: key.publicKey })
    assert.deepEqual(bytes(SharedSecret), ours)
  }
})

test('key encapsulation: what was encapsulated outside opens, and a wrong ciphertext gives another secret', async () => {
  for (const [spec, length] of [
    ['ML_KEM_512', 768],
    ['ML_KEM_768', 1088],
    ['ML_KEM_1024', 1568],
  ] as const) {
    const key = await keyWithPublic(spec, 'ENCAPSULATE_DECAPSULATE')
    const asked = { KeyId: key.id, EncapsulationAlgorithm: 'ML_KEM' } as const
    const own = await kms.encapsulate(asked)
    assert.equal(own.KeyId, key.arn)
    assert.equal(own.EncapsulationAlgorithm, 'ML_KEM')
    assert.equal(own.SharedSecretCiphertextBlob?.length, length)
    assert.equal(own.SharedSecret?.length, 32)
    const blob = bytes(own.SharedSecretCiphertextBlob)
    const again = await kms.decapsulate({ ...asked, SharedSecretCiphertextBlob: blob })
    assert.deepEqual(again.SharedSecret, own.SharedSecret)
    const outside = encapsulate(key.publicKey)
    const opened = await kms.decapsulate({ ...asked, SharedSecretCiphertextBlob: outside.ciphertext })
    assert.deepEqual(bytes(opened.SharedSecret), Buffer.from(outside.sharedKey))
    blob[0] = (blob[0] ?? 0) ^ 1
    const rejected = await kms.decapsulate({ ...asked, SharedSecretCiphertextBlob: blob })
    assert.equal(rejected.SharedSecret?.length, 32)
    assert.notDeepEqual(rejected.SharedSecret, own.SharedSecret)
    const short = blob.subarray(1)
    await refused(kms.decapsulate({ ...asked, SharedSecretCiphertextBlob: short }), 'InvalidCiphertext')
  }
})

describe('data key pairs', () => {
  /** What the two halves of a pair do together. */
  function belongTogether(privateKey: KeyObject, publicKey: KeyObject): void {
    const type = publicKey.asymmetricKeyType ?? ''
    if (type === 'rsa') {
      const secret = randomBytes(16)
      assert.deepEqual(privateDecrypt(privateKey, publicEncrypt(publicKey, secret)), secret)
    } else if (type.startsWith('ml-kem')) {
      const { sharedKey, ciphertext } = encapsulate(publicKey)
      assert.deepEqual(decapsulate(privateKey, ciphertext), sharedKey)
    } else {
      const message = randomBytes(16)
      const hash = type === 'ed25519' ? null : 'sha256'
      assert.ok(verifyHere(hash, message, publicKey, signHere(hash, message, privateKey)))
    }
  }

  for (const KeyPairSpec of [
    ...['RSA_2048', 'RSA_3072', 'RSA_4096', 'ECC_NIST_P256', 'ECC_NIST_P384', 'ECC_NIST_P521', 'ECC_SECG_P256K1'],
    ...['ECC_NIST_EDWARDS25519', 'ML_KEM_512', 'ML_KEM_768', 'ML_KEM_1024'],
  ] as DataKeyPairSpec[]) {
    test(`${KeyPairSpec}: the halves belong together, and the private one comes back with Decrypt`, async () => {
      const key = await newKey(kms)
      const EncryptionContext = { purpose: KeyPairSpec }
      const asked = { KeyId: key.id, KeyPairSpec, EncryptionContext }
      const made = await kms.generateDataKeyPair(asked)
      assert.equal(made.KeyId, key.arn)
      assert.equal(made.KeyPairSpec, KeyPairSpec)
      assert.match(made.KeyMaterialId ?? '', /^[0-9a-f]{64}$/)
      const privateKey = (der: Uint8Array | undefined) =>
        createPrivateKey({ key: bytes(der), format: 'der', type: 'pkcs8' })
      belongTogether(privateKey(made.PrivateKeyPlaintext), publicOf(made.PublicKey))
      const opened = await kms.decrypt({ CiphertextBlob: made.PrivateKeyCiphertextBlob, EncryptionContext })
      assert.deepEqual(opened.Plaintext, made.PrivateKeyPlaintext)
      const without = await kms.generateDataKeyPairWithoutPlaintext(asked)
      assert.ok(!('PrivateKeyPlaintext' in without))
      const kept = await kms.decrypt({ CiphertextBlob: without.PrivateKeyCiphertextBlob, EncryptionContext })
      belongTogether(privateKey(kept.Plaintext), publicOf(without.PublicKey))
    })
  }
})
