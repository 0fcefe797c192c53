/**
 * `holdfast ekm wrap-for-import` between the real owner's side and the real provider's: material that is made, given, kept or taken from what is kept,
 * under both wrappings, imported with the AWS SDK.
 */
import assert from 'node:assert/strict'
import { createPublicKey, generateKeyPairSync, randomBytes } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { type AlgorithmSpec, type KMS, WrappingKeySpec } from '@aws-sdk/client-kms'
import { type Ekm, holdfast, startEkm } from './support/ekm.ts'
import { type Kms, startKms } from './support/kms.ts'
import { newKey, refused, sdk } from './support/sdk.ts'

interface Answer {
  readonly out: string
  readonly bytes: number
  readonly fingerprint: string
}

const Plaintext = Buffer.from('what a customer keeps')
const folder = mkdtempSync(join(tmpdir(), 'holdfast-import-'))
const file = (name: string): string => join(folder, name)

let ekm: Ekm
let service: Kms
let kms: KMS

before(async () => {
  ;[ekm, service] = await Promise.all([startEkm(['--dev', '--prefix', 'acme']), startKms()])
  kms = sdk(service.line.endpoint, service.line)
})
after(async () => {
  kms?.destroy()
  await Promise.all([ekm?.stop(), service?.stop()])
  rmSync(folder, { recursive: true, force: true })
})

/** Import parameters of a key; the wrapping key is written as the AWS CLI prints it. */
async function parameters(KeyId: string, name: string, WrappingAlgorithm: AlgorithmSpec = 'RSAES_OAEP_SHA_256') {
  const WrappingSpec = { WrappingAlgorithm, WrappingKeySpec: WrappingKeySpec.RSA_3072 }
  const { PublicKey, ImportToken } = await kms.getParametersForImport({ KeyId, ...WrappingSpec })
  writeFileSync(file(name), `${Buffer.from(PublicKey ?? []).toString('base64')}\n`)
  return ImportToken
}

/** Wraps and imports; returns what the command said. */
async function bring(KeyId: string, name: string, algorithm: AlgorithmSpec, ...args: string[]): Promise<Answer> {
  const ImportToken = await parameters(KeyId, `${name}.b64`, algorithm)
  const said = await ekm.cli<Answer>(
    ...['wrap-for-import', '--public-key', file(`${name}.b64`), '--algorithm', algorithm],
    ...['--out', file(name), ...args],
  )
  const EncryptedKeyMaterial = readFileSync(file(name))
  assert.equal(EncryptedKeyMaterial.length, said.bytes)
  assert.equal(statSync(file(name)).mode & 0o777, 0o600)
  const ExpirationModel = 'KEY_MATERIAL_DOES_NOT_EXPIRE'
  await kms.importKeyMaterial({ KeyId, ImportToken, EncryptedKeyMaterial, ExpirationModel })
  return said
}

const external = async () => (await newKey(kms, { Origin: 'EXTERNAL' })).id
const opens = async (CiphertextBlob: Uint8Array | undefined) =>
  assert.deepEqual(Buffer.from((await kms.decrypt({ CiphertextBlob })).Plaintext ?? []), Plaintext)

for (const algorithm of ['RSAES_OAEP_SHA_256', 'RSAES_OAEP_SHA_1'] as const) {
  describe(`under ${algorithm}`, () => {
    test('material that is kept comes back after the provider has lost it, and opens what it encrypted', async () => {
      const id = await external()
      const kept = `acme/kept-${algorithm}`
      const first = await bring(id, `kept-${algorithm}`, algorithm, '--keep-as', kept)
      const { CiphertextBlob } = await kms.encrypt({ KeyId: id, Plaintext })
      await kms.deleteImportedKeyMaterial({ KeyId: id })
      await refused(kms.decrypt({ CiphertextBlob }), 'KMSInvalidState')
      const again = await bring(id, `again-${algorithm}`, algorithm, '--from', kept)
      assert.equal(again.fingerprint, first.fingerprint)
      await opens(CiphertextBlob)
    })

    test('material from a file, twice the same; any other is refused by the provider', async () => {
      const id = await external()
      const name = `given-${algorithm}`
      writeFileSync(file(`${name}.key`), randomBytes(32), { mode: 0o600 })
      const first = await bring(id, name, algorithm, '--material', file(`${name}.key`))
      const { CiphertextBlob } = await kms.encrypt({ KeyId: id, Plaintext })
      await kms.deleteImportedKeyMaterial({ KeyId: id })
      await refused(bring(id, `${name}-other`, algorithm), 'IncorrectKeyMaterial')
      const again = await bring(id, `${name}-again`, algorithm, '--material', file(`${name}.key`))
      assert.equal(again.fingerprint, first.fingerprint)
      await opens(CiphertextBlob)
    })
  })
}

