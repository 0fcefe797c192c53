/** Keys with given ids and material: what they are, that they open what others of the same seed made, and where they are refused. */
import assert from 'node:assert/strict'
import { generateKeyPairSync, type KeyObject, verify as verifySignature } from 'node:crypto'
import { after, before, test } from 'node:test'
import { isAsymmetric, type SigningAlgorithm, SPECS } from '../../algorithms.ts'
import type { SeedKey } from '../../client/api.ts'
import { connectControl } from '../../client/control.ts'
import { BoundaryError, KEY_SPECS, type KeySpec, type KeyUsage } from '../../words.ts'
import { fails, headerOfRow, type InProcess, inProcess, keyId, newKey, SCOPE } from '../testing/in-process.ts'
import { DAY } from './create.ts'

const A = { operation: 'admin:seed' }
const MRK = 'mrk-00000000000000000000000000000042'
let made: InProcess
before(async () => {
  made = await inProcess()
})
after(async () => {
  await made.stop()
  made.remove()
})

let next = 0x5eed0000
const seed = (more: Partial<SeedKey> = {}): SeedKey => ({
  id: keyId(next++),
  account: '111122223333',
  spec: 'SYMMETRIC_DEFAULT',
  usage: 'ENCRYPT_DECRYPT',
  origin: 'AWS_KMS',
  replicaRegions: [],
  materials: [Buffer.alloc(32, 1)],
  state: 'Enabled',
  createdAt: 0,
  pendingWindowDays: 0,
  rotationPeriodDays: 0,
  nextRotationAt: 0,
  policy: Buffer.from('{}'),
  rows: [],
  ...more,
})

const context = [['a', 'b']] as const

test('two boundaries with the same seed open what the other has encrypted, under every material that the key has had', async () => {
  const other = await inProcess()
  try {
    const id = keyId(next++)
    const old = await other.control.seedKey(seed({ id }), A)
    const before = await other.use.encrypt(old, Buffer.from('before the rotation'), context, A)
    const row = await made.control.seedKey(seed({ id, materials: [Buffer.alloc(32, 1), Buffer.alloc(32, 2)] }), A)
    assert.equal(
      (await made.use.decrypt(row, before.ciphertext, context, A)).plaintext.toString(),
      'before the rotation',
    )
    const after = await made.use.encrypt(row, Buffer.from('x'), context, A)
    const [first, second] = headerOfRow(row).materials
    assert.deepEqual([first?.state, second?.state], ['NON_CURRENT', 'CURRENT'])
    assert.deepEqual([before.materialId, after.materialId], [first?.id, second?.id])
    await assert.rejects(other.use.decrypt(old, after.ciphertext, context, A), fails('InvalidCiphertext'))
  } finally {
    await other.stop()
    other.remove()
  }
})

test('a folder that was not made with --dev refuses it before it looks at anything, and makes nothing', async () => {
  const real = await inProcess({ config: { dev: false } })
  try {
    for (const input of [seed(), seed({ id: 'nonsense', materials: [] })])
      await assert.rejects(real.control.seedKey(input, A), fails('NotPermitted'))
    assert.equal((await real.control.status()).keys, 0)
  } finally {
    await real.stop()
    real.remove()
  }
})

test('a front end cannot ask for it: its socket does not have the operation, and cuts off who tries', async () => {
  const asFrontEnd = connectControl({ socket: made.running.useSocket })
  try {
    assert.equal((await asFrontEnd.status()).dev, true)
    const input = seed()
    await assert.rejects(asFrontEnd.seedKey(input, A), BoundaryError)
    assert.equal(await made.control.getRow('key', input.id), undefined)
  } finally {
    asFrontEnd.close()
  }
})

const usageOf = (spec: KeySpec): KeyUsage => Object.keys(SPECS[spec].usages)[0] as KeyUsage
const pairOf = (spec: KeySpec) => {
  const { material } = SPECS[spec]
  if (material.kind === 'secret') throw new Error('no pair')
  if (material.kind === 'rsa') return generateKeyPairSync('rsa', { modulusLength: 2048 })
  return material.kind === 'ec'
    ? generateKeyPairSync('ec', { namedCurve: material.curve })
    : generateKeyPairSync(material.kind as 'ed25519')
}

// RSA of 3072 and 4096 bits differ from 2048 in nothing but the time that it takes to make one.
const specs = (Object.keys(KEY_SPECS) as KeySpec[]).filter(
  spec => spec !== 'EXTERNAL_AES_256' && spec !== 'RSA_3072' && spec !== 'RSA_4096',
)

