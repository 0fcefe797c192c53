/** Grants over a real boundary: who gets what, who may end it, what is remembered and for how long, and that memory never knows better. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { SPECS } from '../../../boundary/algorithms.ts'
import { BoundaryError, type KeySpec, type KeyUsage } from '../../../boundary/words.ts'
import { callerOf } from '../../access/testing.ts'
import type { Caller } from '../../access/types.ts'
import { ACCOUNT, ADMINISTRATOR, type Answer, OTHER, startTestKms, type TestKms, user } from '../../testing.ts'
import { grantable } from './create.ts'

let kms: TestKms
/** A user without policies: nothing but grants lets it do anything. */
const bob = user('bob', [])
const carol = user('carol', [])
const stranger = user('stranger', [], OTHER)
const root = callerOf(`arn:aws:iam::${ACCOUNT}:root`)
const objects = callerOf(`arn:aws:iam::${ACCOUNT}:role/aws-service-role/objects.amazonaws.com/AWSServiceRoleForObjects`)

before(async () => {
  kms = await startTestKms()
  for (const { arn } of [ADMINISTRATOR, bob, carol, stranger, objects]) await kms.principal(arn)
})
after(async () => {
  await kms.stop()
  assert.deepEqual(kms.defects, [])
})

interface NewKey {
  readonly KeyId: string
  readonly Arn: string
}
const newKey = async (): Promise<NewKey> => (await kms.ok('CreateKey')).KeyMetadata
const errorOf = ({ body }: Answer): string => body.__type ?? ''
const refused = async (answer: Promise<Answer>, type: string): Promise<void> =>
  assert.equal(errorOf(await answer), `${type}Exception`, JSON.stringify((await answer).body))
const grant = (KeyId: string, input: object, by: Caller = ADMINISTRATOR): Promise<Answer['body']> =>
  kms.ok('CreateGrant', { KeyId, GranteePrincipal: bob.arn, Operations: ['Encrypt'], ...input }, by)
const encrypt = (KeyId: string, caller = bob, more: object = {}): Promise<Answer> =>
  kms.call('Encrypt', { KeyId, Plaintext: 'AA==', ...more }, caller)

