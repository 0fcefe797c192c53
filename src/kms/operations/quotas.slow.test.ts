/** Resource quotas (aws-kms.md §11.2), each set to a small number: what fits is made, the next is refused, and what goes makes room. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { startTestKms, type TestKms, user } from '../testing.ts'

let kms: TestKms
before(async () => {
  kms = await startTestKms(
    {},
    {
      quotas: { keys: 4, aliasesPerKey: 3, tagsPerKey: 2, policyBytes: 1024, onDemandRotations: 2 },
    },
  )
})
after(() => kms.stop())

const DAY = 86_400_000

const refused = async (operation: string, input: object, text: RegExp, caller = user('administrator')) => {
  const { body } = await kms.call(operation, input, caller)
  assert.equal(body.__type, 'LimitExceededException', JSON.stringify(body))
  assert.match(body.message, text)
}
const account = (last: number) => user('administrator', undefined, `00000000000${last}`)
const make = async (caller = user('administrator')): Promise<string> =>
  (await kms.ok('CreateKey', {}, caller)).KeyMetadata.KeyId

test('keys: of an account in a Region, in every state, but not those that the provider manages', async () => {
  const [caller, other] = [account(1), account(2)]
  const keys: string[] = []
  for (let i = 0; i < 4; i++) keys.push(await make(caller))
  const QUOTA = /^The request was rejected because a quota was exceeded\. The limit is 4 keys\.$/
  await refused('CreateKey', {}, QUOTA, caller)
  await make(other)
  await kms.ok('DescribeKey', { KeyId: 'alias/aws/objects' }, caller)
  const KeyId = keys[0] ?? ''
  await kms.ok('ScheduleKeyDeletion', { KeyId, PendingWindowInDays: 7 }, caller)
  await refused('CreateKey', { Origin: 'EXTERNAL' }, QUOTA, caller)
  await kms.advance(8 * DAY)
  await make(caller)
  await refused('CreateKey', {}, QUOTA, caller)
})

test('keys that are made at once do not slip through', async () => {
  const caller = account(3)
  const answers = await Promise.all(Array.from({ length: 12 }, () => kms.call('CreateKey', {}, caller)))
  assert.equal(answers.filter(({ status }) => status === 200).length, 4)
  assert.equal((await kms.ok('ListKeys', {}, caller)).Keys.length, 4)
})

test('aliases of a key', async () => {
  const caller = account(4)
  const [TargetKeyId, second] = [await make(caller), await make(caller)]
  for (const name of ['a', 'b', 'c']) await kms.ok('CreateAlias', { AliasName: `alias/${name}`, TargetKeyId }, caller)
  await kms.ok('CreateAlias', { AliasName: 'alias/d', TargetKeyId: second }, caller)
  const QUOTA = /A key has at most 3 aliases\.$/
  await refused('CreateAlias', { AliasName: 'alias/e', TargetKeyId }, QUOTA, caller)
  await refused('UpdateAlias', { AliasName: 'alias/d', TargetKeyId }, QUOTA, caller)
  await kms.ok('UpdateAlias', { AliasName: 'alias/a', TargetKeyId }, caller)
  await kms.ok('DeleteAlias', { AliasName: 'alias/a' }, caller)
  await kms.ok('UpdateAlias', { AliasName: 'alias/d', TargetKeyId }, caller)
})

test('tags of a key', async () => {
  const caller = account(5)
  const KeyId = await make(caller)
  const tag = (TagKey: string) => ({ TagKey, TagValue: '' })
  await kms.ok('TagResource', { KeyId, Tags: [tag('a'), tag('b')] }, caller)
  await kms.ok('TagResource', { KeyId, Tags: [tag('a')] }, caller)
  for (const [operation, input] of [
    ['TagResource', { KeyId, Tags: [tag('c')] }],
    ['CreateKey', { Tags: [tag('a'), tag('b'), tag('c')] }],
  ] as const) {
    const { body } = await kms.call(operation, input, caller)
    assert.deepEqual(body, { __type: 'TagException', message: 'Too many tags' })
  }
})

test('bytes of a key policy', async () => {
  const KeyId = await make()
  const Statement = { Effect: 'Allow', Principal: '*', Action: 'kms:*', Resource: '*' }
  const policy = (bytes: number) => JSON.stringify({ Statement }).padEnd(bytes)
  await kms.ok('PutKeyPolicy', { KeyId, Policy: policy(1024) })
  await refused('PutKeyPolicy', { KeyId, Policy: policy(1025) }, /has 1025 bytes; the limit is 1024\.$/)
})

test('on-demand rotations of a key', async () => {
  const KeyId = await make()
  for (let i = 0; i < 2; i++) {
    await kms.ok('RotateKeyOnDemand', { KeyId })
    await kms.advance(DAY)
  }
  await refused('RotateKeyOnDemand', { KeyId }, /^The on-demand rotations limit has been reached for the given keyId\./)
})