test('what cannot be wrapped is refused with a reason, and leaves no file', async () => {
  await parameters(await external(), 'refusals.b64')
  writeFileSync(file('short.key'), randomBytes(31))
  writeFileSync(file('no-key.b64'), 'bm8ga2V5')
  writeFileSync(file('taken'), 'not to be overwritten')
  const key = ['--public-key', file('refusals.b64')]
  const refusals: readonly (readonly [string, RegExp, ...string[]])[] = [
    ['short', /Key material is 32 bytes; the file has 31/, ...key, '--material', file('short.key')],
    ['no-key', /must hold an RSA public key of 2048, 3072, 4096 bits/, '--public-key', file('no-key.b64')],
    ['absent', /cannot be read: ENOENT/, '--public-key', file('absent.b64')],
    ['unknown', /no key/i, ...key, '--from', 'acme/unknown'],
    ['both', /Give --from alone/, ...key, '--from', 'acme/dev', '--keep-as', 'acme/other'],
    ['nowhere', /no tenant/i, ...key, '--keep-as', 'nobody/key'],
    ['twice', /exists, or did once/, ...key, '--keep-as', 'acme/dev'],
    ['taken', /exists already; name a new one/, ...key],
  ]
  for (const [name, words, ...args] of refusals) {
    const told = await holdfast(['ekm', 'wrap-for-import', ...args, '--out', file(name), '--data', ekm.data])
    assert.equal(told.code, 1, name)
    assert.match(told.stderr, words)
    assert.equal(existsSync(file(name)), name === 'taken')
  }
  assert.equal(readFileSync(file('taken'), 'utf8'), 'not to be overwritten')
})

test('the material of a revoked key does not leave, whatever it was revoked with', async () => {
  await parameters(await external(), 'revoked.b64')
  await ekm.cli('key', 'create', 'exported')
  const args = ['--public-key', file('revoked.b64'), '--from', 'acme/exported', '--out', file('revoked')]
  for (const target of [['acme/exported'], ['--tenant', 'acme'], ['--all']]) {
    await ekm.cli('revoke', ...target)
    await assert.rejects(ekm.cli('wrap-for-import', ...args), /is revoked.*restore it first/)
    assert.ok(!existsSync(file('revoked')))
    await ekm.cli('restore', ...target)
  }
  await ekm.cli('wrap-for-import', ...args)
})

test('every size of wrapping key, as DER, PEM and Base64; other keys are refused', async () => {
  const KeyId = await external()
  for (const spec of Object.values(WrappingKeySpec).filter(each => each.startsWith('RSA_'))) {
    const { PublicKey } = await kms.getParametersForImport({
      KeyId,
      WrappingAlgorithm: 'RSAES_OAEP_SHA_256',
      WrappingKeySpec: spec,
    })
    const der = Buffer.from(PublicKey ?? [])
    const key = createPublicKey({ key: der, format: 'der', type: 'spki' })
    for (const [form, content] of [
      ['der', der],
      ['pem', key.export({ format: 'pem', type: 'spki' })],
      ['b64', `${der.toString('base64').replace(/.{64}/g, '$&\n')}\n`],
    ] as const) {
      writeFileSync(file(`${spec}.${form}`), content)
      const out = file(`${spec}.${form}.wrapped`)
      const { bytes } = await ekm.cli<Answer>('wrap-for-import', '--public-key', file(`${spec}.${form}`), '--out', out)
      assert.equal(bytes * 8, key.asymmetricKeyDetails?.modulusLength)
    }
  }
  const small = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey
  const curve = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey
  for (const [name, key] of Object.entries({ small, curve })) {
    writeFileSync(file(name), key.export({ format: 'pem', type: 'spki' }))
    const told = ekm.cli('wrap-for-import', '--public-key', file(name), '--out', file(`${name}.wrapped`))
    await assert.rejects(told, /must hold an RSA public key of 2048, 3072, 4096 bits/)
  }
})