describe('what a grant gives', () => {
  test('its operations to its grantee, at once, and nothing to anybody else', async () => {
    const { KeyId, Arn } = await newKey()
    await refused(encrypt(KeyId), 'AccessDenied')
    const { GrantId, GrantToken } = await grant(KeyId, {})
    assert.match(GrantId, /^[0-9a-f]{64}$/)
    assert.equal(errorOf(await encrypt(KeyId)), '')
    assert.equal(errorOf(await encrypt(Arn, bob, { GrantTokens: [GrantToken] })), '')
    await refused(encrypt(KeyId, carol), 'AccessDenied')
    await refused(kms.call('GenerateDataKey', { KeyId, NumberOfBytes: 1 }, bob), 'AccessDenied')
    await refused(encrypt((await newKey()).KeyId), 'AccessDenied')
    await kms.ok('RevokeGrant', { KeyId, GrantId })
    await refused(encrypt(KeyId), 'AccessDenied')
    await grant(KeyId, {})
    assert.equal(errorOf(await encrypt(KeyId)), '')
  })

  test('across accounts too, without any policy there', async () => {
    const { KeyId, Arn } = await newKey()
    await refused(encrypt(Arn, stranger), 'AccessDenied')
    await grant(KeyId, { GranteePrincipal: stranger.arn, Operations: ['Encrypt', 'Decrypt', 'DescribeKey'] })
    const { CiphertextBlob } = (await encrypt(Arn, stranger)).body
    assert.equal((await kms.ok('Decrypt', { CiphertextBlob }, stranger)).Plaintext, 'AA==')
    assert.equal((await kms.ok('DescribeKey', { KeyId: Arn }, stranger)).KeyMetadata.Arn, Arn)
    await refused(kms.call('ListGrants', { KeyId: Arn }, stranger), 'AccessDenied')
  })

  test('never what a policy denies', async () => {
    const { KeyId } = await newKey()
    await grant(KeyId, { Operations: ['Encrypt', 'RetireGrant'] })
    const denied = {
      ...bob,
      policies: user('bob', [{ Effect: 'Deny', Action: 'kms:Encrypt', Resource: '*' }]).policies,
    }
    await refused(encrypt(KeyId, denied), 'AccessDenied')
    const policy = JSON.parse((await kms.ok('GetKeyPolicy', { KeyId })).Policy)
    policy.Statement.push({ Effect: 'Deny', Principal: { AWS: bob.arn }, Action: 'kms:*', Resource: '*' })
    await kms.ok('PutKeyPolicy', { KeyId, Policy: JSON.stringify(policy) })
    await refused(encrypt(KeyId), 'AccessDenied')
  })

  test('within its constraints; ReEncrypt needs both of its sides', async () => {
    const [one, two] = [await newKey(), await newKey()]
    const Constraints = { EncryptionContextSubset: { Tenant: '7' } }
    await grant(one.KeyId, { Operations: ['Encrypt', 'ReEncryptFrom', 'DescribeKey'], Constraints })
    await refused(encrypt(one.KeyId), 'AccessDenied')
    await refused(encrypt(one.KeyId, bob, { EncryptionContext: { tenant: '8' } }), 'AccessDenied')
    const SourceEncryptionContext = { TENANT: '7', more: 'x' }
    const { body } = await encrypt(one.KeyId, bob, { EncryptionContext: SourceEncryptionContext })
    await kms.ok('DescribeKey', { KeyId: one.KeyId }, bob)
    const input = { CiphertextBlob: body.CiphertextBlob, SourceEncryptionContext, DestinationKeyId: two.KeyId }
    await refused(kms.call('ReEncrypt', input, bob), 'AccessDenied')
    await grant(two.KeyId, { Operations: ['ReEncryptTo'] })
    assert.equal((await kms.ok('ReEncrypt', input, bob)).KeyId, two.Arn)
    await refused(kms.call('ReEncrypt', { ...input, SourceEncryptionContext: {} }, bob), 'AccessDenied')
  })

  test('to a service, for the resource that it calls for', async () => {
    const { KeyId } = await newKey()
    const SourceArn = `arn:aws:s3:eu-north-1:${ACCOUNT}:bucket`
    const input = {
      KeyId,
      GranteeServicePrincipal: 'objects.amazonaws.com',
      RetiringServicePrincipal: 'objects.amazonaws.com',
      Operations: ['Encrypt'],
      Constraints: { SourceArn },
    }
    const { GrantId } = await kms.ok('CreateGrant', input)
    await refused(encrypt(KeyId, objects), 'AccessDenied')
    const listed = (
      await kms.ok('ListRetirableGrants', { RetiringServicePrincipal: 'objects.amazonaws.com' }, withAll(objects))
    ).Grants
    assert.deepEqual(
      listed.map((entry: { GrantId: string }) => entry.GrantId),
      [GrantId],
    )
    assert.equal(listed[0].GranteeServicePrincipal, 'objects.amazonaws.com')
    assert.equal(listed[0].GranteePrincipal, undefined)
    await kms.ok('RetireGrant', { KeyId, GrantId }, objects)
    for (const [less, text] of [
      [{ Constraints: {} }, 'without a source'],
      [{ RetiringServicePrincipal: undefined }, 'without who retires it'],
      [{ GranteePrincipal: bob.arn }, 'with two grantees'],
      [{ GranteeServicePrincipal: 'other.amazonaws.com' }, 'for a service that is none'],
    ] as const)
      assert.equal(errorOf(await kms.call('CreateGrant', { ...input, ...less })), 'ValidationException', text)
  })

  test('the record says which grant allowed it', async () => {
    const { KeyId } = await newKey()
    const { GrantId } = await grant(KeyId, {})
    const asserted: (string | undefined)[] = []
    const { boundary } = kms.services
    const spied = boundary.encrypt
    boundary.encrypt = (key, plaintext, context, fields) => {
      asserted.push(fields.grantId)
      return spied(key, plaintext, context, fields)
    }
    await encrypt(KeyId)
    await encrypt(KeyId, ADMINISTRATOR)
    boundary.encrypt = spied
    assert.deepEqual(asserted, [GrantId, undefined])
  })
})

