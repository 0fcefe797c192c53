/** Import of every importable spec under every wrapping algorithm, and what is refused. */
import assert from 'node:assert/strict'
import { createECDH, createPublicKey, generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto'
import { after, before, test } from 'node:test'
import { hasAlgorithm, isAsymmetric, type SigningAlgorithm, SPECS } from '../../algorithms.ts'
import type { ImportMaterial, WrappingAlgorithm } from '../../client/api.ts'
import { wrapForImport } from '../../crypto/import-token.ts'
import { unwrapPadded, wrapPadded } from '../../crypto/key-wrap.ts'
import { KEY_SPECS, type KeySpec, type KeyUsage } from '../../words.ts'
import { fails, headerOfRow, type InProcess, inProcess, newKey } from '../testing/in-process.ts'

let made: InProcess
before(async () => {
  made = await inProcess()
})
after(async () => {
  await made.stop()
  made.remove()
})

const A = { operation: 'Test' }
const importable = (Object.keys(KEY_SPECS) as KeySpec[]).filter(spec => SPECS[spec].importable)
const IN_TWO = ['RSA_AES_KEY_WRAP_SHA_256', 'RSA_AES_KEY_WRAP_SHA_1'] as const
const AT_ONCE = ['RSAES_OAEP_SHA_256', 'RSAES_OAEP_SHA_1'] as const

const pkcs8 = (key: KeyObject): Buffer => key.export({ format: 'der', type: 'pkcs8' })

/** Material of a spec as an owner makes it, and its public key. */
function ownMaterial(spec: KeySpec): { bytes: Buffer; publicKey: Buffer } {
  const { material } = SPECS[spec]
  if (material.kind === 'secret') return { bytes: randomBytes(material.max), publicKey: Buffer.alloc(0) }
  const pair =
    material.kind === 'rsa'
      ? generateKeyPairSync('rsa', { modulusLength: material.modulusBits })
      : material.kind === 'ec'
        ? generateKeyPairSync('ec', { namedCurve: material.curve })
        : generateKeyPairSync(material.kind as 'ed25519')
  return { bytes: pkcs8(pair.privateKey), publicKey: pair.publicKey.export({ format: 'der', type: 'spki' }) }
}

const usageOf = (spec: KeySpec): KeyUsage =>
  SPECS[spec].usages.SIGN_VERIFY === undefined ? (Object.keys(SPECS[spec].usages)[0] as KeyUsage) : 'SIGN_VERIFY'

const emptyKey = (spec: KeySpec) => newKey(made.use, { spec, usage: usageOf(spec), origin: 'EXTERNAL' })

/** One token for all imports into a key: it is good for a day. */
const tokens = new Map<string, ReturnType<InProcess['use']['importParameters']>>()
function parameters(id: string, algorithm: WrappingAlgorithm) {
  const known = tokens.get(`${id} ${algorithm}`) ?? made.use.importParameters(id, algorithm, 2048, A)
  tokens.set(`${id} ${algorithm}`, known)
  return known
}

async function importInto(
  id: string,
  bytes: Buffer,
  more: Partial<ImportMaterial> & { algorithm?: WrappingAlgorithm; change?: (wrapped: Buffer) => Buffer } = {},
) {
  const { algorithm = 'RSA_AES_KEY_WRAP_SHA_256', change = (wrapped: Buffer) => wrapped, ...rest } = more
  const { token, publicKey } = await parameters(id, algorithm)
  return made.use.importKeyMaterial(
    id,
    {
      token,
      wrapped: change(wrapForImport(publicKey, algorithm, bytes)),
      expirationModel: 'KEY_MATERIAL_DOES_NOT_EXPIRE',
      validTo: 0,
      importType: '',
      description: '',
      materialId: '',
      ...rest,
    },
    A,
  )
}

for (const spec of importable) {
  test(`${spec} is imported, used, deleted and imported again, and takes no other material`, async () => {
    const { id } = await emptyKey(spec)
    const { bytes, publicKey } = ownMaterial(spec)
    const first = await importInto(id, bytes)
    assert.equal(headerOfRow(first.row).state, 'Enabled')
    assert.deepEqual(headerOfRow(first.row).publicKey, publicKey)
    if (isAsymmetric(spec)) {
      const algorithm = SPECS[spec].usages.SIGN_VERIFY?.[0] as SigningAlgorithm
      const input = { algorithm, messageType: 'RAW', message: Buffer.from('m') } as const
      const { signature } = await made.use.sign(first.row, input, A)
      await made.use.verify(first.row, input, signature, false, A)
    } else if (spec !== 'SYMMETRIC_DEFAULT') {
      const algorithm = `HMAC_SHA_${spec.slice(5)}` as 'HMAC_SHA_224'
      assert.ok(hasAlgorithm(spec, 'GENERATE_VERIFY_MAC', algorithm))
      assert.equal(
        (await made.use.generateMac(first.row, algorithm, Buffer.from('m'), A)).mac.length,
        Number(spec.slice(5)) / 8,
      )
    }
    await made.use.deleteImportedKeyMaterial(id, '', A)
    const other = ownMaterial(spec).bytes
    await assert.rejects(importInto(id, other), fails('IncorrectKeyMaterial'))
    if (spec !== 'SYMMETRIC_DEFAULT') {
      await assert.rejects(importInto(id, other, { importType: 'NEW_KEY_MATERIAL' }), fails('IncorrectKeyMaterial'))
    }
    const again = await importInto(id, bytes)
    assert.equal(again.materialId, first.materialId)
    assert.equal(headerOfRow(again.row).state, 'Enabled')
    assert.deepEqual(headerOfRow(again.row).publicKey, publicKey)
  })
}

test('material that RSAES-OAEP holds comes under all four algorithms', async () => {
  for (const spec of importable) {
    const { bytes } = ownMaterial(spec)
    if (bytes.length > 190) continue
    for (const algorithm of [...AT_ONCE, ...IN_TWO]) {
      const { id } = await emptyKey(spec)
      const { row } = await importInto(id, bytes, { algorithm })
      assert.equal(headerOfRow(row).state, 'Enabled', `${spec} ${algorithm}`)
    }
  }
})

test('what does not unwrap is InvalidCiphertext, whatever is wrong with it', async () => {
  const { id } = await emptyKey('SYMMETRIC_DEFAULT')
  const flip = (at: number) => (wrapped: Buffer) => {
    const copy = Buffer.from(wrapped)
    copy[at] = (copy[at] as number) ^ 1
    return copy
  }
  const changes = [
    flip(0),
    flip(255),
    flip(256),
    flip(295),
    (wrapped: Buffer) => wrapped.subarray(0, 255),
    (wrapped: Buffer) => wrapped.subarray(0, 256),
    (wrapped: Buffer) => wrapped.subarray(0, 264),
    (wrapped: Buffer) => wrapped.subarray(0, -1),
    (wrapped: Buffer) => Buffer.concat([wrapped, Buffer.alloc(8)]),
    () => Buffer.alloc(0),
  ]
  for (const change of changes) {
    await assert.rejects(importInto(id, randomBytes(32), { change }), fails('InvalidCiphertext'))
  }
  const atOnce = { algorithm: 'RSAES_OAEP_SHA_256', change: flip(3) } as const
  await assert.rejects(importInto(id, randomBytes(32), atOnce), fails('InvalidCiphertext'))
})

/** PKCS #8 of an EC key from its parts. */
function ecKey(scalar: Buffer, point: Buffer | undefined): Buffer {
  const tlv = (tag: number, ...parts: Buffer[]): Buffer => {
    const content = Buffer.concat(parts)
    return Buffer.concat([
      Buffer.from(content.length < 128 ? [tag, content.length] : [tag, 0x81, content.length]),
      content,
    ])
  }
  const ids = tlv(0x30, tlv(6, Buffer.from('2a8648ce3d0201', 'hex')), tlv(6, Buffer.from('2a8648ce3d030107', 'hex')))
  const stated = point === undefined ? [] : [tlv(0xa1, tlv(3, Buffer.from([0]), point))]
  const inner = tlv(0x30, tlv(2, Buffer.from([1])), tlv(4, scalar), ...stated)
  return tlv(0x30, tlv(2, Buffer.from([0])), ids, tlv(4, inner))
}
const ORDER = Buffer.from('ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551', 'hex')

test('one EC key in all its encodings is one material', async () => {
  const pair = createECDH('prime256v1')
  pair.generateKeys()
  const scalar = pair.getPrivateKey()
  const { id } = await emptyKey('ECC_NIST_P256')
  const forms = [
    ecKey(scalar, undefined),
    ecKey(scalar, pair.getPublicKey()),
    ecKey(scalar, pair.getPublicKey(null, 'compressed')),
  ]
  const ids = new Set<string>()
  for (const form of forms) {
    const { row, materialId } = await importInto(id, form)
    ids.add(materialId)
    const spki = headerOfRow(row).publicKey
    assert.deepEqual(spki.subarray(-65), pair.getPublicKey())
    assert.equal(
      createPublicKey({ key: spki, format: 'der', type: 'spki' }).asymmetricKeyDetails?.namedCurve,
      'prime256v1',
    )
    const fresh = await importInto((await emptyKey('ECC_NIST_P256')).id, form)
    assert.notEqual(fresh.materialId, materialId)
  }
  assert.equal(ids.size, 1)
})

test('material that is not of the spec, or does not agree with itself, is refused', async () => {
  const pair = createECDH('prime256v1')
  pair.generateKeys()
  const other = createECDH('prime256v1')
  other.generateKeys()
  const over = Buffer.from(ORDER)
  over[31] = (over[31] as number) + 1
  const wrongEc = [
    ecKey(Buffer.alloc(32), undefined),
    ecKey(ORDER, undefined),
    ecKey(over, undefined),
    ecKey(Buffer.alloc(32, 255), undefined),
    ecKey(Buffer.concat([Buffer.alloc(1), pair.getPrivateKey()]), undefined),
    ecKey(pair.getPrivateKey(), other.getPublicKey()),
    Buffer.concat([ecKey(pair.getPrivateKey(), undefined), Buffer.alloc(1)]),
    ecKey(pair.getPrivateKey(), undefined).subarray(0, -1),
    randomBytes(32),
    Buffer.from([0x30, 0x80]),
  ]
  const ec = await emptyKey('ECC_NIST_P256')
  for (const [index, bytes] of wrongEc.entries()) {
    await assert.rejects(importInto(ec.id, bytes), fails('IncorrectKeyMaterial'), `EC ${index}`)
  }
  const samples = new Map(importable.map(spec => [spec, ownMaterial(spec).bytes]))
  for (const spec of importable) {
    const { id } = await emptyKey(spec)
    for (const from of importable) {
      if (from === spec || !isAsymmetric(from) || !isAsymmetric(spec)) continue
      await assert.rejects(
        importInto(id, samples.get(from) as Buffer),
        fails('IncorrectKeyMaterial'),
        `${from} as ${spec}`,
      )
    }
    const { material } = SPECS[spec]
    if (material.kind !== 'secret') continue
    for (const bytes of [1, material.min - 1, material.max + 1]) {
      await assert.rejects(importInto(id, randomBytes(bytes)), fails('IncorrectKeyMaterial'), `${bytes} as ${spec}`)
    }
  }
})

test('an RSA key with a wrong part, or a small exponent, is refused', async () => {
  const { id } = await emptyKey('RSA_2048')
  const small = generateKeyPairSync('rsa', { modulusLength: 2048, publicExponent: 3 })
  await assert.rejects(importInto(id, pkcs8(small.privateKey)), fails('IncorrectKeyMaterial'))
  const right = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const der = pkcs8(right.privateKey)
  // Somewhere in the private exponent, in a prime, and in the last coefficient.
  for (const at of [400, 650, der.length - 5]) {
    const wrong = Buffer.from(der)
    wrong[at] = (wrong[at] as number) ^ 2
    await assert.rejects(importInto(id, wrong), fails('IncorrectKeyMaterial'), `byte ${at}`)
  }
  const pss = generateKeyPairSync('rsa-pss', { modulusLength: 2048 })
  await assert.rejects(importInto(id, pkcs8(pss.privateKey)), fails('IncorrectKeyMaterial'))
  await importInto(id, der)
})

test('AES key wrap with padding is the one of RFC 5649', () => {
  const key = Buffer.alloc(32, 9)
  for (let bytes = 1; bytes <= 40; bytes++) {
    const clear = randomBytes(bytes)
    const wrapped = wrapPadded(key, clear)
    assert.equal(wrapped.length, Math.max(16, 8 * Math.ceil(bytes / 8) + 8))
    assert.deepEqual(unwrapPadded(key, wrapped), clear)
    for (let at = 0; at < wrapped.length; at += 5) {
      const wrong = Buffer.from(wrapped)
      wrong[at] = (wrong[at] as number) ^ 1
      assert.throws(() => unwrapPadded(key, wrong), fails('InvalidCiphertext'))
    }
  }
})
