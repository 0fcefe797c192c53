/** Sessions of STS over a real boundary: who their tokens prove, what they may, and what ends them. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Caller } from '../access/types.ts'
import * as admin from '../admin/index.ts'
import { startTestKms, type TestKms } from '../testing.ts'
import { allow, arn, assumeRole, field, provenBy, ROLE, startStsKms, trust } from './testing.ts'

let kms: TestKms
let clock = Date.now()
before(async () => {
  kms = await startStsKms(() => clock)
})
after(() => kms.stop())

const assume = (more?: Record<string, string>, caller?: Caller) => assumeRole(kms, more, caller)
const callerBy = (body: string, now = clock) => provenBy(kms, body, now)

describe('sessions', () => {
  const begin = async (more: Record<string, string> = {}) => {
    const { status, body } = await assume(more)
    assert.equal(status, 200, body)
    return { token: field(body, 'SessionToken'), id: field(body, 'AccessKeyId') }
  }

  test('are opened once, and known without the boundary afterwards', async () => {
    const { token, id } = await begin()
    const before = await kms.records()
    assert.equal(kms.sessions.peekIdentity(token, id, clock), undefined)
    const [one, two] = await Promise.all([1, 2].map(() => kms.sessions.identity(token, id, clock, {})))
    assert.ok(typeof one === 'object' && one === two)
    assert.equal(await kms.records(), before + 1)
    assert.equal(kms.sessions.peekIdentity(token, id, clock), one)
    assert.equal(await kms.sessions.identity(token, id, clock, {}), one)
    assert.equal(await kms.records(), before + 1)
  })

  test('promise 3: what the role may, its sessions may; what it loses they lose at once', async () => {
    const { token, id } = await begin()
    await kms.sessions.identity(token, id, clock, {})
    const now = () => {
      const answer = kms.sessions.peekIdentity(token, id, clock)
      assert.ok(typeof answer === 'object')
      return answer.caller
    }
    await admin.putPolicy(kms.control, ROLE, 'list', allow('kms:ListKeys'))
    assert.equal((await kms.call('ListKeys', {}, now())).status, 200)
    await admin.putPolicy(kms.control, ROLE, 'no', allow('kms:ListKeys').replace('Allow', 'Deny'))
    assert.match((await kms.call('ListKeys', {}, now())).body.message, /explicit deny in an identity-based policy/)
    await admin.deletePolicy(kms.control, ROLE, 'no')
    await admin.setBoundary(kms.control, ROLE, allow('kms:CreateKey'))
    assert.match((await kms.call('ListKeys', {}, now())).body.message, /no permissions boundary allows/)
    await admin.setBoundary(kms.control, ROLE, undefined)
    assert.equal((await kms.call('ListKeys', {}, now())).status, 200)
  })

  test('a grant to the role is for its sessions, one to a session for that one, and a session policy limits both', async () => {
    const RoleArn = arn('role/granted')
    await admin.createRole(kms.control, RoleArn, trust(arn('user/alice')), undefined)
    const session = async (RoleSessionName: string, more = {}) =>
      callerBy((await assume({ RoleArn, RoleSessionName, ...more })).body)
    const one = await session('one')
    const two = await session('two')
    const limited = await session('one', { Policy: allow('kms:ListKeys') })
    const { KeyMetadata } = await kms.ok('CreateKey')
    const KeyId = KeyMetadata.Arn
    const Operations = ['Encrypt']
    const may = async (caller: Caller) =>
      (await kms.call('Encrypt', { KeyId, Plaintext: 'eA==' }, caller)).status === 200
    assert.deepEqual([await may(one), await may(two)], [false, false])
    const { GrantId } = await kms.ok('CreateGrant', { KeyId, GranteePrincipal: one.arn, Operations })
    assert.deepEqual([await may(one), await may(two), await may(limited)], [true, false, false])
    await kms.ok('RevokeGrant', { KeyId, GrantId })
    assert.equal(await may(one), false)
    await kms.ok('CreateGrant', { KeyId, GranteePrincipal: RoleArn, Operations })
    assert.deepEqual([await may(one), await may(two), await may(limited)], [true, true, false])
    const wrong = { KeyId, GranteePrincipal: one.arn.replace('granted', 'nobody'), Operations }
    assert.equal((await kms.call('CreateGrant', wrong)).body.__type, 'InvalidArnException')
  })

  test('end with their time, in memory and out of it', async () => {
    const { token, id } = await begin({ DurationSeconds: '900' })
    const end = clock + 900_000
    assert.equal(typeof (await kms.sessions.identity(token, id, end - 1, {})), 'object')
    assert.equal(kms.sessions.peekIdentity(token, id, end), 'expired')
    // It was forgotten: now the boundary, whose clock has not moved, would open it, and the front end's own look still ends it.
    assert.equal(await kms.sessions.identity(token, id, end, {}), 'expired')
    const other = await begin({ DurationSeconds: '900' })
    clock += 900_000
    assert.equal(await kms.sessions.identity(other.token, other.id, clock, {}), 'expired')
  })

  test('forged, cut, swapped, and of another access key', async () => {
    const { token, id } = await begin()
    const other = await begin()
    const flipped = Buffer.from(token, 'base64')
    flipped[40] = (flipped[40] ?? 0) ^ 1
    for (const [wrong, key] of [
      [flipped.toString('base64'), id],
      [token.slice(0, -8), id],
      ['', id],
      ['?', id],
      ['A'.repeat(20_000), id],
      [token, other.id],
      [token, 'AKIAEXAMPLE'],
      [token, ''],
    ] as const) {
      assert.equal(await kms.sessions.identity(wrong, key, clock, {}), 'invalid', `${wrong.slice(0, 20)} ${key}`)
    }
    await kms.sessions.identity(token, id, clock, {})
    assert.equal(kms.sessions.peekIdentity(token, other.id, clock), 'invalid')
  })

  test('promise 12: a token of another boundary is none', async () => {
    const stranger = await startTestKms({}, { now: () => clock })
    try {
      const { token, id } = await begin()
      assert.equal(await stranger.sessions.identity(token, id, clock, {}), 'invalid')
    } finally {
      await stranger.stop()
    }
  })

  test('die with their role, and are not another’s of the same name', async () => {
    const RoleArn = arn('role/mortal')
    const make = () => admin.createRole(kms.control, RoleArn, trust(arn('user/alice')), undefined)
    await make()
    const { token, id } = await begin({ RoleArn })
    await kms.sessions.identity(token, id, clock, {})
    await admin.deletePrincipal(kms.control, RoleArn)
    assert.equal(kms.sessions.peekIdentity(token, id, clock), 'invalid')
    await make()
    assert.equal(
      kms.sessions.peekIdentity(token, id, clock) ?? (await kms.sessions.identity(token, id, clock, {})),
      'invalid',
    )
  })

  test('memory is bounded: the oldest is forgotten and opened again', async () => {
    const all = [await begin(), await begin(), await begin(), await begin()]
    for (const { token, id } of all) await kms.sessions.identity(token, id, clock, {})
    const known = all.map(({ token, id }) => kms.sessions.peekIdentity(token, id, clock) !== undefined)
    assert.deepEqual(known, [false, true, true, true])
    assert.equal(typeof (await kms.sessions.identity(all[0]?.token ?? '', all[0]?.id ?? '', clock, {})), 'object')
  })
})

test('nothing failed for a reason of ours', () => assert.deepEqual(kms.defects, []))
