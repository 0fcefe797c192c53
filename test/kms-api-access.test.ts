/** Who may do what: several accounts made with the CLI, both sides across accounts, condition keys really filled in, and the provider's own keys. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { KMS } from '@aws-sdk/client-kms'
import { createCredential, createPrincipal, putPolicy } from '../src/kms/admin/index.ts'
import { type Kms, REGION, startKms } from './support/kms.ts'
import { holdfast, type NewKey, newKey, refusalOf, refused, sdk } from './support/sdk.ts'

const Plaintext = Buffer.from('x')
const THEIRS = '444455556666'

let service: Kms
let kms: KMS
let mine: string
let control: ReturnType<Kms['control']>
const clients: KMS[] = []

before(async () => {
  service = await startKms(['--account', '111122223333'])
  mine = service.line.accountId
  kms = sdk(service.line.endpoint, service.line)
  clients.push(kms)
  control = service.control()
  await cli('account', 'create', THEIRS, '--name', 'theirs')
})
after(async () => {
  for (const client of clients) client.destroy()
  control?.close()
  await service?.stop()
})

/** `holdfast kms …` on this service; its JSON. */
// biome-ignore lint/suspicious/noExplicitAny: tests look into answers as people do
async function cli(group: string, command: string, ...args: string[]): Promise<any> {
  const { stdout } = await holdfast('kms', group, command, ...args, '--data', service.line.data, '--json')
  return stdout.trim() === '' ? {} : JSON.parse(stdout)
}

const arnOf = (name: string, account = mine): string => `arn:aws:iam::${account}:user/${name}`

/** A new user with these statements as its identity policy, and a client of it. */
async function user(name: string, statements: readonly object[], account = mine): Promise<KMS> {
  const arn = arnOf(name, account)
  await createPrincipal(control, arn)
  await allow(arn, statements)
  const { accessKeyId, secretAccessKey } = await createCredential(control, arn)
  const secret = secretAccessKey.reveal(bytes => bytes.toString('latin1'))
  const client = sdk(service.line.endpoint, { accessKeyId, secretAccessKey: secret })
  clients.push(client)
  return client
}

async function allow(arn: string, statements: readonly object[]): Promise<void> {
  const Statement = statements.map(statement => ({ Effect: 'Allow', Resource: '*', ...statement }))
  await putPolicy(control, arn, 'own', JSON.stringify({ Version: '2012-10-17', Statement }))
}

const keyPolicy = (...more: readonly object[]): string =>
  JSON.stringify({
    Version: '2012-10-17',
    Statement: [
      { Effect: 'Allow', Principal: { AWS: `arn:aws:iam::${mine}:root` }, Action: 'kms:*', Resource: '*' },
      ...more,
    ],
  })

