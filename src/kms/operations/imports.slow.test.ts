/**
 * Imports for every spec (aws-kms.md §3.6): which wrapping goes with which key, and that a key with imported material is the key that its owner has: what it
 * makes is checked with the owner's own copy.
 */
import assert from 'node:assert/strict'
import {
  constants,
  createCipheriv,
  createHmac,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  privateDecrypt,
  publicEncrypt,
  randomBytes,
  verify as verifyHere,
} from 'node:crypto'
import { after, before, test } from 'node:test'
import { isAsymmetric, SPECS } from '../../boundary/algorithms.ts'
import { KEY_SPECS, type KeySpec, type KeyUsage } from '../../boundary/words.ts'
import { startTestKms, type TestKms } from '../testing.ts'

let kms: TestKms
before(async () => {
  kms = await startTestKms()
})
after(async () => {
  await kms.stop()
  assert.deepEqual(kms.defects, [])
})

const importable = (Object.keys(KEY_SPECS) as KeySpec[]).filter(spec => SPECS[spec].importable)
const usageOf = (spec: KeySpec): KeyUsage => {
  const usages = Object.keys(SPECS[spec].usages) as KeyUsage[]
  return usages.find(usage => usage === 'SIGN_VERIFY') ?? (usages[0] as KeyUsage)
}

async function external(spec: KeySpec): Promise<string> {
  const asked = { KeySpec: spec, KeyUsage: usageOf(spec), Origin: 'EXTERNAL' }
  const { KeyMetadata } = await kms.ok('CreateKey', asked)
  assert.equal(KeyMetadata.KeyState, 'PendingImport')
  return KeyMetadata.KeyId
}

const ALGORITHMS = [
  ...['RSAES_OAEP_SHA_1', 'RSAES_OAEP_SHA_256', 'RSA_AES_KEY_WRAP_SHA_1', 'RSA_AES_KEY_WRAP_SHA_256'],
  ...['RSAES_PKCS1_V1_5', 'SM2PKE'],
] as const

/** The rules of §3.6, in other words than the operation has them. */
function goes(spec: KeySpec, algorithm: string, wrapping: string): boolean {
  if (wrapping === 'SM2' || algorithm === 'RSAES_PKCS1_V1_5' || algorithm === 'SM2PKE') return false
  if (algorithm.startsWith('RSA_AES_KEY_WRAP')) return !/^(SYMMETRIC|HMAC)/.test(spec)
  if (spec.startsWith('RSA_')) return false
  return spec !== 'ECC_NIST_P521' || wrapping !== 'RSA_2048'
}

test('each wrapping algorithm with each kind of key: offered or refused', async () => {
  for (const spec of importable) {
    const KeyId = await external(spec)
    for (const WrappingAlgorithm of ALGORITHMS) {
      // The longer keys take seconds to make, and differ for one spec only.
      const wrappings = spec === 'ECC_NIST_P521' ? ['RSA_2048', 'RSA_3072', 'SM2'] : ['RSA_2048', 'SM2']
      for (const WrappingKeySpec of wrappings) {
        const { status, body } = await kms.call('GetParametersForImport', {
          KeyId,
          WrappingAlgorithm,
          WrappingKeySpec,
        })
        const where = `${spec} ${WrappingAlgorithm} ${WrappingKeySpec}: ${JSON.stringify(body)}`
        if (goes(spec, WrappingAlgorithm, WrappingKeySpec)) assert.equal(status, 200, where)
        else {
          assert.equal(body.__type, 'UnsupportedOperationException', where)
          const text = `${WrappingAlgorithm} with ${WrappingKeySpec} is not supported for key material of ${spec}.`
          assert.equal(body.message, text)
        }
      }
    }
  }
})

/** AES-KWP (RFC 5649). */
function keyWrap(key: Buffer, material: Buffer): Buffer {
  const cipher = createCipheriv('id-aes256-wrap-pad', key, Buffer.from('a65959a6', 'hex'))
  return Buffer.concat([cipher.update(material), cipher.final()])
}

async function bring(KeyId: string, material: Buffer, WrappingAlgorithm: string, more: object = {}) {
  const asked = { KeyId, WrappingAlgorithm, WrappingKeySpec: 'RSA_3072' }
  const { ImportToken, PublicKey } = await kms.ok('GetParametersForImport', asked)
  const key = createPublicKey({ key: Buffer.from(PublicKey, 'base64'), format: 'der', type: 'spki' })
  const padding = constants.RSA_PKCS1_OAEP_PADDING
  const oaepHash = WrappingAlgorithm.endsWith('SHA_1') ? 'sha1' : 'sha256'
  const direct = (bytes: Buffer) => publicEncrypt({ key, padding, oaepHash }, bytes)
  const ephemeral = randomBytes(32)
  const wrapped = WrappingAlgorithm.startsWith('RSAES')
    ? direct(material)
    : Buffer.concat([direct(ephemeral), keyWrap(ephemeral, material)])
  return kms.call('ImportKeyMaterial', {
    KeyId,
    ImportToken,
    EncryptedKeyMaterial: wrapped.toString('base64'),
    ExpirationModel: 'KEY_MATERIAL_DOES_NOT_EXPIRE',
    ...more,
  })
}

/** An owner's key: the material as it is imported, and the pair where it is one. */
function ownersKey(spec: KeySpec): { readonly material: Buffer<ArrayBuffer>; readonly pair: KeyObject | undefined } {
  const { material } = SPECS[spec]
  if (material.kind === 'secret') return { material: randomBytes(material.bytes), pair: undefined }
  const options =
    material.kind === 'rsa'
      ? { modulusLength: material.modulusBits }
      : material.kind === 'ec'
        ? { namedCurve: material.curve }
        : {}
  const generate = generateKeyPairSync as unknown as (type: string, options: object) => { privateKey: KeyObject }
  const { privateKey } = generate(material.kind, options)
  return { material: privateKey.export({ format: 'der', type: 'pkcs8' }), pair: privateKey }
}

