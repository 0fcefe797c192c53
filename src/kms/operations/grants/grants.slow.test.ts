/** Grants over a real boundary: who gets what, who may end it, what is remembered and for how long, and that memory never knows better. */
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { BoundaryError } from '../../../boundary/words.ts'
import { callerOf } from '../../access/testing.ts'
import { ACCOUNT, ADMINISTRATOR, OTHER, user } from '../../testing.ts'
import {
  bob,
  carol,
  errorOf,
  objects,
  refused,
  root,
  startGrantsKms,
  stranger,
  withAll,
  withPolicy,
} from './testing.ts'

const { kms, newKey, grant, encrypt } = await startGrantsKms()
after(async () => {
  await kms.stop()
  assert.deepEqual(kms.defects, [])
})

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