describe('across accounts', () => {
  const hidden = (permission: string, resource: string) =>
    `User: ${arnOf('visitor', THEIRS)} is not authorized to perform: ${permission} on resource: ${resource} because the resource does not exist in this Region, no resource-based policies allow access, or a resource-based policy explicitly denies access`

  test('both policies are needed; and who has neither does not learn what there is', async () => {
    const visitor = await user('visitor', [{ Action: 'kms:*' }], THEIRS)
    const shared = await newKey(kms, {
      Policy: keyPolicy({
        Effect: 'Allow',
        Principal: { AWS: `arn:aws:iam::${THEIRS}:root` },
        Action: ['kms:Encrypt', 'kms:Decrypt', 'kms:ReEncrypt*', 'kms:DisableKey'],
        Resource: '*',
      }),
    })
    const closed = await newKey(kms)
    await kms.createAlias({ AliasName: 'alias/shared', TargetKeyId: shared.id })
    await kms.createAlias({ AliasName: 'alias/closed', TargetKeyId: closed.id })
    const alias = (name: string) => `arn:aws:kms:${REGION}:${mine}:alias/${name}`
    const { CiphertextBlob, KeyId } = await visitor.encrypt({ KeyId: alias('shared'), Plaintext })
    assert.equal(KeyId, shared.arn)
    await visitor.decrypt({ CiphertextBlob })
    await visitor.decrypt({ CiphertextBlob, KeyId: shared.arn })

    const missing = shared.arn.replace(shared.id, '00000000-0000-4000-8000-000000000000')
    const own = await newKey(visitor)
    for (const target of [closed.arn, missing, alias('closed'), alias('none')]) {
      await refused(visitor.encrypt({ KeyId: target, Plaintext }), 'AccessDenied', hidden('kms:Encrypt', target))
      await refused(visitor.describeKey({ KeyId: target }), 'AccessDenied', hidden('kms:DescribeKey', target))
      await refused(
        visitor.reEncrypt({ CiphertextBlob, DestinationKeyId: target }),
        'AccessDenied',
        hidden('kms:ReEncryptTo', target),
      )
      await refused(visitor.decrypt({ CiphertextBlob, KeyId: target }), 'AccessDenied', hidden('kms:Decrypt', target))
    }
    for (const target of [closed.arn, missing, shared.arn]) {
      // Not possible across accounts, whatever the policies say.
      await refused(visitor.disableKey({ KeyId: target }), 'AccessDenied', hidden('kms:DisableKey', target))
      await refused(visitor.listAliases({ KeyId: target }), 'AccessDenied', hidden('kms:ListAliases', target))
      await refused(
        visitor.createAlias({ AliasName: 'alias/theirs', TargetKeyId: target }),
        'AccessDenied',
        hidden('kms:CreateAlias', target),
      )
    }
    await refused(visitor.encrypt({ KeyId: shared.id, Plaintext }), 'NotFound', /^Key 'arn:aws:kms:.*:444455556666:key/)
    const { CiphertextBlob: closedBlob } = await kms.encrypt({ KeyId: closed.id, Plaintext })
    await refused(visitor.decrypt({ CiphertextBlob: closedBlob }), 'AccessDenied', /refers to a customer master key/)
    assert.deepEqual(
      (await visitor.listKeys({})).Keys?.map(({ KeyId }) => KeyId),
      [own.id],
    )

    await allow(arnOf('visitor', THEIRS), [{ Action: 'kms:Decrypt' }])
    await refused(visitor.encrypt({ KeyId: shared.arn, Plaintext }), 'AccessDenied', /no identity-based policy allows/)
    await visitor.decrypt({ CiphertextBlob })
  })
})

describe('condition keys', () => {
  let key: NewKey
  before(async () => {
    key = await newKey(kms, { Tags: [{ TagKey: 'Team', TagValue: 'red' }] })
  })

  test('kms:RequestAlias, kms:ResourceAliases and aws:ResourceTag hold what is', async () => {
    const conditions: readonly (readonly [name: string, Condition: object])[] = [
      ['request-alias', { StringEquals: { 'kms:RequestAlias': 'alias/red' } }],
      ['resource-alias', { 'ForAnyValue:StringLike': { 'kms:ResourceAliases': 'alias/re*' } }],
      ['resource-tag', { StringEquals: { 'aws:ResourceTag/Team': 'red' } }],
    ]
    const other = await newKey(kms)
    for (const [name, Condition] of conditions) {
      const client = await user(name, [{ Action: 'kms:Encrypt', Condition }])
      await kms.createAlias({ AliasName: 'alias/red', TargetKeyId: key.id })
      await client.encrypt({ KeyId: 'alias/red', Plaintext })
      const byId = await refusalOf(client.encrypt({ KeyId: key.id, Plaintext }))
      assert.equal(byId?.name, name === 'request-alias' ? 'AccessDeniedException' : undefined, name)
      await refused(client.encrypt({ KeyId: other.id, Plaintext }), 'AccessDenied')
      await kms.deleteAlias({ AliasName: 'alias/red' })
    }
    const tagged = await user('retagged', [{ Action: 'kms:Encrypt', Condition: conditions[2]?.[1] }])
    await tagged.encrypt({ KeyId: key.id, Plaintext })
    await kms.tagResource({ KeyId: key.id, Tags: [{ TagKey: 'Team', TagValue: 'blue' }] })
    await refused(tagged.encrypt({ KeyId: key.id, Plaintext }), 'AccessDenied')
  })

  test('CreateKey with tags needs TagResource too, and policies see the tags and what is to be made', async () => {
    const maker = await user('maker', [{ Action: 'kms:CreateKey' }])
    await maker.createKey({})
    const Tags = [{ TagKey: 'cost', TagValue: '1' }]
    await refused(maker.createKey({ Tags }), 'AccessDenied', /kms:TagResource on resource: \*/)
    const Condition = {
      StringEquals: { 'aws:RequestTag/cost': '1' },
      'ForAllValues:StringEquals': { 'aws:TagKeys': 'cost' },
    }
    await allow(arnOf('maker'), [
      { Action: 'kms:CreateKey', Condition: { StringEquals: { 'kms:KeyOrigin': 'AWS_KMS' } } },
      { Action: 'kms:TagResource', Condition },
    ])
    await maker.createKey({ Tags })
    await refused(maker.createKey({ Tags: [...Tags, { TagKey: 'other', TagValue: '' }] }), 'AccessDenied')
    await refused(maker.createKey({ Origin: 'EXTERNAL' }), 'AccessDenied')
  })

  test('contexts, windows, wrapping and expiry are seen as they are asked', async () => {
    const Condition = { StringEquals: { 'kms:EncryptionContext:app': 'a' } }
    const one = await user('context', [{ Action: 'kms:Encrypt', Condition }])
    await one.encrypt({ KeyId: key.id, Plaintext, EncryptionContext: { app: 'a' } })
    await refused(one.encrypt({ KeyId: key.id, Plaintext, EncryptionContext: { app: 'b' } }), 'AccessDenied')
    await refused(one.encrypt({ KeyId: key.id, Plaintext }), 'AccessDenied')
    const window = { NumericGreaterThanEquals: { 'kms:ScheduleKeyDeletionPendingWindowInDays': '20' } }
    const two = await user('patient', [{ Action: 'kms:ScheduleKeyDeletion', Condition: window }])
    const { id } = await newKey(kms)
    await refused(two.scheduleKeyDeletion({ KeyId: id, PendingWindowInDays: 7 }), 'AccessDenied')
    await two.scheduleKeyDeletion({ KeyId: id })
    const wrapping = { StringEquals: { 'kms:WrappingAlgorithm': 'RSAES_OAEP_SHA_256' } }
    const three = await user('importer', [{ Action: 'kms:GetParametersForImport', Condition: wrapping }])
    const external = (await newKey(kms, { Origin: 'EXTERNAL' })).id
    const ask = { KeyId: external, WrappingKeySpec: 'RSA_2048' } as const
    await three.getParametersForImport({ ...ask, WrappingAlgorithm: 'RSAES_OAEP_SHA_256' })
    await refused(three.getParametersForImport({ ...ask, WrappingAlgorithm: 'RSAES_OAEP_SHA_1' }), 'AccessDenied')
  })
})

describe('provider-managed keys', () => {
  test('only who may describe them makes them, everyone may see them, and nobody changes them or uses them past the service', async () => {
    const AliasName = 'alias/aws/objects'
    const nobody = await user('nobody', [{ Action: 'kms:ListAliases' }])
    await refused(nobody.describeKey({ KeyId: AliasName }), 'AccessDenied')
    const listed = async () =>
      (await nobody.listAliases({})).Aliases?.find(alias => alias.AliasName === AliasName)?.TargetKeyId
    assert.equal(await listed(), undefined)
    const { KeyMetadata } = await kms.describeKey({ KeyId: AliasName })
    const KeyId = KeyMetadata?.KeyId ?? ''
    assert.equal(KeyMetadata?.KeyManager, 'AWS')
    assert.equal(await listed(), KeyId)
    assert.equal((await kms.describeKey({ KeyId: AliasName })).KeyMetadata?.KeyId, KeyId)
    assert.match((await kms.getKeyPolicy({ KeyId })).Policy ?? '', /kms:ViaService/)
    for (const change of [
      () => kms.encrypt({ KeyId, Plaintext }),
      () => kms.generateDataKey({ KeyId: AliasName, NumberOfBytes: 1 }),
      () => kms.disableKey({ KeyId }),
      () => kms.scheduleKeyDeletion({ KeyId }),
      () => kms.putKeyPolicy({ KeyId, Policy: keyPolicy() }),
      () => kms.rotateKeyOnDemand({ KeyId }),
      () => kms.enableKeyRotation({ KeyId }),
      () => kms.tagResource({ KeyId, Tags: [{ TagKey: 'a', TagValue: 'b' }] }),
      () => kms.updateKeyDescription({ KeyId, Description: 'mine' }),
      () => kms.createAlias({ AliasName: 'alias/mine', TargetKeyId: KeyId }),
    ]) {
      await refused(change(), 'AccessDenied', /no resource-based policy allows the kms:/)
    }
    await refused(kms.describeKey({ KeyId: 'alias/aws/nothing' }), 'NotFound', /alias\/aws\/nothing is not found/)
    const made = await cli('principal', 'create', '--service', 'objects', '--account', mine)
    const arn = made.arn ?? made.principal
    const objects = sdk(service.line.endpoint, await cli('credential', 'create', '--principal', arn))
    clients.push(objects)
    const { CiphertextBlob } = await objects.encrypt({ KeyId: AliasName, Plaintext })
    await objects.decrypt({ CiphertextBlob })
    await refused(kms.decrypt({ CiphertextBlob }), 'AccessDenied')
    await refused(objects.scheduleKeyDeletion({ KeyId }), 'AccessDenied')
  })
})
