/** Sessions, boundaries and session policies: IAM's documented cases of what limits what, one by one. `differential.slow.test.ts` has the random ones. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { authorize, denialMessage } from './authorize.ts'
import { compilePolicy } from './compile.ts'
import { wouldLockOut } from './lockout.ts'
import { readSessionArn, sessionArn } from './principal-names.ts'
import { ACCOUNT, callerOf, contextOf, KEY_ARN, OTHER, policyBytes, sessionOf } from './testing.ts'
import type { Caller, CompiledPolicy, Verdict } from './types.ts'
import { checkKeyPolicy, checkTrustPolicy } from './validate.ts'

const ROLE = `arn:aws:iam::${ACCOUNT}:role/teams/app`
const SESSION = `arn:aws:sts::${ACCOUNT}:assumed-role/app/one`
const USER = `arn:aws:iam::${ACCOUNT}:user/alice`
const nothing = contextOf({})

const identity = (effect: string, action = 'kms:Encrypt') =>
  compilePolicy('identity', policyBytes({ Statement: { Effect: effect, Action: action, Resource: '*' } }))
const ALLOW = identity('Allow')
const ELSE = identity('Allow', 'kms:Decrypt')
const DENY = compilePolicy(
  'identity',
  policyBytes({
    Statement: [
      { Effect: 'Allow', Action: '*', Resource: '*' },
      { Effect: 'Deny', Action: 'kms:Encrypt', Resource: '*' },
    ],
  }),
)
const naming = (AWS: string | string[], more: object = {}) =>
  compilePolicy(
    'key',
    policyBytes({ Statement: { Effect: 'Allow', Principal: { AWS }, Action: 'kms:*', Resource: '*', ...more } }),
  )

interface Parts {
  policies?: CompiledPolicy[]
  boundary?: CompiledPolicy
  policy?: CompiledPolicy
}
const session = ({ policies = [], boundary, policy }: Parts = {}, name = 'one') =>
  callerOf(ROLE, policies, {}, { boundary, session: sessionOf(name, policy) })
const user = ({ policies = [], boundary }: Parts = {}) => callerOf(USER, policies, {}, { boundary })

function ask(caller: Caller, keyPolicy: CompiledPolicy | undefined, more: object = {}): Verdict {
  const question = { caller, permission: 'kms:Encrypt', resource: KEY_ARN, resourceAccount: ACCOUNT }
  return authorize({ ...question, crossAccount: true, keyPolicy, context: nothing, grants: undefined, ...more })
}

describe('identity policies', () => {
  const account = naming(ACCOUNT)
  const cases: readonly [string, Parts, Verdict][] = [
    ['alone', { policies: [ALLOW] }, 'allowed'],
    ['within a boundary', { policies: [ALLOW], boundary: ALLOW }, 'allowed'],
    ['beyond a boundary', { policies: [ALLOW], boundary: ELSE }, 'no-permissions-boundary-allows'],
    ['a boundary gives nothing', { boundary: ALLOW }, 'no-identity-policy-allows'],
    ['a boundary denies', { policies: [ALLOW], boundary: DENY }, 'explicit-deny-permissions-boundary'],
    ['within a session policy', { policies: [ALLOW], policy: ALLOW }, 'allowed'],
    ['beyond a session policy', { policies: [ALLOW], policy: ELSE }, 'no-session-policy-allows'],
    ['a session policy gives nothing', { policy: ALLOW }, 'no-identity-policy-allows'],
    ['a session policy denies', { policies: [ALLOW], policy: DENY }, 'explicit-deny-session-policy'],
    ['within both', { policies: [ALLOW], boundary: ALLOW, policy: ALLOW }, 'allowed'],
    [
      'within the session policy only',
      { policies: [ALLOW], boundary: ELSE, policy: ALLOW },
      'no-permissions-boundary-allows',
    ],
  ]
  for (const [what, parts, expected] of cases) {
    test(`${what}: ${expected}`, () => {
      assert.equal(ask(session(parts), account), expected)
      if (!what.includes('ession')) assert.equal(ask(user(parts), account), expected)
      // Where there is no key the same policies decide alone, and across accounts they are half of it.
      assert.equal(ask(session(parts), undefined, { resource: '*' }), expected)
      assert.equal(ask(session(parts), account, { resourceAccount: OTHER }), expected)
    })
  }
})

describe('a key policy that names', () => {
  const limited: readonly Parts[] = [{ boundary: ELSE }, { policy: ELSE }, { boundary: ELSE, policy: ELSE }]
  test('the role is limited by the boundary and the session policy', () => {
    assert.equal(ask(session(), naming(ROLE)), 'allowed')
    assert.equal(ask(session({ boundary: ALLOW, policy: ALLOW }), naming(ROLE)), 'allowed')
    for (const parts of limited)
      assert.match(ask(session(parts), naming(ROLE)), /^no-(permissions-boundary|session-policy)/)
    assert.equal(ask(callerOf(ROLE, [], {}, { boundary: ELSE }), naming(ROLE)), 'no-permissions-boundary-allows')
  })
  test('the session, the user or everyone is limited by neither', () => {
    for (const parts of limited) {
      assert.equal(ask(session(parts), naming(SESSION)), 'allowed')
      assert.equal(ask(session(parts), naming([ROLE, SESSION])), 'allowed')
      assert.equal(ask(session(parts), naming('*')), 'allowed')
    }
    assert.equal(ask(user({ boundary: ELSE }), naming(USER)), 'allowed')
  })
  test('anyone gives way to a denial anywhere', () => {
    for (const AWS of [ROLE, SESSION, '*', ACCOUNT]) {
      for (const [parts, expected] of [
        [{ policies: [DENY] }, 'explicit-deny-identity-policy'],
        [{ boundary: DENY }, 'explicit-deny-permissions-boundary'],
        [{ policy: DENY }, 'explicit-deny-session-policy'],
      ] as const) {
        assert.equal(ask(session(parts as Parts), naming(AWS), { grants: () => true }), expected)
      }
    }
  })
  test('a session names that session only, and a role no other role', () => {
    assert.equal(ask(session({}, 'two'), naming(SESSION)), 'no-key-policy-allows')
    assert.equal(ask(callerOf(ROLE), naming(SESSION)), 'no-key-policy-allows')
    assert.equal(ask(session(), naming(`arn:aws:iam::${ACCOUNT}:role/app`)), 'no-key-policy-allows')
    assert.equal(ask(session(), naming(SESSION.replace(ACCOUNT, OTHER))), 'no-key-policy-allows')
  })
  test('the role locks nobody out', () => {
    assert.equal(wouldLockOut(naming(ROLE), session(), KEY_ARN, nothing), false)
    assert.equal(wouldLockOut(naming(`${ROLE}2`), session(), KEY_ARN, nothing), true)
  })
})

test('grants are limited by the boundary and the session policy', () => {
  const grants = () => true
  const other = naming(OTHER)
  assert.equal(ask(session(), other, { grants }), 'allowed')
  assert.equal(ask(session({ boundary: ALLOW, policy: ALLOW }), other, { grants }), 'allowed')
  for (const parts of [{ boundary: ELSE }, { policy: ELSE }])
    assert.notEqual(ask(session(parts), other, { grants }), 'allowed')
})

describe('NotPrincipal', () => {
  const sparing = (...AWS: string[]) =>
    compilePolicy(
      'key',
      policyBytes({
        Statement: [
          { Effect: 'Allow', Principal: '*', Action: '*', Resource: '*' },
          { Effect: 'Deny', NotPrincipal: { AWS }, Action: '*', Resource: '*' },
        ],
      }),
    )
  test('spares a session that is named with its role and its account, and nothing less', () => {
    assert.equal(ask(session(), sparing(SESSION, ROLE, ACCOUNT)), 'allowed')
    for (const less of [
      [SESSION, ROLE],
      [SESSION, ACCOUNT],
      [ROLE, ACCOUNT],
    ]) {
      assert.equal(ask(session(), sparing(...less)), 'explicit-deny-key-policy', less.join())
    }
    assert.equal(ask(session({}, 'two'), sparing(SESSION, ROLE, ACCOUNT)), 'explicit-deny-key-policy')
  })
})

test('sessions that began before a time are revoked as AWS does it', () => {
  const revoked = compilePolicy(
    'identity',
    policyBytes({
      Statement: [
        { Effect: 'Allow', Action: '*', Resource: '*' },
        {
          ...{ Effect: 'Deny', Action: '*', Resource: '*' },
          Condition: { DateLessThan: { 'aws:TokenIssueTime': '2026-01-02T00:00:00Z' } },
        },
      ],
    }),
  )
  const begun = (issuedAt: string | undefined) => ({
    context: contextOf({ 'aws:tokenissuetime': issuedAt }),
    keyPolicy: naming(ACCOUNT),
  })
  const caller = session({ policies: [revoked] })
  assert.equal(ask(caller, undefined, begun('2026-01-01T23:59:59.999Z')), 'explicit-deny-identity-policy')
  assert.equal(ask(caller, undefined, begun('2026-01-02T00:00:00.000Z')), 'allowed')
  // Long-term credentials have no such time, and are not meant.
  assert.equal(ask(user({ policies: [revoked] }), undefined, begun(undefined)), 'allowed')
})

describe('names', () => {
  test('of sessions are made and read', () => {
    assert.equal(sessionArn(ROLE, 'one'), SESSION)
    assert.deepEqual(readSessionArn(SESSION), { account: ACCOUNT, role: 'app' })
    for (const none of [ROLE, `${SESSION}/x`, SESSION.replace('one', '*'), SESSION.replace('/one', ''), '']) {
      assert.equal(readSessionArn(none), undefined, none)
    }
  })
  test('a key policy may name a session whose role exists', async () => {
    const bytes = policyBytes({
      Statement: { Effect: 'Allow', Principal: { AWS: SESSION }, Action: '*', Resource: '*' },
    })
    await checkKeyPolicy(bytes, async arn => arn === SESSION)
    await assert.rejects(
      checkKeyPolicy(bytes, async () => false),
      /invalid principals/,
    )
  })
})

describe('trust policies', () => {
  const check = (statement: object) =>
    checkTrustPolicy(
      policyBytes({ Statement: { Effect: 'Allow', Principal: '*', Action: 'sts:AssumeRole', ...statement } }),
      async () => true,
    )
  test('name who, and no resource', async () => {
    await check({})
    await assert.rejects(check({ Resource: '*' }), /prohibited field Resource/)
    await assert.rejects(check({ NotResource: '*' }), /prohibited field Resource/)
    await assert.rejects(check({ Action: undefined }), /must contain actions/)
    await assert.rejects(check({ Principal: undefined }), /needs a Principal/)
    await assert.rejects(check({ Principal: { Federated: 'x' } }), /invalid principals/)
  })
})

test('denials say what limited them', () => {
  for (const [verdict, text] of [
    ['no-permissions-boundary-allows', 'because no permissions boundary allows the kms:Encrypt action'],
    ['no-session-policy-allows', 'because no session policy allows the kms:Encrypt action'],
    ['explicit-deny-permissions-boundary', 'with an explicit deny in a permissions boundary'],
    ['explicit-deny-session-policy', 'with an explicit deny in a session policy'],
  ] as const) {
    assert.equal(
      denialMessage(verdict, { caller: session(), permission: 'kms:Encrypt', resource: KEY_ARN }),
      `User: ${SESSION} is not authorized to perform: kms:Encrypt on resource: ${KEY_ARN} ${text}`,
    )
  }
})
