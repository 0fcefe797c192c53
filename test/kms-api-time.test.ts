/** What happens by itself, and imports: time is moved with `holdfast dev clock advance`, as the users of a `--dev` service move it. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import type { KMS } from '@aws-sdk/client-kms'
import { type Kms, startKms } from './support/kms.ts'
import { call, DAY_MS, holdfast, imported, newKey, refusalOf, refused, sdk, wrapped } from './support/sdk.ts'

const Plaintext = Buffer.from('secret')

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

/** Returns lifecycle time afterwards, in milliseconds. */
async function advance(duration: string): Promise<number> {
  const { stdout } = await holdfast('dev', 'clock', 'advance', duration, '--data', service.line.data)
  assert.match(stdout, /^\d{4}-\d\d-\d\dT[\d:.]+Z\n$/)
  return Date.parse(stdout.trim())
}

const stateOf = async (KeyId: string) => (await kms.describeKey({ KeyId })).KeyMetadata?.KeyState

describe('deletion', () => {
  test('the window is 7 to 30 days, 30 where none is named, and the key is gone when it ends, with all that it had', async () => {
    const key = await newKey(kms, { Tags: [{ TagKey: 'a', TagValue: 'b' }] })
    const KeyId = key.id
    const { CiphertextBlob } = await kms.encrypt({ KeyId, Plaintext })
    await kms.createAlias({ AliasName: 'alias/goes-too', TargetKeyId: KeyId })
    for (const PendingWindowInDays of [6, 31]) {
      await refused(kms.scheduleKeyDeletion({ KeyId, PendingWindowInDays }), 'Validation', /pendingWindowInDays/)
    }
    const first = await kms.scheduleKeyDeletion({ KeyId })
    assert.equal(first.KeyId, key.arn)
    assert.equal(first.KeyState, 'PendingDeletion')
    assert.equal(first.PendingWindowInDays, 30)
    assert.ok(Math.abs(Number(first.DeletionDate) - Date.now() - 30 * DAY_MS) < 60_000)
    const pending = (await kms.describeKey({ KeyId })).KeyMetadata
    assert.deepEqual(pending?.DeletionDate, first.DeletionDate)
    assert.equal((await kms.cancelKeyDeletion({ KeyId })).KeyId, key.arn)
    assert.equal(await stateOf(KeyId), 'Disabled')
    assert.equal((await kms.describeKey({ KeyId })).KeyMetadata?.DeletionDate, undefined)
    await kms.scheduleKeyDeletion({ KeyId, PendingWindowInDays: 7 })
    await advance('6d')
    assert.equal(await stateOf(KeyId), 'PendingDeletion')
    await advance('25h')
    await refused(kms.describeKey({ KeyId }), 'NotFound', `Key '${key.arn}' does not exist`)
    await refused(kms.describeKey({ KeyId: 'alias/goes-too' }), 'NotFound', /alias\/goes-too is not found/)
    await refused(kms.cancelKeyDeletion({ KeyId }), 'NotFound')
    await refused(kms.listResourceTags({ KeyId }), 'NotFound')
    await refused(
      kms.decrypt({ CiphertextBlob }),
      'AccessDenied',
      /refers to a customer master key that does not exist/,
    )
    assert.ok(!(await kms.listKeys({ Limit: 1000 })).Keys?.some(({ KeyId: listed }) => listed === KeyId))
    assert.ok(!(await kms.listAliases({})).Aliases?.some(({ AliasName }) => AliasName === 'alias/goes-too'))
    const other = await newKey(kms)
    await kms.createAlias({ AliasName: 'alias/goes-too', TargetKeyId: other.id })
  })
})

