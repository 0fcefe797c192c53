/** Groups, roles and boundaries over a real boundary, as the front end then sees them. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { authorize } from '../access/authorize.ts'
import { contextOf } from '../access/testing.ts'
import { ACCOUNT, OTHER, startTestKms, type TestKms } from '../testing.ts'
import * as admin from './index.ts'

const arn = (name: string) => `arn:aws:iam::${ACCOUNT}:${name}`
const ALICE = arn('user/alice')
const ADMINS = arn('group/admins')
const policy = (effect: string, action = 'kms:ListKeys') =>
  JSON.stringify({ Statement: { Effect: effect, Action: action, Resource: '*' } })
const trust = (AWS: string) =>
  JSON.stringify({ Statement: { Effect: 'Allow', Principal: { AWS }, Action: 'sts:AssumeRole' } })

let kms: TestKms
before(async () => {
  kms = await startTestKms()
  for (const id of [ACCOUNT, OTHER]) await admin.createAccount(kms.control, { id })
  await admin.createPrincipal(kms.control, ALICE)
})
after(() => kms.stop())

const refused = (reason: RegExp) => (error: unknown) => {
  assert.ok(error instanceof admin.AdminError, String(error))
  assert.match(error.message, reason)
  return true
}

/** From memory alone where that is possible, as a request does it. */
async function can(who: string, permission = 'kms:ListKeys') {
  const { principals } = kms.services
  const caller = (principals.peek(who) ?? (await principals.load(who)))?.caller
  assert.ok(caller !== undefined)
  return authorize({
    ...{ caller, permission, resource: '*', resourceAccount: ACCOUNT, crossAccount: false, keyPolicy: undefined },
    ...{ context: contextOf({}), grants: undefined },
  })
}

test('a group’s policies are its members’, from when they are in to when they are out', async () => {
  const { control } = kms
  assert.match((await admin.createGroup(control, ADMINS)).groupId, /^AGPA[A-Z2-7]{16}$/)
  await assert.rejects(admin.createGroup(control, ADMINS), refused(/exists already/))
  await admin.putPolicy(control, ADMINS, 'list', policy('Allow'))
  assert.equal(await can(ALICE), 'no-identity-policy-allows')
  await admin.addToGroup(control, ADMINS, ALICE)
  await admin.addToGroup(control, ADMINS, ALICE)
  assert.equal(await can(ALICE), 'allowed')
  assert.equal(kms.services.principals.peek(ALICE), kms.services.principals.peek(ALICE))
  await admin.putPolicy(control, ADMINS, 'no', policy('Deny'))
  assert.equal(await can(ALICE), 'explicit-deny-identity-policy')
  assert.deepEqual(await admin.listPolicies(control, ADMINS), ['list', 'no'])
  await admin.deletePolicy(control, ADMINS, 'no')
  assert.equal(await admin.getPolicy(control, ADMINS, 'list'), policy('Allow'))
  assert.deepEqual(
    (await admin.listGroups(control)).map(({ members }) => members),
    [[ALICE]],
  )
  await assert.rejects(admin.deleteGroup(control, ADMINS), refused(/alice are in the group/))
  await admin.removeFromGroup(control, ADMINS, ALICE)
  assert.equal(await can(ALICE), 'no-identity-policy-allows')
  await assert.rejects(admin.removeFromGroup(control, ADMINS, ALICE), refused(/is not in/))
  await admin.deleteGroup(control, ADMINS)
  assert.deepEqual(await admin.listGroups(control), [])
})

test('a group that is deleted while someone is put into it is not deleted, or was not joined', async () => {
  const { control } = kms
  const group = arn('group/race')
  const outcomes = new Set<string>()
  for (let round = 0; round < 10; round++) {
    await admin.createGroup(control, group)
    const [deleted, added] = await Promise.allSettled([
      admin.deleteGroup(control, group),
      admin.addToGroup(control, group, ALICE),
    ])
    assert.notEqual(deleted.status, added.status)
    outcomes.add(deleted.status)
    if (added.status === 'rejected') continue
    await admin.removeFromGroup(control, group, ALICE)
    await admin.deleteGroup(control, group)
  }
  assert.ok(outcomes.size > 0)
})

