/**
 * The calls that Terraform's AWS provider makes for its KMS resources, in its order, with what it checks of the answers (aws-kms.md §13.1). The provider
 * itself is in no package registry that tests may use.
 */
import assert from 'node:assert/strict'
import { constants, createPublicKey, publicEncrypt, randomBytes } from 'node:crypto'
import { after, before, test } from 'node:test'
import type { KMS } from '@aws-sdk/client-kms'
import { environmentOf, succeed } from '../support/clients.ts'
import { type Kms, REGION, startKms } from '../support/kms.ts'
import { refusalOf, sdk } from '../support/sdk.ts'

const OTHER_REGION = 'eu-west-1'
let service: Kms
let kms: KMS
let other: KMS

before(async () => {
  service = await startKms(['--regions', `${REGION},${OTHER_REGION}`])
  kms = sdk(service.line.endpoint, service.line)
  other = sdk(service.line.endpoint, service.line, OTHER_REGION)
})
after(async () => {
  kms?.destroy()
  other?.destroy()
  await service?.stop()
})

/** As often as the provider wants the same answer before it believes it. */
const CONSECUTIVE = 5
async function stable<T>(read: () => Promise<T>): Promise<T> {
  const first = await read()
  for (let times = 1; times < CONSECUTIVE; times++) assert.deepEqual(await read(), first)
  return first
}

/** `findKey` of the provider: all that makes a key resource's state. */
async function readKey(client: KMS, KeyId: string) {
  const { KeyMetadata } = await client.describeKey({ KeyId })
  const { Policy } = await client.getKeyPolicy({ KeyId, PolicyName: 'default' })
  const rotation =
    KeyMetadata?.Origin === 'AWS_KMS' ? (await client.getKeyRotationStatus({ KeyId })).KeyRotationEnabled : undefined
  const tags: Record<string, string> = {}
  for (let Marker: string | undefined; ; ) {
    const page = await client.listResourceTags({ KeyId, ...(Marker === undefined ? {} : { Marker }) })
    for (const { TagKey = '', TagValue = '' } of page.Tags ?? []) tags[TagKey] = TagValue
    Marker = page.NextMarker
    if (page.Truncated !== true) break
  }
  return { metadata: KeyMetadata ?? assert.fail(), policy: JSON.parse(Policy ?? '') as object, rotation, tags }
}

/** The provider's delete: a key that is pending deletion already is as good as deleted, and it reads that in the text. */
async function remove(client: KMS, KeyId: string): Promise<void> {
  await client.scheduleKeyDeletion({ KeyId, PendingWindowInDays: 7 })
  const again = await refusalOf(client.scheduleKeyDeletion({ KeyId, PendingWindowInDays: 7 }))
  assert.equal(again?.name, 'KMSInvalidStateException')
  assert.ok(again.message.includes('is pending deletion'))
  assert.equal((await client.describeKey({ KeyId })).KeyMetadata?.KeyState, 'PendingDeletion')
}

test('provider: who am I', async () => {
  const identity = await succeed('aws', ['sts', 'get-caller-identity', '--output', 'json'], environmentOf(service))
  assert.equal((JSON.parse(identity) as { Account: string }).Account, service.line.accountId)
})

test('aws_kms_key: created, read until stable, changed, deleted', async () => {
  const created = await kms.createKey({
    BypassPolicyLockoutSafetyCheck: false,
    KeySpec: 'SYMMETRIC_DEFAULT',
    KeyUsage: 'ENCRYPT_DECRYPT',
    Description: 'by terraform',
    Tags: [{ TagKey: 'Name', TagValue: 'one' }],
  })
  const KeyId = created.KeyMetadata?.KeyId ?? ''
  await kms.enableKeyRotation({ KeyId, RotationPeriodInDays: 180 })
  const now = await stable(() => readKey(kms, KeyId))
  assert.deepEqual([now.rotation, now.tags], [true, { Name: 'one' }])
  const policy = JSON.stringify({ Version: '2012-10-17', ...now.policy })
  await kms.putKeyPolicy({ KeyId, PolicyName: 'default', Policy: policy, BypassPolicyLockoutSafetyCheck: false })
  await kms.updateKeyDescription({ KeyId, Description: 'changed' })
  await kms.untagResource({ KeyId, TagKeys: ['Name'] })
  await kms.tagResource({ KeyId, Tags: [{ TagKey: 'Stage', TagValue: 'test' }] })
  await kms.disableKey({ KeyId })
  const changed = await stable(() => readKey(kms, KeyId))
  assert.deepEqual(
    [changed.metadata.Description, changed.metadata.Enabled, changed.tags, changed.policy],
    ['changed', false, { Stage: 'test' }, JSON.parse(policy)],
  )
  await kms.enableKey({ KeyId })
  await kms.disableKeyRotation({ KeyId })
  assert.equal((await stable(() => readKey(kms, KeyId))).rotation, false)
  await remove(kms, KeyId)
})