describe('rotation', () => {
  test('happens when it is due, old ciphertexts open, and the next is a period later', async () => {
    const { id: KeyId, arn } = await newKey(kms)
    for (const RotationPeriodInDays of [89, 2561]) {
      await refused(kms.enableKeyRotation({ KeyId, RotationPeriodInDays }), 'Validation', /rotationPeriodInDays/)
    }
    assert.equal((await kms.getKeyRotationStatus({ KeyId })).KeyRotationEnabled, false)
    await kms.enableKeyRotation({ KeyId })
    assert.equal((await kms.getKeyRotationStatus({ KeyId })).RotationPeriodInDays, 365)
    await kms.enableKeyRotation({ KeyId, RotationPeriodInDays: 90 })
    const before = await kms.getKeyRotationStatus({ KeyId })
    assert.equal(before.RotationPeriodInDays, 90)
    const { CiphertextBlob } = await kms.encrypt({ KeyId, Plaintext })
    const now = await advance('91d')
    const after = await kms.getKeyRotationStatus({ KeyId })
    assert.ok(Math.abs(Number(after.NextRotationDate) - now - 90 * DAY_MS) < 2 * DAY_MS)
    const { Rotations } = await kms.listKeyRotations({ KeyId })
    assert.deepEqual(
      Rotations?.map(({ RotationType, KeyMaterialState }) => [RotationType, KeyMaterialState]),
      [['AUTOMATIC', 'CURRENT']],
    )
    assert.equal(Rotations?.[0]?.KeyId, arn)
    const current = (await kms.describeKey({ KeyId })).KeyMetadata?.CurrentKeyMaterialId
    const old = await kms.decrypt({ CiphertextBlob })
    assert.deepEqual(Buffer.from(old.Plaintext ?? []), Plaintext)
    assert.notEqual(old.KeyMaterialId, current)
    assert.equal(Rotations?.[0]?.KeyMaterialId, current)
    assert.equal((await kms.generateDataKey({ KeyId, NumberOfBytes: 1 })).KeyMaterialId, current)
    // So soon after the automatic one.
    await refused(kms.rotateKeyOnDemand({ KeyId }), 'Conflict')
    await kms.scheduleKeyDeletion({ KeyId })
    assert.equal((await kms.getKeyRotationStatus({ KeyId })).KeyRotationEnabled, false)
    await kms.cancelKeyDeletion({ KeyId })
    assert.equal((await kms.getKeyRotationStatus({ KeyId })).KeyRotationEnabled, true)
    await kms.enableKey({ KeyId })
    await kms.disableKeyRotation({ KeyId })
    assert.equal((await kms.getKeyRotationStatus({ KeyId })).KeyRotationEnabled, false)
    const all = (await kms.listKeyRotations({ KeyId, IncludeKeyMaterial: 'ALL_KEY_MATERIAL' })).Rotations ?? []
    assert.deepEqual(
      all.map(({ KeyMaterialState }) => KeyMaterialState),
      ['NON_CURRENT', 'CURRENT'],
    )
    assert.equal(all[0]?.RotationDate, undefined)
    assert.equal(all[0]?.RotationType, undefined)
  })

  test('25 on demand and no more; the list comes in pages', async () => {
    const { id: KeyId, arn } = await newKey(kms)
    for (let n = 0; n < 25; n += 1) assert.equal((await kms.rotateKeyOnDemand({ KeyId })).KeyId, arn)
    await refused(
      kms.rotateKeyOnDemand({ KeyId }),
      'LimitExceeded',
      `The on-demand rotations limit has been reached for the given keyId. No more on-demand rotations can be performed for this key: ${arn}`,
    )
    const first = await kms.listKeyRotations({ KeyId, Limit: 20 })
    const second = await kms.listKeyRotations({ KeyId, Limit: 20, Marker: first.NextMarker })
    assert.deepEqual([first.Rotations?.length, first.Truncated], [20, true])
    assert.deepEqual([second.Rotations?.length, second.Truncated], [5, false])
    assert.ok(second.Rotations?.every(({ RotationType }) => RotationType === 'ON_DEMAND'))
  })
})