/** The same caller, whose identity policies allow everything. */
const withAll = (caller: Caller): Caller => ({ ...caller, policies: ADMINISTRATOR.policies })

describe('CreateGrant', () => {
  test('with a name makes the same grant once, and another token each time', async () => {
    const { KeyId } = await newKey()
    const input = {
      Name: 'one',
      Operations: ['Encrypt', 'Decrypt'],
      Constraints: { EncryptionContextEquals: { a: '1', b: '2' } },
    }
    const first = await grant(KeyId, input)
    const again = await grant(KeyId, {
      ...input,
      Operations: ['Decrypt', 'Encrypt'],
      Constraints: { EncryptionContextEquals: { b: '2', a: '1' } },
    })
    assert.equal(again.GrantId, first.GrantId)
    assert.notEqual(again.GrantToken, first.GrantToken)
    const all = await Promise.all(Array.from({ length: 8 }, () => grant(KeyId, { ...input, Name: 'many' })))
    assert.equal(new Set(all.map(({ GrantId }) => GrantId)).size, 1)
    for (const other of [
      { Name: 'two' },
      { Name: undefined },
      { Operations: ['Encrypt'] },
      { Constraints: undefined },
      { Constraints: { EncryptionContextSubset: { a: '1', b: '2' } } },
      { RetiringPrincipal: bob.arn },
      { GranteePrincipal: carol.arn },
    ])
      assert.notEqual((await grant(KeyId, { ...input, ...other })).GrantId, first.GrantId, JSON.stringify(other))
    await kms.ok('RevokeGrant', { KeyId, GrantId: first.GrantId })
    assert.notEqual((await grant(KeyId, input)).GrantId, first.GrantId)
  })

  test('refuses what cannot be granted', async () => {
    const { KeyId } = await newKey()
    const nine = Object.fromEntries(Array.from({ length: 9 }, (_, n) => [`k${n}`, 'v']))
    for (const [input, type] of [
      [{ GranteePrincipal: undefined }, 'Validation'],
      [{ Operations: [] }, 'Validation'],
      [{ Operations: ['PutKeyPolicy'] }, 'Validation'],
      [{ Operations: ['Encrypt', 'Sign'] }, 'Validation'],
      [{ RetiringPrincipal: bob.arn, RetiringServicePrincipal: 'objects.amazonaws.com' }, 'Validation'],
      [{ Constraints: { EncryptionContextEquals: nine } }, 'Validation'],
      [{ Constraints: { EncryptionContextSubset: { k: 'v'.repeat(385) } } }, 'Validation'],
      [{ Constraints: { EncryptionContextSubset: { a: '' }, EncryptionContextEquals: { a: '' } } }, 'Validation'],
      [{ Name: 'not this' }, 'Validation'],
      [{ GranteePrincipal: `arn:aws:iam::${ACCOUNT}:user/nobody` }, 'InvalidArn'],
      [{ GranteePrincipal: 'arn:aws:iam::999999999999:root' }, 'InvalidArn'],
      [{ GranteePrincipal: 'bob' }, 'InvalidArn'],
      [{ RetiringPrincipal: `arn:aws:iam::${ACCOUNT}:role/none` }, 'InvalidArn'],
      [{ GrantTokens: ['AAAA'] }, 'InvalidGrantToken'],
      [{ KeyId: 'alias/x' }, 'NotFound'],
      [{ DryRun: true }, 'DryRunOperation'],
    ] as const)
      await refused(
        kms.call('CreateGrant', { KeyId, GranteePrincipal: bob.arn, Operations: ['Encrypt'], ...input }),
        type,
      )
    assert.deepEqual((await kms.ok('ListGrants', { KeyId })).Grants, [])
    await refused(encrypt(KeyId), 'AccessDenied')
    await grant(KeyId, { GranteePrincipal: `arn:aws:iam::${OTHER}:root` })
  })

  test('by a grant passes on what that has and no more; by a policy, anything', async () => {
    const { KeyId } = await newKey()
    const Constraints = { EncryptionContextSubset: { a: '1' } }
    await grant(KeyId, { Operations: ['CreateGrant', 'Encrypt', 'RetireGrant'], Constraints })
    const pass = (input: object): Promise<Answer> =>
      kms.call(
        'CreateGrant',
        { KeyId, GranteePrincipal: carol.arn, Operations: ['Encrypt'], Constraints, ...input },
        bob,
      )
    await refused(pass({ Operations: ['Encrypt', 'Decrypt'] }), 'AccessDenied')
    await refused(pass({ Constraints: undefined }), 'AccessDenied')
    await refused(pass({ Constraints: { EncryptionContextSubset: { a: '2' } } }), 'AccessDenied')
    const stricter = await pass({ Constraints: { EncryptionContextEquals: { A: '1', b: '2' } } })
    assert.equal(errorOf(stricter), '')
    assert.equal(errorOf(await encrypt(KeyId, carol, { EncryptionContext: { a: '1', b: '2' } })), '')
    await refused(encrypt(KeyId, carol, { EncryptionContext: { a: '1' } }), 'AccessDenied')
    const mayCreate = withPolicy(carol, { Effect: 'Allow', Action: 'kms:CreateGrant', Resource: '*' })
    await grant(KeyId, { Operations: ['Decrypt', 'Encrypt', 'CreateGrant'] }, mayCreate)
  })

  test('may be limited by what is asked for', async () => {
    const { KeyId } = await newKey()
    const limited = withPolicy(carol, {
      Effect: 'Allow',
      Action: 'kms:CreateGrant',
      Resource: '*',
      Condition: {
        'ForAllValues:StringEquals': { 'kms:GrantOperations': ['Encrypt', 'Decrypt'] },
        StringEquals: { 'kms:GranteePrincipal': bob.arn, 'kms:GrantConstraintType': 'EncryptionContextSubset' },
        Null: { 'kms:RetiringPrincipal': 'true' },
        Bool: { 'kms:GrantIsForAWSResource': 'false' },
      },
    })
    const ask = (input: object): Promise<Answer> =>
      kms.call(
        'CreateGrant',
        {
          ...{ KeyId, GranteePrincipal: bob.arn, Operations: ['Encrypt'] },
          Constraints: { EncryptionContextSubset: { a: '1' } },
          ...input,
        },
        limited,
      )
    assert.equal(errorOf(await ask({})), '')
    await refused(ask({ Operations: ['Encrypt', 'DescribeKey'] }), 'AccessDenied')
    await refused(ask({ GranteePrincipal: carol.arn }), 'AccessDenied')
    await refused(ask({ RetiringPrincipal: carol.arn }), 'AccessDenied')
    await refused(ask({ Constraints: { EncryptionContextEquals: { a: '1' } } }), 'AccessDenied')
    await refused(ask({ Constraints: undefined }), 'AccessDenied')
  })

  test('the operations that a key can be granted are those that it can do', () => {
    for (const [spec, { usages }] of Object.entries(SPECS)) {
      for (const usage of Object.keys(usages)) {
        const operations = grantable({ spec: spec as KeySpec, usage: usage as KeyUsage })
        const can = (operation: string): boolean => operations.has(operation)
        for (const always of ['DescribeKey', 'CreateGrant', 'RetireGrant']) assert.ok(can(always))
        const symmetric = spec === 'SYMMETRIC_DEFAULT'
        assert.equal(can('GenerateDataKeyPair'), symmetric)
        assert.equal(can('GetPublicKey'), !symmetric && !spec.startsWith('HMAC') && spec !== 'EXTERNAL_AES_256')
        assert.equal(can('ReEncryptTo'), usage === 'ENCRYPT_DECRYPT')
        assert.equal(can('Verify'), usage === 'SIGN_VERIFY')
        assert.equal(can('VerifyMac'), usage === 'GENERATE_VERIFY_MAC')
        assert.equal(can('DeriveSharedSecret'), usage === 'KEY_AGREEMENT')
        assert.equal(can('Decapsulate'), usage === 'ENCAPSULATE_DECAPSULATE')
      }
    }
  })
})