test('aws_kms_key of every asymmetric kind is read without an error', async () => {
  for (const [KeySpec, KeyUsage] of [
    ['RSA_2048', 'SIGN_VERIFY'],
    ['ECC_NIST_P256', 'SIGN_VERIFY'],
    ['ECC_NIST_P384', 'KEY_AGREEMENT'],
    ['HMAC_256', 'GENERATE_VERIFY_MAC'],
    ['ML_DSA_65', 'SIGN_VERIFY'],
  ] as const) {
    const { KeyMetadata } = await kms.createKey({ KeySpec, KeyUsage })
    const { rotation, metadata } = await stable(() => readKey(kms, KeyMetadata?.KeyId ?? ''))
    assert.deepEqual([rotation, metadata.KeySpec], [false, KeySpec])
  }
})

test('aws_kms_alias: created, found by its name among all, moved, deleted', async () => {
  const [one, two] = await Promise.all([kms.createKey({}), kms.createKey({})])
  const AliasName = 'alias/terraform'
  await kms.createAlias({ AliasName, TargetKeyId: one.KeyMetadata?.KeyId })
  const find = async () => {
    for (let Marker: string | undefined; ; ) {
      const page = await kms.listAliases({ ...(Marker === undefined ? {} : { Marker }) })
      const found = page.Aliases?.find(alias => alias.AliasName === AliasName)
      if (found !== undefined || page.Truncated !== true) return found
      Marker = page.NextMarker
    }
  }
  assert.equal((await find())?.TargetKeyId, one.KeyMetadata?.KeyId)
  await kms.updateAlias({ AliasName, TargetKeyId: two.KeyMetadata?.KeyId })
  assert.equal((await find())?.TargetKeyId, two.KeyMetadata?.KeyId)
  await kms.deleteAlias({ AliasName })
  assert.equal(await find(), undefined)
})

test('aws_kms_grant: created, found in pages, revoked', async () => {
  const { KeyMetadata } = await kms.createKey({})
  const KeyId = KeyMetadata?.KeyId ?? ''
  const GranteePrincipal = `arn:aws:iam::${service.line.accountId}:user/developer`
  const { GrantId } = await kms.createGrant({
    KeyId,
    GranteePrincipal,
    Operations: ['Encrypt', 'Decrypt', 'GenerateDataKey'],
    Constraints: { EncryptionContextEquals: { Department: 'Finance' } },
    Name: 'terraform',
  })
  const find = async () => {
    for (let Marker: string | undefined; ; ) {
      const page = await kms.listGrants({ KeyId, Limit: 100, ...(Marker === undefined ? {} : { Marker }) })
      const found = page.Grants?.find(grant => grant.GrantId === GrantId)
      if (found !== undefined || page.Truncated !== true) return found
      Marker = page.NextMarker
    }
  }
  const found = await find()
  assert.deepEqual(
    [found?.Name, found?.GranteePrincipal, found?.Constraints?.EncryptionContextEquals, found?.Operations?.length],
    ['terraform', GranteePrincipal, { Department: 'Finance' }, 3],
  )
  await kms.revokeGrant({ KeyId, GrantId })
  assert.equal(await find(), undefined)
})

test('aws_kms_external_key: made without material, imported, expiring, deleted', async () => {
  const { KeyMetadata } = await kms.createKey({ Origin: 'EXTERNAL', KeyUsage: 'ENCRYPT_DECRYPT' })
  const KeyId = KeyMetadata?.KeyId ?? ''
  const parameters = await kms.getParametersForImport({
    KeyId,
    WrappingAlgorithm: 'RSAES_OAEP_SHA_256',
    WrappingKeySpec: 'RSA_2048',
  })
  const key = createPublicKey({ key: Buffer.from(parameters.PublicKey ?? []), format: 'der', type: 'spki' })
  const wrapping = { key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' }
  const ValidTo = new Date(Date.now() + 86_400_000)
  await kms.importKeyMaterial({
    KeyId,
    ImportToken: parameters.ImportToken,
    EncryptedKeyMaterial: publicEncrypt(wrapping, randomBytes(32)),
    ExpirationModel: 'KEY_MATERIAL_EXPIRES',
    ValidTo,
  })
  const read = await stable(() => readKey(kms, KeyId))
  assert.deepEqual(
    [read.metadata.ExpirationModel, read.metadata.KeyState, read.rotation],
    ['KEY_MATERIAL_EXPIRES', 'Enabled', undefined],
  )
  await remove(kms, KeyId)
})

test('aws_kms_replica_key: replicated, waited for, read, deleted before its primary', async () => {
  const { KeyMetadata } = await kms.createKey({ MultiRegion: true })
  const KeyId = KeyMetadata?.KeyId ?? ''
  await kms.replicateKey({ KeyId, ReplicaRegion: OTHER_REGION, Description: 'replica' })
  while ((await other.describeKey({ KeyId })).KeyMetadata?.KeyState === 'Creating');
  const replica = await stable(() => readKey(other, KeyId))
  assert.deepEqual(
    [replica.metadata.Description, replica.metadata.MultiRegionConfiguration?.MultiRegionKeyType],
    ['replica', 'REPLICA'],
  )
  await remove(other, KeyId)
  const { KeyState } = await kms.scheduleKeyDeletion({ KeyId, PendingWindowInDays: 7 })
  assert.equal(KeyState, 'PendingReplicaDeletion')
})