test('only users of the account join, and groups are no principals', async () => {
  const { control } = kms
  await admin.createGroup(control, ADMINS)
  await admin.createPrincipal(control, arn('role/r1'))
  await admin.createPrincipal(control, `arn:aws:iam::${OTHER}:user/bob`)
  await assert.rejects(async () => admin.addToGroup(control, ADMINS, arn('role/r1')), refused(/Only users/))
  await assert.rejects(
    async () => admin.addToGroup(control, ADMINS, `arn:aws:iam::${OTHER}:user/bob`),
    refused(/of account/),
  )
  await assert.rejects(async () => admin.addToGroup(control, ALICE, ALICE), refused(/is no group/))
  await assert.rejects(admin.addToGroup(control, arn('group/none'), ALICE), refused(/no group/))
  await assert.rejects(async () => admin.createPrincipal(control, ADMINS), refused(/is no principal/))
  assert.equal(await kms.services.principals.exists(ADMINS), false)
  await admin.deleteGroup(control, ADMINS)
})

test('a boundary limits at once and for as long as it is there', async () => {
  const { control } = kms
  await admin.putPolicy(control, ALICE, 'all', policy('Allow', 'kms:*'))
  await admin.setBoundary(control, ALICE, policy('Allow', 'kms:ListKeys'))
  assert.deepEqual([await can(ALICE), await can(ALICE, 'kms:CreateKey')], ['allowed', 'no-permissions-boundary-allows'])
  assert.equal(await admin.getBoundary(control, ALICE), policy('Allow', 'kms:ListKeys'))
  assert.equal((await admin.listPrincipals(control, ACCOUNT)).find(one => one.arn === ALICE)?.boundary, true)
  await admin.tagPrincipal(control, ALICE, { a: 'b' })
  assert.equal(await can(ALICE, 'kms:CreateKey'), 'no-permissions-boundary-allows')
  await admin.setBoundary(control, ALICE, undefined)
  assert.equal(await can(ALICE, 'kms:CreateKey'), 'allowed')
  await assert.rejects(admin.setBoundary(control, ALICE, '{}'), refused(/The policy is refused/))
  await assert.rejects(admin.setBoundary(control, arn('root'), policy('Allow')), refused(/Only users and roles/))
})

test('roles have a trust policy, a longest session, and a name of their own', async () => {
  const { control } = kms
  const ROLE = arn('role/teams/app')
  const made = await admin.createRole(control, ROLE, trust(ALICE), 7200, { team: 'red' })
  assert.match(made.userId, /^AROA/)
  const loaded = await kms.services.principals.load(ROLE)
  assert.equal(loaded?.maxSessionDuration, 7200)
  assert.equal(await admin.getTrustPolicy(control, ROLE), trust(ALICE))
  await admin.setTrustPolicy(control, ROLE, trust(ACCOUNT))
  assert.equal(await admin.getTrustPolicy(control, ROLE), trust(ACCOUNT))
  await admin.setMaxSession(control, ROLE, 43_200)
  assert.equal((await kms.services.principals.load(ROLE))?.maxSessionDuration, 43_200)

  const session = `arn:aws:sts::${ACCOUNT}:assumed-role/app/one`
  await admin.setTrustPolicy(control, ROLE, trust(session))
  assert.equal(await kms.services.principals.exists(session), true)
  assert.equal(await kms.services.principals.exists(session.replace('app', 'none')), false)
  await assert.rejects(
    admin.setTrustPolicy(control, ROLE, trust(session.replace('app', 'none'))),
    refused(/invalid principals/),
  )
  await assert.rejects(admin.setTrustPolicy(control, ROLE, trust(arn('user/nobody'))), refused(/invalid principals/))
  await assert.rejects(admin.setTrustPolicy(control, ROLE, policy('Allow')), refused(/Resource|Principal/))
  for (const seconds of [3599, 43_201, 4000.5]) {
    await assert.rejects(async () => admin.setMaxSession(control, ROLE, seconds), refused(/3600 to 43200/))
  }
  await assert.rejects(admin.setTrustPolicy(control, ALICE, trust(ALICE)), refused(/is no role/))
  await assert.rejects(
    admin.createRole(control, arn('role/app'), trust(ALICE), undefined),
    refused(/under another path/),
  )
  await assert.rejects(admin.getTrustPolicy(control, arn('role/r1')), refused(/no trust policy/))
})

test('of two roles of one name that are made at once, under two paths, one is made', async () => {
  const { control } = kms
  const both = await Promise.allSettled(
    ['x', 'y'].map(path => admin.createRole(control, arn(`role/${path}/twin`), trust(ALICE), undefined)),
  )
  assert.deepEqual(both.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
})