for (const spec of specs)
  test(`${spec}: the public key is that of the material, and a signature is one of its`, async () => {
    const { material } = SPECS[spec]
    const usage = SPECS[spec].usages.SIGN_VERIFY === undefined ? usageOf(spec) : 'SIGN_VERIFY'
    if (material.kind === 'secret') {
      const row = await made.control.seedKey(seed({ spec, usage, materials: [Buffer.alloc(material.bytes, 7)] }), A)
      assert.equal(headerOfRow(row).publicKey.length, 0)
      const short = seed({ spec, usage, materials: [Buffer.alloc(material.min - 1)] })
      await assert.rejects(made.control.seedKey(short, A), fails('IncorrectKeyMaterial'))
      return
    }
    assert.ok(isAsymmetric(spec))
    const { privateKey, publicKey } = pairOf(spec)
    const bytes = (): Buffer => privateKey.export({ format: 'der', type: 'pkcs8' })
    const row = await made.control.seedKey(seed({ spec, usage, materials: [bytes()] }), A)
    assert.deepEqual(headerOfRow(row).publicKey, publicKey.export({ format: 'der', type: 'spki' }))
    const algorithm = SPECS[spec].usages.SIGN_VERIFY?.[0] as SigningAlgorithm | undefined
    if (algorithm !== undefined) {
      const message = Buffer.from('signed')
      const { signature } = await made.use.sign(row, { algorithm, messageType: 'RAW', message }, A)
      const hash = { ec: `sha${algorithm.slice(-3)}`, rsa: 'sha256' }[material.kind as 'ec']
      assert.equal(verifySignature(hash ?? null, message, publicKey, signature), true)
    }
    const wrong = bytes()
    wrong.fill(0xff, 0, 4)
    await assert.rejects(
      made.control.seedKey(seed({ spec, usage, materials: [wrong] }), A),
      fails('IncorrectKeyMaterial'),
    )
  })

test('an RSA key whose halves do not belong together is refused', async () => {
  const [one, other] = [pairOf('RSA_2048').privateKey, pairOf('RSA_2048').privateKey]
  const modulusOf = (key: KeyObject): Buffer => Buffer.from(String(key.export({ format: 'jwk' }).n), 'base64url')
  const key = one.export({ format: 'der', type: 'pkcs8' })
  modulusOf(other).copy(key, key.indexOf(modulusOf(one)))
  const input = seed({ spec: 'RSA_2048', usage: 'SIGN_VERIFY', materials: [key] })
  await assert.rejects(made.control.seedKey(input, A), fails('IncorrectKeyMaterial'))
})

test('a primary and its replicas share material, policy and state, and each is used where it is', async () => {
  const id = `eu-north-1/${MRK}`
  const input = seed({ id, replicaRegions: ['us-east-1', 'eu-west-1'] })
  const row = await made.control.seedKey(input, A)
  const { multiRegion, primaryRegion, replicaRegions } = headerOfRow(row)
  assert.deepEqual(
    { multiRegion, primaryRegion, replicaRegions },
    {
      multiRegion: 'PRIMARY',
      primaryRegion: 'eu-north-1',
      replicaRegions: ['eu-west-1', 'us-east-1'],
    },
  )
  const replica = await made.key(`us-east-1/${MRK}`)
  assert.equal(headerOfRow(replica).multiRegion, 'REPLICA')
  assert.equal(replica.scope, '111122223333/us-east-1')
  const { ciphertext } = await made.use.encrypt(row, Buffer.from('x'), context, A)
  assert.equal((await made.use.decrypt(replica, ciphertext, context, A)).plaintext.toString(), 'x')
  // It is a set as any other: a rotation reaches all of it.
  const rotated = headerOfRow(await made.use.rotateKeyOnDemand(id, A))
  assert.deepEqual(headerOfRow(await made.key(`eu-west-1/${MRK}`)).materials, rotated.materials)
})