const withPolicy = (caller: Caller, ...statements: object[]): Caller => ({
  ...caller,
  policies: user('policies', statements).policies,
})

describe('ending a grant', () => {
  test('retiring is for its retiring principal, its grantee where it says so, and the root that issued it', async () => {
    const { KeyId, Arn } = await newKey()
    const allowed = withPolicy(user('dave', []), { Effect: 'Allow', Action: 'kms:*', Resource: '*' })
    for (const by of [bob, carol, root, stranger, allowed, callerOf(`arn:aws:iam::${OTHER}:root`)]) {
      for (const Operations of [['Encrypt'], ['Encrypt', 'RetireGrant']]) {
        const { GrantId, GrantToken } = await grant(KeyId, { Operations, RetiringPrincipal: carol.arn })
        const may = by === carol || by === root || (by === bob && Operations.length === 2)
        for (const input of [{ KeyId: Arn, GrantId }, { GrantToken }]) {
          const dry = errorOf(await kms.call('RetireGrant', { ...input, DryRun: true }, by))
          assert.equal(dry, may ? 'DryRunOperationException' : 'AccessDeniedException', `${by.arn} ${Operations}`)
        }
        if (!may) continue
        await kms.ok('RetireGrant', { GrantToken }, by)
        await refused(kms.call('RetireGrant', { GrantToken }, by), 'InvalidGrantToken')
        await refused(encrypt(KeyId, bob, { GrantTokens: [GrantToken] }), 'InvalidGrantToken')
      }
    }
    // By then only grants that nobody of those could retire are left.
    for (const { GrantId } of (await kms.ok('ListGrants', { KeyId })).Grants)
      await kms.ok('RevokeGrant', { KeyId, GrantId })
    await refused(encrypt(KeyId), 'AccessDenied')
  })

  test('a policy can deny retiring and cannot allow it', async () => {
    const { KeyId } = await newKey()
    const policy = JSON.parse((await kms.ok('GetKeyPolicy', { KeyId })).Policy)
    policy.Statement.push({ Effect: 'Allow', Principal: '*', Action: 'kms:RetireGrant', Resource: '*' })
    await kms.ok('PutKeyPolicy', { KeyId, Policy: JSON.stringify(policy) })
    const { GrantId } = await grant(KeyId, { RetiringPrincipal: carol.arn })
    await refused(kms.call('RetireGrant', { KeyId, GrantId }, withAll(bob)), 'AccessDenied')
    const denied = withPolicy(carol, { Effect: 'Deny', Action: 'kms:RetireGrant', Resource: '*' })
    await refused(kms.call('RetireGrant', { KeyId, GrantId }, denied), 'AccessDenied')
    await kms.ok('RetireGrant', { KeyId, GrantId }, carol)
  })

  test('what is not there or not whole', async () => {
    const { KeyId, Arn } = await newKey()
    const { GrantId, GrantToken } = await grant(KeyId, {})
    const missing = '0'.repeat(64)
    for (const [operation, input, type] of [
      ['RevokeGrant', { KeyId, GrantId: missing }, 'NotFound'],
      ['RevokeGrant', { KeyId, GrantId: 'x' }, 'InvalidGrantId'],
      ['RevokeGrant', { KeyId: (await newKey()).KeyId, GrantId }, 'NotFound'],
      ['RetireGrant', { KeyId, GrantId: missing }, 'NotFound'],
      ['RetireGrant', { KeyId, GrantId: 'x' }, 'InvalidGrantId'],
      ['RetireGrant', { KeyId }, 'Validation'],
      ['RetireGrant', {}, 'Validation'],
      ['RetireGrant', { KeyId, GrantId, GrantToken }, 'Validation'],
      ['RetireGrant', { GrantToken: `${GrantToken}AAAA` }, 'InvalidGrantToken'],
      ['ListGrants', { KeyId, GrantId: 'x' }, 'InvalidGrantId'],
      ['ListGrants', { KeyId, GranteeServicePrincipal: 'objects.amazonaws.com' }, 'Validation'],
      ['ListRetirableGrants', {}, 'Validation'],
      ['ListRetirableGrants', { RetiringPrincipal: stranger.arn }, 'InvalidArn'],
      ['ListRetirableGrants', { RetiringServicePrincipal: 'objects.amazonaws.com' }, 'Validation'],
    ] as const)
      await refused(kms.call(operation, input), type)
    // Strangers learn neither of keys nor of grants.
    const none = Arn.replace(KeyId, '00000000-0000-4000-8000-000000000000')
    for (const key of [Arn, none])
      for (const id of [GrantId, missing])
        await refused(kms.call('RetireGrant', { KeyId: key, GrantId: id }, stranger), 'AccessDenied')
  })

  test('tokens are of one grant and Region: a wrong one is refused before anything else is told', async () => {
    const { KeyId, Arn } = await newKey()
    const { GrantId, GrantToken } = await grant(KeyId, {})
    const other = await grant(KeyId, {})
    const [mine, theirs] = [Buffer.from(GrantToken, 'base64'), Buffer.from(other.GrantToken, 'base64')]
    const head = theirs.length - Buffer.byteLength(`eu-north-1/${KeyId}#${GrantId}`)
    const forged = Buffer.concat([mine.subarray(0, head), theirs.subarray(head)]).toString('base64')
    await refused(encrypt(KeyId, bob, { GrantTokens: [GrantToken, forged] }), 'InvalidGrantToken')
    await refused(encrypt(Arn, stranger, { GrantTokens: [forged] }), 'InvalidGrantToken')
    const elsewhere = kms.call('DescribeKey', { KeyId, GrantTokens: [GrantToken] }, ADMINISTRATOR, 'us-east-1')
    await refused(elsewhere, 'InvalidGrantToken')
    const eleven = Array.from({ length: 11 }, () => GrantToken)
    await refused(encrypt(KeyId, bob, { GrantTokens: eleven }), 'Validation')
    assert.equal(errorOf(await encrypt(KeyId, bob, { GrantTokens: eleven.slice(1) })), '')
  })
})

