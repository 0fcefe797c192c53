/** ReplicateKey and UpdatePrimaryRegion, and what every other operation says of the members of a set. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { ACCOUNT, OTHER, REGION, REGIONS, startTestKms, type TestKms, user } from '../testing.ts'

const [HERE, THERE, THIRD] = REGIONS
const DAY = 86_400_000
const held = { now: false }
let kms: TestKms
before(async () => {
  kms = await startTestKms({}, { held: () => held.now })
})
after(() => kms.stop())

const settle = (): Promise<void> => kms.advance(1)
const arnIn = (region: string, id: string): string => `arn:aws:kms:${region}:${ACCOUNT}:key/${id}`
const inRegion = (region: string) => (operation: string, input: object) => kms.ok(operation, input, undefined, region)
const here = inRegion(HERE)
const there = inRegion(THERE)

async function primary(more: object = {}): Promise<string> {
  const { KeyMetadata } = await here('CreateKey', { MultiRegion: true, ...more })
  return KeyMetadata.KeyId
}

async function pair(more: object = {}): Promise<string> {
  const KeyId = await primary(more)
  await here('ReplicateKey', { KeyId, ReplicaRegion: THERE })
  await settle()
  return KeyId
}

async function refused(
  answer: ReturnType<TestKms['call']>,
  type: string,
  message: string | RegExp | undefined,
): Promise<void> {
  const { status, body } = await answer
  assert.equal(status, 400)
  assert.equal(body.__type, type, JSON.stringify(body))
  if (message instanceof RegExp) assert.match(body.message, message)
  else assert.equal(body.message, message)
}

test('CreateKey with MultiRegion makes a primary, whose id says so', async () => {
  const { KeyMetadata } = await here('CreateKey', { MultiRegion: true })
  assert.match(KeyMetadata.KeyId, /^mrk-[0-9a-f]{32}$/)
  assert.equal(KeyMetadata.MultiRegion, true)
  assert.deepEqual(KeyMetadata.MultiRegionConfiguration, {
    MultiRegionKeyType: 'PRIMARY',
    PrimaryKey: { Arn: KeyMetadata.Arn, Region: HERE },
    ReplicaKeys: [],
  })
  const single = (await here('CreateKey', {})).KeyMetadata
  assert.equal(single.MultiRegion, false)
  assert.equal(single.MultiRegionConfiguration, undefined)
  await refused(
    kms.call('CreateKey', {
      MultiRegion: true,
      Origin: 'EXTERNAL_KEY_STORE',
      CustomKeyStoreId: 'cks-1',
      XksKeyId: 'x',
    }),
    'UnsupportedOperationException',
    'A key in a custom key store cannot be a multi-Region key.',
  )
})

test('ReplicateKey answers with a key that is Creating, and its own policy, tags and description', async () => {
  const KeyId = await primary({ Description: 'of the primary', Tags: [{ TagKey: 'a', TagValue: 'primary' }] })
  held.now = true
  const Tags = [{ TagKey: 'a', TagValue: 'replica' }]
  const made = await here('ReplicateKey', { KeyId, ReplicaRegion: THERE, Description: 'of the replica', Tags })
  const { ReplicaKeyMetadata, ReplicaPolicy, ReplicaTags } = made
  assert.deepEqual(ReplicaTags, Tags)
  assert.equal(JSON.parse(ReplicaPolicy).Statement[0].Action, 'kms:*')
  const shown = {
    Arn: arnIn(THERE, KeyId),
    KeyId,
    KeyState: 'Creating',
    Enabled: false,
    Description: 'of the replica',
    CurrentKeyMaterialId: undefined,
    type: 'REPLICA',
    replicas: [{ Arn: arnIn(THERE, KeyId), Region: THERE }],
    primary: { Arn: arnIn(HERE, KeyId), Region: HERE },
  }
  const seen = (metadata: typeof ReplicaKeyMetadata): unknown => ({
    Arn: metadata.Arn,
    KeyId: metadata.KeyId,
    KeyState: metadata.KeyState,
    Enabled: metadata.Enabled,
    Description: metadata.Description,
    CurrentKeyMaterialId: metadata.CurrentKeyMaterialId,
    type: metadata.MultiRegionConfiguration.MultiRegionKeyType,
    replicas: metadata.MultiRegionConfiguration.ReplicaKeys,
    primary: metadata.MultiRegionConfiguration.PrimaryKey,
  })
  assert.deepEqual(seen(ReplicaKeyMetadata), shown)
  assert.deepEqual(seen((await there('DescribeKey', { KeyId })).KeyMetadata), shown)
  await refused(
    kms.call('Encrypt', { KeyId, Plaintext: 'AA==' }, undefined, THERE),
    'KMSInvalidStateException',
    `${arnIn(THERE, KeyId)} is creating.`,
  )
  await there('TagResource', { KeyId, Tags: [{ TagKey: 'b', TagValue: 'too' }] })
  held.now = false
  await settle()
  const material = (await here('DescribeKey', { KeyId })).KeyMetadata.CurrentKeyMaterialId
  const done = (await there('DescribeKey', { KeyId })).KeyMetadata
  assert.deepEqual(seen(done), { ...shown, KeyState: 'Enabled', Enabled: true, CurrentKeyMaterialId: material })
  assert.equal((await here('ListResourceTags', { KeyId })).Tags[0].TagValue, 'primary')
  assert.equal((await there('ListResourceTags', { KeyId })).Tags.length, 2)
  assert.deepEqual(
    (await there('ListKeys', { Limit: 1000 })).Keys.filter((key: { KeyId: string }) => key.KeyId === KeyId),
    [{ KeyId, KeyArn: arnIn(THERE, KeyId) }],
  )
})

test('what ReplicateKey refuses, in AWS’s words', async () => {
  const KeyId = await pair()
  const replicate = (input: object, region: string = HERE): ReturnType<TestKms['call']> =>
    kms.call('ReplicateKey', { KeyId, ReplicaRegion: THIRD, ...input }, undefined, region)
  await refused(
    replicate({}, THERE),
    'UnsupportedOperationException',
    `${arnIn(THERE, KeyId)} is not a multi-region primary key.`,
  )
  const single = (await here('CreateKey', {})).KeyMetadata
  await refused(
    replicate({ KeyId: single.KeyId }),
    'UnsupportedOperationException',
    `${single.Arn} is not a multi-region primary key.`,
  )
  await refused(
    replicate({ ReplicaRegion: 'eu-west-1' }),
    'UnsupportedOperationException',
    'Region eu-west-1 is not enabled.',
  )
  for (const ReplicaRegion of [HERE, THERE]) {
    await refused(
      replicate({ ReplicaRegion }),
      'AlreadyExistsException',
      `Key '${arnIn(ReplicaRegion, KeyId)}' already exists`,
    )
  }
  await there('ScheduleKeyDeletion', { KeyId })
  await refused(replicate({ ReplicaRegion: THERE }), 'AlreadyExistsException', /already exists/)
  await refused(replicate({ Policy: '{' }), 'MalformedPolicyDocumentException', /./)
  await refused(replicate({ Tags: [{ TagKey: 'aws:a', TagValue: '' }] }), 'TagException', /reserved/)
  await refused(replicate({ ReplicaRegion: 'x' }), 'ValidationException', /^1 validation error detected/)
  await here('DisableKey', { KeyId })
  await refused(replicate({}), 'DisabledException', `${arnIn(HERE, KeyId)} is disabled.`)
  const external = await primary({ Origin: 'EXTERNAL' })
  await refused(
    replicate({ KeyId: external }),
    'KMSInvalidStateException',
    `${arnIn(HERE, external)} is pending import.`,
  )
})

test('what one Region encrypted opens in another; names of another Region’s keys do not', async () => {
  const KeyId = await pair()
  const EncryptionContext = { app: 'x' }
  const { CiphertextBlob } = await here('Encrypt', { KeyId, Plaintext: 'aGVsbG8=', EncryptionContext })
  const opened = await there('Decrypt', { CiphertextBlob, EncryptionContext })
  assert.deepEqual([opened.Plaintext, opened.KeyId], ['aGVsbG8=', arnIn(THERE, KeyId)])
  await refused(
    kms.call('Decrypt', { CiphertextBlob, EncryptionContext }, undefined, THIRD),
    'AccessDeniedException',
    /./,
  )
  await refused(
    kms.call('DescribeKey', { KeyId: arnIn(HERE, KeyId) }, undefined, THERE),
    'NotFoundException',
    `Invalid arn ${HERE}`,
  )
  await refused(
    kms.call('DescribeKey', { KeyId }, undefined, THIRD),
    'NotFoundException',
    `Key '${arnIn(THIRD, KeyId)}' does not exist`,
  )
  const moved = await here('ReEncrypt', {
    CiphertextBlob,
    SourceEncryptionContext: EncryptionContext,
    DestinationKeyId: KeyId,
  })
  assert.equal((await there('Decrypt', { CiphertextBlob: moved.CiphertextBlob })).Plaintext, 'aGVsbG8=')
})

test('promise 3: disabling a member stops that one and no other', async () => {
  const KeyId = await pair()
  const { CiphertextBlob } = await here('Encrypt', { KeyId, Plaintext: 'aGVsbG8=' })
  await there('DisableKey', { KeyId })
  await refused(
    kms.call('Decrypt', { CiphertextBlob }, undefined, THERE),
    'DisabledException',
    `${arnIn(THERE, KeyId)} is disabled.`,
  )
  assert.equal((await here('Decrypt', { CiphertextBlob })).Plaintext, 'aGVsbG8=')
  await there('EnableKey', { KeyId })
  await here('DisableKey', { KeyId })
  await refused(kms.call('Decrypt', { CiphertextBlob }), 'DisabledException', /is disabled/)
  assert.equal((await there('Decrypt', { CiphertextBlob })).Plaintext, 'aGVsbG8=')
})

test('UpdatePrimaryRegion: both are Updating and can be used, and then have changed places', async () => {
  const KeyId = await pair()
  const move = (PrimaryRegion: string, region: string = HERE): ReturnType<TestKms['call']> =>
    kms.call('UpdatePrimaryRegion', { KeyId, PrimaryRegion }, undefined, region)
  await refused(
    move(THERE, THERE),
    'UnsupportedOperationException',
    `${arnIn(THERE, KeyId)} is not a multi-region primary key.`,
  )
  await refused(move(HERE), 'UnsupportedOperationException', `${arnIn(HERE, KeyId)} is the primary key already.`)
  await refused(move(THIRD), 'NotFoundException', `Key '${arnIn(THIRD, KeyId)}' does not exist`)
  await refused(move('eu-west-1'), 'UnsupportedOperationException', 'Region eu-west-1 is not enabled.')
  await there('DisableKey', { KeyId })
  await refused(move(THERE), 'DisabledException', `${arnIn(THERE, KeyId)} is disabled.`)
  await there('EnableKey', { KeyId })
  held.now = true
  assert.deepEqual(await here('UpdatePrimaryRegion', { KeyId, PrimaryRegion: THERE }), {})
  for (const region of [HERE, THERE]) {
    const { KeyMetadata } = await inRegion(region)('DescribeKey', { KeyId })
    assert.deepEqual([KeyMetadata.KeyState, KeyMetadata.Enabled], ['Updating', false])
    await inRegion(region)('Encrypt', { KeyId, Plaintext: 'AA==' })
    await refused(
      kms.call('DisableKey', { KeyId }, undefined, region),
      'KMSInvalidStateException',
      `${arnIn(region, KeyId)} is updating.`,
    )
  }
  held.now = false
  await settle()
  const { KeyMetadata } = await here('DescribeKey', { KeyId })
  assert.equal(KeyMetadata.KeyState, 'Enabled')
  assert.deepEqual(KeyMetadata.MultiRegionConfiguration, {
    MultiRegionKeyType: 'REPLICA',
    PrimaryKey: { Arn: arnIn(THERE, KeyId), Region: THERE },
    ReplicaKeys: [{ Arn: arnIn(HERE, KeyId), Region: HERE }],
  })
})

test('rotation: its status is shared, and only the primary changes it', async () => {
  const KeyId = await pair()
  const not = `${arnIn(THERE, KeyId)} is not a multi-region primary key.`
  for (const operation of ['EnableKeyRotation', 'DisableKeyRotation', 'RotateKeyOnDemand']) {
    await refused(kms.call(operation, { KeyId }, undefined, THERE), 'UnsupportedOperationException', not)
  }
  await here('EnableKeyRotation', { KeyId, RotationPeriodInDays: 120 })
  await here('RotateKeyOnDemand', { KeyId })
  const [one, other] = await Promise.all(
    [here, there].map(async ok => ({
      status: await ok('GetKeyRotationStatus', { KeyId }),
      list: await ok('ListKeyRotations', { KeyId, IncludeKeyMaterial: 'ALL_KEY_MATERIAL' }),
    })),
  )
  assert.deepEqual(other?.status, { ...one?.status, KeyId: arnIn(THERE, KeyId) })
  assert.equal(other?.status.RotationPeriodInDays, 120)
  const ids = (list: typeof one): string[] =>
    list?.list.Rotations.map((each: { KeyMaterialId: string }) => each.KeyMaterialId)
  assert.equal(ids(one).length, 2)
  assert.deepEqual(ids(other), ids(one))
})

test('deleting a primary waits for its replicas', async () => {
  const KeyId = await pair()
  assert.deepEqual(await here('ScheduleKeyDeletion', { KeyId, PendingWindowInDays: 9 }), {
    KeyId: arnIn(HERE, KeyId),
    KeyState: 'PendingReplicaDeletion',
    PendingWindowInDays: 9,
  })
  const waiting = (await here('DescribeKey', { KeyId })).KeyMetadata
  assert.deepEqual(
    [waiting.KeyState, waiting.PendingDeletionWindowInDays, waiting.DeletionDate],
    ['PendingReplicaDeletion', 9, undefined],
  )
  assert.equal((await here('GetKeyRotationStatus', { KeyId })).KeyRotationEnabled, false)
  await refused(
    kms.call('Encrypt', { KeyId, Plaintext: 'AA==' }),
    'KMSInvalidStateException',
    `${arnIn(HERE, KeyId)} is pending deletion (or pending replica deletion).`,
  )
  await here('CancelKeyDeletion', { KeyId })
  assert.equal((await here('DescribeKey', { KeyId })).KeyMetadata.KeyState, 'Disabled')
  await here('ScheduleKeyDeletion', { KeyId, PendingWindowInDays: 9 })
  const replica = await there('ScheduleKeyDeletion', { KeyId, PendingWindowInDays: 7 })
  assert.equal(replica.KeyState, 'PendingDeletion')
  await kms.advance(8 * DAY)
  const last = (await here('DescribeKey', { KeyId })).KeyMetadata
  assert.equal(last.KeyState, 'PendingDeletion')
  assert.equal(last.PendingDeletionWindowInDays, undefined)
  assert.ok(last.DeletionDate > 0)
  assert.deepEqual(last.MultiRegionConfiguration.ReplicaKeys, [])
  await kms.advance(10 * DAY)
  await refused(kms.call('DescribeKey', { KeyId }), 'NotFoundException', `Key '${arnIn(HERE, KeyId)}' does not exist`)
})

test('promise 5: each permission of both operations, and their condition keys', async () => {
  const KeyId = await pair()
  const allow = (Action: string | string[], Condition: object = {}): object => ({
    Effect: 'Allow',
    Action,
    Resource: '*',
    Condition,
  })
  const equals = (values: object): object => ({ StringEquals: values })
  const replicate = (statements: readonly object[], input: object = {}): ReturnType<TestKms['call']> =>
    kms.call('ReplicateKey', { KeyId, ReplicaRegion: THIRD, ...input }, user('someone', statements))
  const both = [allow('kms:ReplicateKey'), allow('kms:CreateKey')]
  const denied = async (answer: ReturnType<TestKms['call']>, permission: string): Promise<void> =>
    refused(answer, 'AccessDeniedException', new RegExp(`perform: ${permission} on`))
  await denied(replicate([allow('kms:CreateKey')]), 'kms:ReplicateKey')
  await denied(replicate([allow('kms:ReplicateKey')]), 'kms:CreateKey')
  await denied(replicate(both, { Tags: [{ TagKey: 'a', TagValue: 'b' }] }), 'kms:TagResource')
  const elsewhere = allow('kms:ReplicateKey', equals({ 'kms:ReplicaRegion': THERE }))
  await denied(replicate([elsewhere, allow('kms:CreateKey')]), 'kms:ReplicateKey')
  const ofPrimary = allow('kms:CreateKey', equals({ 'kms:MultiRegionKeyType': 'PRIMARY' }))
  await denied(replicate([allow('kms:ReplicateKey'), ofPrimary]), 'kms:CreateKey')
  const exact = [
    allow('kms:ReplicateKey', equals({ 'kms:ReplicaRegion': THIRD, 'kms:MultiRegionKeyType': 'PRIMARY' })),
    allow('kms:CreateKey', {
      ...equals({ 'aws:RequestedRegion': THIRD, 'kms:MultiRegionKeyType': 'REPLICA' }),
      Bool: { 'kms:MultiRegion': 'true' },
    }),
  ]
  assert.equal((await replicate(exact)).status, 200)
  await settle()

  const move = (statements: readonly object[]): ReturnType<TestKms['call']> =>
    kms.call('UpdatePrimaryRegion', { KeyId, PrimaryRegion: THERE }, user('someone', statements))
  for (const region of [HERE, THERE]) {
    // On one of the two keys is not enough.
    const one = { ...allow('kms:UpdatePrimaryRegion'), Resource: arnIn(region, KeyId) }
    await denied(move([one]), 'kms:UpdatePrimaryRegion')
  }
  const back = allow('kms:UpdatePrimaryRegion', equals({ 'kms:PrimaryRegion': HERE }))
  await denied(move([back]), 'kms:UpdatePrimaryRegion')
  const update = allow('kms:UpdatePrimaryRegion', equals({ 'kms:PrimaryRegion': THERE }))
  assert.equal((await move([update])).status, 200)
  const stranger = user('stranger', undefined, OTHER)
  await refused(
    kms.call('ReplicateKey', { KeyId: arnIn(REGION, KeyId), ReplicaRegion: THIRD }, stranger),
    'AccessDeniedException',
    /./,
  )
  assert.deepEqual(kms.defects, [])
})