describe('imported material', () => {
  test('both OAEP wrappings and all sizes of wrapping keys; others are refused', async () => {
    for (const algorithm of ['RSAES_OAEP_SHA_1', 'RSAES_OAEP_SHA_256'] as const) {
      for (const spec of ['RSA_2048', 'RSA_3072', 'RSA_4096'] as const) {
        const { id: KeyId, arn } = await newKey(kms, { Origin: 'EXTERNAL' })
        const given = await wrapped(kms, KeyId, randomBytes(32), { algorithm, spec })
        const ExpirationModel = 'KEY_MATERIAL_DOES_NOT_EXPIRE'
        const made = await kms.importKeyMaterial({ ...given, ExpirationModel })
        assert.equal(made.KeyId, arn)
        assert.match(made.KeyMaterialId ?? '', /^[0-9a-f]{64}$/)
        const { KeyMetadata } = await kms.describeKey({ KeyId })
        assert.equal(KeyMetadata?.KeyState, 'Enabled')
        assert.equal(KeyMetadata?.ExpirationModel, ExpirationModel)
        assert.equal(KeyMetadata?.ValidTo, undefined)
        assert.equal(KeyMetadata?.CurrentKeyMaterialId, made.KeyMaterialId)
      }
    }
    const { id: KeyId } = await newKey(kms, { Origin: 'EXTERNAL' })
    const ask = { KeyId, WrappingKeySpec: 'RSA_2048' } as const
    for (const WrappingAlgorithm of ['RSAES_PKCS1_V1_5', 'RSA_AES_KEY_WRAP_SHA_256', 'SM2PKE'] as const) {
      await refused(kms.getParametersForImport({ ...ask, WrappingAlgorithm }), 'UnsupportedOperation')
    }
    const own = await newKey(kms)
    const input = { ...ask, KeyId: own.id, WrappingAlgorithm: 'RSAES_OAEP_SHA_256' } as const
    const text = `${own.arn} origin is AWS_KMS which is not valid for this operation.`
    await refused(kms.getParametersForImport(input), 'UnsupportedOperation', text)
  })

  test('dates: needed, in the future, within a year; and when one comes the material is gone', async () => {
    const { id: KeyId } = await newKey(kms, { Origin: 'EXTERNAL' })
    const material = randomBytes(32)
    const given = await wrapped(kms, KeyId, material)
    const needed = 'A validTo date must be set if the ExpirationModel is KEY_MATERIAL_EXPIRES'
    const now = await advance('1s')
    const at = (days: number) => new Date(now + days * DAY_MS)
    await refused(kms.importKeyMaterial(given), 'Validation', needed)
    await refused(kms.importKeyMaterial({ ...given, ValidTo: at(-1) }), 'Validation')
    await refused(kms.importKeyMaterial({ ...given, ValidTo: at(366) }), 'Validation')
    const never = { ExpirationModel: 'KEY_MATERIAL_DOES_NOT_EXPIRE' } as const
    await refused(kms.importKeyMaterial({ ...given, ...never, ValidTo: at(1) }), 'Validation')
    const { KeyMaterialId } = await kms.importKeyMaterial({ ...given, ValidTo: at(2) })
    const { KeyMetadata } = await kms.describeKey({ KeyId })
    assert.equal(KeyMetadata?.ExpirationModel, 'KEY_MATERIAL_EXPIRES')
    assert.ok(Math.abs(Number(KeyMetadata?.ValidTo) - Number(at(2))) < 1000)
    const { CiphertextBlob } = await kms.encrypt({ KeyId, Plaintext })
    await advance('3d')
    assert.equal(await stateOf(KeyId), 'PendingImport')
    await refused(kms.decrypt({ CiphertextBlob }), 'KMSInvalidState', /is pending import\.$/)
    await refused(imported(kms, KeyId, randomBytes(32)), 'IncorrectKeyMaterial')
    assert.equal(await imported(kms, KeyId, material), KeyMaterialId)
    await kms.decrypt({ CiphertextBlob })
  })

  test('deleted and brought back; tokens belong to their key and their day', async () => {
    const { id: KeyId, arn } = await newKey(kms, { Origin: 'EXTERNAL' })
    const material = randomBytes(32)
    const never = { ExpirationModel: 'KEY_MATERIAL_DOES_NOT_EXPIRE' } as const
    const other = await newKey(kms, { Origin: 'EXTERNAL' })
    const others = await wrapped(kms, other.id, material)
    await refused(kms.importKeyMaterial({ ...others, ...never, KeyId }), 'InvalidImportToken')
    const ImportToken = Buffer.from('not a token')
    await refused(kms.importKeyMaterial({ ...others, ...never, ImportToken }), 'InvalidImportToken')
    const own = await wrapped(kms, KeyId, material)
    const EncryptedKeyMaterial = Buffer.alloc(256, 1)
    const bad = await refusalOf(kms.importKeyMaterial({ ...own, ...never, EncryptedKeyMaterial }))
    assert.equal(bad?.name, 'InvalidCiphertextException')
    const short = await wrapped(kms, KeyId, randomBytes(16))
    assert.ok(
      ['InvalidCiphertextException', 'IncorrectKeyMaterialException'].includes(
        (await refusalOf(kms.importKeyMaterial({ ...short, ...never })))?.name ?? '',
      ),
    )
    await advance('25h')
    await refused(kms.importKeyMaterial({ ...own, ...never }), 'ExpiredImportToken')
    const id = await imported(kms, KeyId, material)
    const { CiphertextBlob } = await kms.encrypt({ KeyId, Plaintext })
    assert.deepEqual(
      await kms.deleteImportedKeyMaterial({ KeyId }).then(({ KeyId, KeyMaterialId }) => [KeyId, KeyMaterialId]),
      [arn, id],
    )
    assert.equal(await stateOf(KeyId), 'PendingImport')
    await kms.deleteImportedKeyMaterial({ KeyId })
    await refused(
      imported(kms, KeyId, randomBytes(32), { ImportType: 'EXISTING_KEY_MATERIAL' }),
      'IncorrectKeyMaterial',
    )
    await imported(kms, KeyId, material, { ImportType: 'EXISTING_KEY_MATERIAL', KeyMaterialId: id })
    await kms.decrypt({ CiphertextBlob })
    await kms.scheduleKeyDeletion({ KeyId })
    await kms.deleteImportedKeyMaterial({ KeyId })
    assert.equal(await stateOf(KeyId), 'PendingDeletion')
    await kms.cancelKeyDeletion({ KeyId })
    assert.equal(await stateOf(KeyId), 'PendingImport')
  })

  test('new material waits until it is rotated to; then both are needed', async () => {
    const { id: KeyId, arn } = await newKey(kms, { Origin: 'EXTERNAL' })
    const [old, fresh] = [randomBytes(32), randomBytes(32)]
    const oldId = await imported(kms, KeyId, old)
    const { CiphertextBlob } = await kms.encrypt({ KeyId, Plaintext })
    const none = `No available key material pending rotation for the key: ${arn}.`
    await refused(kms.rotateKeyOnDemand({ KeyId }), 'KMSInvalidState', none)
    const NEW = { ImportType: 'NEW_KEY_MATERIAL' } as const
    await refused(imported(kms, KeyId, fresh, { ...NEW, KeyMaterialId: oldId }), 'Validation')
    await refused(imported(kms, KeyId, old, NEW), 'IncorrectKeyMaterial')
    const freshId = await imported(kms, KeyId, fresh, { ...NEW, KeyMaterialDescription: 'second' })
    const third = await refusalOf(imported(kms, KeyId, randomBytes(32), NEW))
    assert.equal(third?.name, 'KMSInvalidStateException')
    assert.match(
      third?.message ?? '',
      new RegExp(
        `^New key material \\(id: [0-9a-f]{64}\\) cannot be imported into KMS key ${arn}, because another key material \\(id: ${freshId}\\) is pending rotation\\.$`,
      ),
    )
    const states = async () => {
      const { Rotations } = await kms.listKeyRotations({ KeyId, IncludeKeyMaterial: 'ALL_KEY_MATERIAL' })
      return Rotations?.map(({ KeyMaterialId, KeyMaterialState, ImportState }) => [
        KeyMaterialId,
        KeyMaterialState,
        ImportState,
      ])
    }
    assert.deepEqual(await states(), [
      [oldId, 'CURRENT', 'IMPORTED'],
      [freshId, 'PENDING_ROTATION', 'IMPORTED'],
    ])
    assert.equal((await kms.decrypt({ CiphertextBlob })).KeyMaterialId, oldId)
    await kms.rotateKeyOnDemand({ KeyId })
    const { Rotations } = await kms.listKeyRotations({ KeyId })
    assert.equal(Rotations?.[0]?.KeyMaterialDescription, 'second')
    assert.equal(Rotations?.[0]?.RotationType, 'ON_DEMAND')
    assert.deepEqual(await states(), [
      [oldId, 'NON_CURRENT', 'IMPORTED'],
      [freshId, 'CURRENT', 'IMPORTED'],
    ])
    const made = await kms.generateDataKey({ KeyId, NumberOfBytes: 8 })
    assert.equal(made.KeyMaterialId, freshId)
    await kms.deleteImportedKeyMaterial({ KeyId, KeyMaterialId: oldId })
    assert.equal(await stateOf(KeyId), 'PendingImport')
    await refused(kms.decrypt({ CiphertextBlob: made.CiphertextBlob }), 'KMSInvalidState')
    await imported(kms, KeyId, old)
    assert.equal(await stateOf(KeyId), 'Enabled')
    await kms.decrypt({ CiphertextBlob })
  })

  test('imported keys and others differ in what can be asked of them', async () => {
    const { id: KeyId, arn } = await newKey(kms, { Origin: 'EXTERNAL' })
    const text = `${arn} origin is EXTERNAL which is not valid for this operation.`
    for (const operation of ['EnableKeyRotation', 'DisableKeyRotation', 'GetKeyRotationStatus']) {
      await refused(call(kms, operation, { KeyId }), 'UnsupportedOperation', text)
    }
  })
})