describe('lists', () => {
  test('filters and pages, which neither lose nor repeat a grant while others come and go', async () => {
    const { KeyId, Arn } = await newKey()
    const neighbour = await newKey()
    await grant(neighbour.KeyId, {})
    const made: string[] = []
    for (let n = 0; n < 12; n++) {
      const GranteePrincipal = n % 3 === 0 ? carol.arn : bob.arn
      made.push((await grant(KeyId, { GranteePrincipal, RetiringPrincipal: carol.arn })).GrantId)
    }
    const pages = async (operation: string, input: object, caller = ADMINISTRATOR): Promise<string[]> => {
      const seen: string[] = []
      for (let Marker: string | undefined; ; ) {
        const page = await kms.ok(
          operation,
          { ...input, Limit: 2, ...(Marker === undefined ? {} : { Marker }) },
          caller,
        )
        for (const entry of page.Grants) seen.push(entry.GrantId)
        Marker = page.NextMarker
        assert.equal(page.Truncated, Marker !== undefined)
        if (Marker === undefined) return seen
        const brief = await grant(KeyId, { GranteePrincipal: carol.arn, RetiringPrincipal: carol.arn })
        await kms.ok('RevokeGrant', { KeyId, GrantId: brief.GrantId })
      }
    }
    assert.deepEqual(await pages('ListGrants', { KeyId }), made.toSorted())
    const carols = made.filter((_, n) => n % 3 === 0).toSorted()
    assert.deepEqual(await pages('ListGrants', { KeyId: Arn, GranteePrincipal: carol.arn }), carols)
    assert.deepEqual(
      await pages('ListRetirableGrants', { RetiringPrincipal: carol.arn }, withAll(bob)),
      made.toSorted(),
    )
    const [first = ''] = made
    const only = (await kms.ok('ListGrants', { KeyId, GrantId: first })).Grants
    assert.deepEqual(only, [
      {
        ...{ KeyId: Arn, GrantId: first, Name: '', CreationDate: only[0].CreationDate },
        ...{
          GranteePrincipal: carol.arn,
          RetiringPrincipal: carol.arn,
          IssuingAccount: `arn:aws:iam::${ACCOUNT}:root`,
        },
        Operations: ['Encrypt'],
      },
    ])
    assert.deepEqual((await kms.ok('ListGrants', { KeyId, GrantId: first, GranteePrincipal: bob.arn })).Grants, [])
    const { NextMarker } = await kms.ok('ListGrants', { KeyId, Limit: 1 })
    await refused(kms.call('ListGrants', { KeyId: neighbour.KeyId, Marker: NextMarker }), 'InvalidMarker')
    for (const GrantId of made) await kms.ok('RevokeGrant', { KeyId, GrantId })
    assert.deepEqual(await pages('ListRetirableGrants', { RetiringPrincipal: carol.arn }, withAll(bob)), [])
  })

  test('a key takes its grants with it, however many there are', async () => {
    const { KeyId } = await newKey()
    const other = await newKey()
    await grant(other.KeyId, { RetiringPrincipal: carol.arn })
    const tokens = await Promise.all(
      Array.from({ length: 450 }, async () => (await grant(KeyId, { RetiringPrincipal: carol.arn })).GrantToken),
    )
    await kms.ok('ScheduleKeyDeletion', { KeyId, PendingWindowInDays: 7 })
    await kms.advance(8 * 86_400_000)
    // The front end hears of it a moment later than who moved the clock.
    while ((await kms.call('DescribeKey', { KeyId })).status === 200) await setImmediate()
    const left = (await kms.ok('ListRetirableGrants', { RetiringPrincipal: carol.arn })).Grants
    assert.equal(left.length, 1)
    assert.equal(left[0].KeyId, other.Arn)
    for (const token of [tokens[0], tokens[449]])
      await refused(kms.call('RetireGrant', { GrantToken: token }, carol), 'InvalidGrantToken')
  })
})

