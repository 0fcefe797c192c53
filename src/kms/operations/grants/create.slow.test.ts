/** CreateGrant over a real boundary: names, who may grant what to whom, constraints, and the quota. */
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { SPECS } from '../../../boundary/algorithms.ts'
import type { KeySpec, KeyUsage } from '../../../boundary/words.ts'
import { ACCOUNT, type Answer, OTHER } from '../../testing.ts'
import { grantable } from './create.ts'
import { bob, carol, errorOf, refused, startGrantsKms, withPolicy } from './testing.ts'

const { kms, newKey, grant, encrypt } = await startGrantsKms()
after(async () => {
  await kms.stop()
  assert.deepEqual(kms.defects, [])
})

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