test('every state: what it is at once, and what becomes of it', async () => {
  const disabled = await made.control.seedKey(seed({ state: 'Disabled' }), A)
  await assert.rejects(made.use.encrypt(disabled, Buffer.from('x'), context, A), fails('KeyDisabled'))
  assert.equal(headerOfRow(await made.use.enableKey(disabled.id, A)).state, 'Enabled')

  const waiting = await made.control.seedKey(seed({ state: 'PendingDeletion', pendingWindowDays: 7 }), A)
  await assert.rejects(made.use.encrypt(waiting, Buffer.from('x'), context, A), fails('KeyPendingDeletion'))
  const { deletionDate } = headerOfRow(waiting)
  assert.ok(Math.abs(deletionDate - Date.now() - 7 * DAY) < 60_000)
  assert.equal(headerOfRow(await made.use.cancelKeyDeletion(waiting.id, A)).state, 'Disabled')

  const external = await made.control.seedKey(seed({ origin: 'EXTERNAL', state: 'PendingImport', materials: [] }), A)
  await assert.rejects(made.use.encrypt(external, Buffer.from('x'), context, A), fails('KeyPendingImport'))
  await made.use.importParameters(external.id, 'RSAES_OAEP_SHA_256', 2048, A)

  const imported = await made.control.seedKey(seed({ origin: 'EXTERNAL' }), A)
  assert.equal(headerOfRow(imported).materials[0]?.expirationModel, 'KEY_MATERIAL_DOES_NOT_EXPIRE')
  const { row } = await made.use.deleteImportedKeyMaterial(imported.id, '', A)
  assert.equal(headerOfRow(row).state, 'PendingImport')
})

test('dates: a key may have been made before, and rotates when it is due', async () => {
  const createdAt = Date.parse('2020-02-29T00:00:00Z')
  const nextRotationAt = Date.now() + 3 * DAY
  const input = seed({ createdAt, rotationPeriodDays: 90, nextRotationAt })
  const header = headerOfRow(await made.control.seedKey(input, A))
  assert.deepEqual([header.createdAt, header.rotationEnabled, header.nextRotationAt], [createdAt, true, nextRotationAt])
  const future = seed({ createdAt: Date.now() + DAY })
  await assert.rejects(made.control.seedKey(future, A), fails('InvalidRequest'))
})

const REFUSED: readonly (readonly [string, Partial<SeedKey>])[] = [
  ['no material', { materials: [] }],
  ['material and waiting for it', { state: 'PendingImport', origin: 'EXTERNAL' }],
  ['a material twice', { materials: [Buffer.alloc(32, 1), Buffer.alloc(32, 1)] }],
  ['replicas of a key of one Region', { replicaRegions: ['us-east-1'] }],
  ['a Region twice', { id: `eu-north-1/mrk-${'1'.repeat(32)}`, replicaRegions: ['eu-north-1'] }],
  ['a waiting period without its state', { pendingWindowDays: 7 }],
  ['the state without a waiting period', { state: 'PendingDeletion' }],
  ['a rotation period out of range', { rotationPeriodDays: 89 }],
  ['a date of rotation without a period', { nextRotationAt: Date.now() }],
  ['rotation of imported material', { origin: 'EXTERNAL', rotationPeriodDays: 90 }],
  ['no policy', { policy: Buffer.alloc(0) }],
  ['a usage that the spec does not have', { usage: 'SIGN_VERIFY' }],
  [
    'two materials of a key that does not rotate',
    {
      spec: 'HMAC_256',
      usage: 'GENERATE_VERIFY_MAC',
      materials: [Buffer.alloc(32, 1), Buffer.alloc(32, 2)],
    },
  ],
  [
    'a row of another key',
    {
      rows: [{ kind: 'attributes', id: keyId(1), scope: SCOPE, link: '', expected: 0, body: Buffer.from('{}') }],
    },
  ],
  [
    'a row of another kind',
    {
      rows: [{ kind: 'keystore', id: 'x', scope: SCOPE, link: '', expected: 0, body: Buffer.from('{}') }],
    },
  ],
]
for (const [what, more] of REFUSED)
  test(`refused: ${what}`, async () => {
    const input = seed(more)
    await assert.rejects(made.control.seedKey(input, A), fails('InvalidRequest'))
    assert.equal(await made.control.getRow('key', input.id), undefined)
  })

test('an id that is taken stays what it is, also where two ask for it at once', async () => {
  const { id } = await newKey(made.use)
  await assert.rejects(made.control.seedKey(seed({ id }), A), fails('AlreadyExists'))
  const spec = 'RSA_2048'
  const pem = (): Buffer => pairOf(spec).privateKey.export({ format: 'der', type: 'pkcs8' })
  const twice = keyId(next++)
  const both = [0, 1].map(() =>
    made.control.seedKey(seed({ id: twice, spec, usage: 'SIGN_VERIFY', materials: [pem()] }), A),
  )
  const settled = await Promise.allSettled(both)
  assert.deepEqual(settled.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
})