test('promise 11: who is denied costs the store one look, and who is allowed by a policy none', async () => {
  const { KeyId } = await newKey()
  const { replica } = kms.services
  let lists = 0
  const spied = replica.listLinked
  replica.listLinked = (...args) => {
    lists++
    return spied.apply(replica, args)
  }
  for (let n = 0; n < 5; n++) await refused(encrypt(KeyId), 'AccessDenied')
  assert.equal(lists, 1)
  for (let n = 0; n < 5; n++) await kms.ok('Encrypt', { KeyId, Plaintext: 'AA==' })
  assert.equal(lists, 1)
  const { GrantId } = await grant(KeyId, {})
  for (let n = 0; n < 5; n++) assert.equal(errorOf(await encrypt(KeyId)), '')
  await kms.ok('RevokeGrant', { KeyId, GrantId })
  for (let n = 0; n < 5; n++) await refused(encrypt(KeyId), 'AccessDenied')
  assert.equal(lists, 1)
  replica.listLinked = spied
})

test('the grants of a key are counted once and followed from then on; at the quota none is made', async () => {
  const { KeyId } = await newKey()
  const { grants } = kms.services
  const count = (): Promise<number> => grants.count(`eu-north-1/${KeyId}`)
  const { GrantId } = await grant(KeyId, { Name: 'first' })
  const counts = [await count()]
  await Promise.all(Array.from({ length: 3 }, () => grant(KeyId, {})))
  counts.push(await count())
  await kms.ok('RevokeGrant', { KeyId, GrantId })
  counts.push(await count())
  assert.deepEqual(counts, [1, 4, 3])
  await grant(KeyId, { Name: 'second' })
  const { grantsPerKey } = kms.services.settings.quotas
  grants.count = async () => grantsPerKey
  const input = { KeyId, GranteePrincipal: bob.arn, Operations: ['Encrypt'] }
  await refused(kms.call('CreateGrant', input), 'LimitExceeded')
  await refused(kms.call('CreateGrant', { ...input, DryRun: true }), 'LimitExceeded')
  await grant(KeyId, { Name: 'second' })
  grants.count = async () => grantsPerKey - 1
  await grant(KeyId, {})
})

test('a stale key is decided again, by other grants than before where need be', async () => {
  const { KeyId } = await newKey()
  const first = await grant(KeyId, { Name: 'a' })
  const { boundary } = kms.services
  const spied = boundary.encrypt
  const asserted: (string | undefined)[] = []
  let second = ''
  boundary.encrypt = async (key, plaintext, context, fields) => {
    asserted.push(fields.grantId)
    if (asserted.length > 1) return spied(key, plaintext, context, fields)
    second = (await grant(KeyId, { Name: 'b' })).GrantId
    await kms.ok('RevokeGrant', { KeyId, GrantId: first.GrantId })
    throw new BoundaryError('StaleKey')
  }
  assert.equal(errorOf(await encrypt(KeyId)), '')
  boundary.encrypt = spied
  assert.deepEqual(asserted, [first.GrantId, second])
})