/** That the key and the owner's copy are one. */
async function sameKey(spec: KeySpec, KeyId: string, { material, pair }: ReturnType<typeof ownersKey>): Promise<void> {
  if (pair === undefined) {
    if (!spec.startsWith('HMAC')) return
    const algorithm = `HMAC_SHA_${spec.slice(-3)}`
    const { Mac } = await kms.ok('GenerateMac', { KeyId, Message: 'AAAA', MacAlgorithm: algorithm })
    const own = createHmac(`sha${spec.slice(-3)}`, material).update(Buffer.from('AAAA', 'base64'))
    assert.equal(Mac, own.digest('base64'))
    return
  }
  const { PublicKey } = await kms.ok('GetPublicKey', { KeyId })
  const publicKey = createPublicKey(pair)
  assert.equal(PublicKey, publicKey.export({ format: 'der', type: 'spki' }).toString('base64'))
  const [SigningAlgorithm = ''] = SPECS[spec].usages.SIGN_VERIFY ?? []
  const message = randomBytes(64)
  const { Signature } = await kms.ok('Sign', { KeyId, Message: message.toString('base64'), SigningAlgorithm })
  const hash = /^(RSA|ECDSA)/.test(SigningAlgorithm) ? `sha${SigningAlgorithm.slice(-3)}` : null
  assert.ok(verifyHere(hash, message, publicKey, Buffer.from(Signature, 'base64')), spec)
}

for (const spec of importable) {
  test(`${spec}: imported, deleted, and brought back; another material is refused`, async () => {
    const KeyId = await external(spec)
    const own = ownersKey(spec)
    const algorithm = isAsymmetric(spec) ? 'RSA_AES_KEY_WRAP_SHA_256' : 'RSAES_OAEP_SHA_256'
    const first = await bring(KeyId, own.material, algorithm)
    assert.equal(first.status, 200, JSON.stringify(first.body))
    await sameKey(spec, KeyId, own)
    const { KeyMetadata } = await kms.ok('DescribeKey', { KeyId })
    assert.equal(KeyMetadata.KeyState, 'Enabled')
    assert.equal(KeyMetadata.ExpirationModel, 'KEY_MATERIAL_DOES_NOT_EXPIRE')
    assert.equal(KeyMetadata.CurrentKeyMaterialId !== undefined, spec === 'SYMMETRIC_DEFAULT')
    const other = await bring(KeyId, ownersKey(spec).material, algorithm)
    assert.equal(other.body.__type, 'IncorrectKeyMaterialException', spec)
    if (spec !== 'SYMMETRIC_DEFAULT') {
      const more = { ImportType: 'NEW_KEY_MATERIAL' }
      const second = await bring(KeyId, ownersKey(spec).material, algorithm, more)
      assert.equal(second.body.__type, 'IncorrectKeyMaterialException', spec)
    }
    await kms.ok('DeleteImportedKeyMaterial', { KeyId })
    assert.equal((await kms.ok('DescribeKey', { KeyId })).KeyMetadata.KeyState, 'PendingImport')
    const again = await bring(KeyId, own.material, algorithm)
    assert.equal(again.status, 200, JSON.stringify(again.body))
    assert.equal(again.body.KeyMaterialId, first.body.KeyMaterialId)
    await sameKey(spec, KeyId, own)
  })

  test(`${spec}: what is no material of it is refused, and the key goes on waiting`, async () => {
    const KeyId = await external(spec)
    const algorithm = isAsymmetric(spec) ? 'RSA_AES_KEY_WRAP_SHA_1' : 'RSAES_OAEP_SHA_1'
    const others = importable.filter(each => each !== spec && isAsymmetric(each) && /P256|EDWARDS|ML_DSA_44/.test(each))
    const wrong = [randomBytes(16), randomBytes(200)]
    if (isAsymmetric(spec)) wrong.push(...others.map(each => ownersKey(each).material))
    for (const material of wrong) {
      const { status, body } = await bring(KeyId, material, algorithm)
      assert.equal(status, 400, spec)
      assert.match(body.__type, /^(IncorrectKeyMaterial|InvalidCiphertext)Exception$/)
    }
    assert.equal((await kms.ok('DescribeKey', { KeyId })).KeyMetadata.KeyState, 'PendingImport')
  })
}

test('an imported RSA key opens what its owner encrypted, and the owner what it encrypted', async () => {
  const asked = { KeySpec: 'RSA_2048', KeyUsage: 'ENCRYPT_DECRYPT', Origin: 'EXTERNAL' }
  const { KeyId } = (await kms.ok('CreateKey', asked)).KeyMetadata
  const { material, pair } = ownersKey('RSA_2048')
  assert.ok(pair)
  assert.equal((await bring(KeyId, material, 'RSA_AES_KEY_WRAP_SHA_1')).status, 200)
  const secret = randomBytes(50)
  const oaep = { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' }
  const blob = publicEncrypt({ key: createPublicKey(pair), ...oaep }, secret)
  const named = { KeyId, EncryptionAlgorithm: 'RSAES_OAEP_SHA_256' }
  const opened = await kms.ok('Decrypt', { ...named, CiphertextBlob: blob.toString('base64') })
  assert.equal(opened.Plaintext, secret.toString('base64'))
  const { CiphertextBlob } = await kms.ok('Encrypt', { ...named, Plaintext: secret.toString('base64') })
  assert.deepEqual(privateDecrypt({ key: pair, ...oaep }, Buffer.from(CiphertextBlob, 'base64')), secret)
})
