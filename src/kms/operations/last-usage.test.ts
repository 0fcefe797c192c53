import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { ACCOUNT, OTHER, startTestKms, type TestKms, user } from '../testing.ts'

let kms: TestKms
before(async () => {
  kms = await startTestKms()
})
after(() => kms.stop())

const DAY = 86_400_000
const make = async (): Promise<string> => (await kms.ok('CreateKey', {})).KeyMetadata.KeyId
const usage = async (KeyId: string) => kms.ok('GetKeyLastUsage', { KeyId })

test('a key that was never used has none; then the last operation that succeeded, with its request', async () => {
  const KeyId = await make()
  const never = await usage(KeyId)
  assert.deepEqual(never.KeyLastUsage, {})
  assert.ok(never.KeyId.endsWith(`:key/${KeyId}`))
  const { KeyMetadata } = await kms.ok('DescribeKey', { KeyId })
  assert.equal(never.KeyCreationDate, KeyMetadata.CreationDate)
  assert.ok(never.TrackingStartDate >= never.KeyCreationDate)
  const { CiphertextBlob } = await kms.ok('Encrypt', { KeyId, Plaintext: 'AA==' })
  const { KeyLastUsage: first } = await usage(KeyId)
  assert.deepEqual(Object.keys(first).sort(), ['CloudTrailEventId', 'KmsRequestId', 'Operation', 'Timestamp'])
  assert.equal(first.Operation, 'Encrypt')
  assert.ok(first.Timestamp >= KeyMetadata.CreationDate)
  for (const [operation, input] of [
    ['Decrypt', { CiphertextBlob, EncryptionContext: { wrong: 'context' } }],
    ['Encrypt', { KeyId, Plaintext: 'AA==', DryRun: true }],
    ['Encrypt', { KeyId, Plaintext: '' }],
  ] as const) {
    assert.equal((await kms.call(operation, input)).status, 400)
  }
  assert.deepEqual((await usage(KeyId)).KeyLastUsage, first)
  await kms.ok('Decrypt', { CiphertextBlob })
  const { KeyLastUsage: second } = await usage(KeyId)
  assert.equal(second.Operation, 'Decrypt')
  assert.notEqual(second.KmsRequestId, first.KmsRequestId)
})

test('ReEncrypt is the last use of both keys, and of nothing else', async () => {
  const [from, to, other] = [await make(), await make(), await make()]
  const { CiphertextBlob } = await kms.ok('Encrypt', { KeyId: from, Plaintext: 'AA==' })
  await kms.ok('ReEncrypt', { CiphertextBlob, DestinationKeyId: to })
  assert.equal((await usage(from)).KeyLastUsage.Operation, 'ReEncrypt')
  assert.deepEqual((await usage(to)).KeyLastUsage, (await usage(from)).KeyLastUsage)
  assert.deepEqual((await usage(other)).KeyLastUsage, {})
})

test('it is told in every state, to who may, by id or ARN alone', async () => {
  const KeyId = await make()
  await kms.ok('CreateAlias', { AliasName: 'alias/last-usage', TargetKeyId: KeyId })
  assert.equal((await kms.call('GetKeyLastUsage', { KeyId: 'alias/last-usage' })).body.__type, 'NotFoundException')
  await kms.ok('ScheduleKeyDeletion', { KeyId })
  assert.deepEqual((await usage(KeyId)).KeyLastUsage, {})
  for (const stranger of [user('nobody', []), user('other', undefined, OTHER)]) {
    const { body } = await kms.call('GetKeyLastUsage', { KeyId: (await usage(KeyId)).KeyId }, stranger)
    assert.equal(body.__type, 'AccessDeniedException')
  }
})

for (const operation of ['DisableKey', 'ScheduleKeyDeletion']) {
  test(`kms:TrailingDaysWithoutKeyUsage: ${operation} of keys that were not used for 90 days only`, async () => {
    const careful = user('careful', [
      {
        Effect: 'Allow',
        Action: `kms:${operation}`,
        Resource: '*',
        Condition: { NumericGreaterThanEquals: { 'kms:TrailingDaysWithoutKeyUsage': '90' } },
      },
      // No other request has the key.
      {
        Effect: 'Allow',
        Action: 'kms:EnableKey',
        Resource: '*',
        Condition: { Null: { 'kms:TrailingDaysWithoutKeyUsage': 'false' } },
      },
    ])
    const [used, unused] = [await make(), await make()]
    const may = async (KeyId: string) => (await kms.call(operation, { KeyId }, careful)).body.__type
    await kms.advance(89 * DAY)
    assert.equal(await may(unused), 'AccessDeniedException')
    await kms.ok('Encrypt', { KeyId: used, Plaintext: 'AA==' })
    assert.equal(await may(used), 'AccessDeniedException')
    await kms.advance(DAY)
    assert.equal(await may(used), 'AccessDeniedException')
    assert.equal(await may(unused), undefined)
    await kms.advance(89 * DAY)
    assert.equal(await may(used), undefined)
    assert.equal((await kms.call('EnableKey', { KeyId: used }, careful)).body.__type, 'AccessDeniedException')
  })
}

test('each question has its record', async () => {
  const KeyId = await make()
  const before = await kms.records()
  await usage(KeyId)
  await kms.call('GetKeyLastUsage', { KeyId: `arn:aws:kms:eu-north-1:${ACCOUNT}:key/none` })
  assert.equal(await kms.records(), before + 2)
})
