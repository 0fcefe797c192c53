/** The decision, as a table over every combination of what the sides say; denials' texts; lockout; the policies that nobody writes. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { authorize, denialMessage } from './authorize.ts'
import { compilePolicy, keyPolicyOf } from './compile.ts'
import { FactsContext } from './context.ts'
import { defaultKeyPolicy, providerManagedKeyPolicy } from './defaults.ts'
import { wouldLockOut } from './lockout.ts'
import { serviceRoleArn } from './principal-names.ts'
import { ACCOUNT, callerOf, contextOf, KEY_ARN, OTHER, policyBytes } from './testing.ts'
import type { AccessQuestion, Caller, RequestFacts, Verdict } from './types.ts'
import { checkKeyPolicy } from './validate.ts'

const NOBODY = contextOf({})
const STATEMENTS = { Action: 'kms:Encrypt', Resource: '*' }

function key(...statements: object[]) {
  const padding = { Effect: 'Allow', Principal: '*', Action: 'kms:None', Resource: '*' }
  return compilePolicy('key', policyBytes({ Statement: [padding, ...statements.map(s => ({ ...STATEMENTS, ...s }))] }))
}
function identity(...effects: string[]) {
  return effects.map(Effect => compilePolicy('identity', policyBytes({ Statement: { ...STATEMENTS, Effect } })))
}
function ask(caller: Caller, changes: Partial<AccessQuestion>): Verdict {
  return authorize({
    caller,
    permission: 'kms:Encrypt',
    resource: KEY_ARN,
    resourceAccount: ACCOUNT,
    crossAccount: true,
    keyPolicy: undefined,
    context: NOBODY,
    grants: undefined,
    ...changes,
  })
}

describe('the decision table', () => {
  const keySides = [
    'nothing',
    'itself',
    'account',
    'everyone',
    'deny itself',
    'deny account',
    'allow and deny',
  ] as const
  const identitySides = { nothing: [], allow: ['Allow'], deny: ['Deny'], 'allow and deny': ['Allow', 'Deny'] }
  const callers = {
    user: `arn:aws:iam::${ACCOUNT}:user/alice`,
    role: `arn:aws:iam::${ACCOUNT}:role/app`,
    root: `arn:aws:iam::${ACCOUNT}:root`,
    stranger: `arn:aws:iam::${OTHER}:user/alice`,
    'root of strangers': `arn:aws:iam::${OTHER}:root`,
  }
  const side = (which: (typeof keySides)[number], caller: Caller) => {
    const itself = { Principal: { AWS: caller.arn } }
    const account = { Principal: { AWS: caller.account } }
    const made = {
      nothing: [],
      itself: [{ Effect: 'Allow', ...itself }],
      account: [{ Effect: 'Allow', ...account }],
      everyone: [{ Effect: 'Allow', Principal: '*' }],
      'deny itself': [
        { Effect: 'Deny', ...itself },
        { Effect: 'Allow', Principal: '*' },
      ],
      'deny account': [
        { Effect: 'Deny', ...account },
        { Effect: 'Allow', Principal: '*' },
      ],
      'allow and deny': [
        { Effect: 'Allow', ...itself },
        { Effect: 'Deny', Principal: '*' },
      ],
    }
    return key(...made[which])
  }

  let rows = 0
  for (const [who, arn] of Object.entries(callers)) {
    for (const keySays of keySides) {
      for (const [identitySays, effects] of Object.entries(identitySides)) {
        const caller = callerOf(arn, identity(...effects))
        const isRoot = caller.kind === 'root'
        if (isRoot && identitySays !== 'nothing') continue
        const same = caller.account === ACCOUNT
        // aws-kms.md §12.2 in words.
        const identityAllows = isRoot || identitySays === 'allow'
        const direct = keySays === 'itself' || keySays === 'everyone' || (keySays === 'account' && isRoot)
        let expected: Verdict
        if (keySays.includes('deny')) expected = 'explicit-deny-key-policy'
        else if (identitySays.includes('deny')) expected = 'explicit-deny-identity-policy'
        else if (keySays === 'nothing') expected = 'no-key-policy-allows'
        else if (identityAllows || (same && direct)) expected = 'allowed'
        else expected = 'no-identity-policy-allows'

        rows++
        test(`${who}; key policy: ${keySays}; identity policies: ${identitySays}: ${expected}`, () => {
          const keyPolicy = side(keySays, caller)
          assert.equal(ask(caller, { keyPolicy }), expected)
          // A grant can take the place of what no policy allows, and of nothing that one denies.
          const granted = expected.startsWith('explicit-deny') ? expected : 'allowed'
          assert.equal(ask(caller, { keyPolicy, grants: () => true }), granted)
          assert.equal(ask(caller, { keyPolicy, grants: () => false }), expected)
          // An operation that is not for other accounts is for none of them, whatever the policies say.
          if (same || expected.startsWith('explicit-deny')) return
          assert.equal(
            ask(caller, { keyPolicy, crossAccount: false, grants: () => true }),
            'cross-account-not-supported',
          )
        })
      }
    }
  }
  test('the table is whole', () => assert.equal(rows, 3 * 7 * 4 + 2 * 7))

  test('without a key only identity policies count, in the own account', () => {
    const user = (...effects: string[]) => callerOf(callers.user, identity(...effects))
    assert.equal(ask(user('Allow'), { resource: '*' }), 'allowed')
    assert.equal(ask(user(), { resource: '*' }), 'no-identity-policy-allows')
    assert.equal(ask(user('Allow', 'Deny'), { resource: '*' }), 'explicit-deny-identity-policy')
    assert.equal(ask(callerOf(callers.root), { resource: '*' }), 'allowed')
    assert.equal(ask(user('Allow'), { resourceAccount: OTHER }), 'no-identity-policy-allows')
    assert.equal(ask(user('Allow'), { resource: '*', grants: () => true }), 'allowed')
    assert.equal(ask(user(), { resource: '*', grants: () => true }), 'no-identity-policy-allows')
  })

  test('what is allowed is this action, in whatever case, and no other', () => {
    const keyPolicy = key({ Effect: 'Allow', Principal: '*', Action: 'KMS:eNCRYPT' })
    const caller = callerOf(callers.user)
    assert.equal(ask(caller, { keyPolicy }), 'allowed')
    assert.equal(ask(caller, { keyPolicy, permission: 'kms:Decrypt' }), 'no-key-policy-allows')
    assert.equal(ask(caller, { keyPolicy, permission: 'kms:EncryptX' }), 'no-key-policy-allows')
  })

  test('NotPrincipal spares only whom it names together with the account', () => {
    const deny = (...names: string[]) =>
      key({ Effect: 'Allow', Principal: '*' }, { Effect: 'Deny', NotPrincipal: { AWS: names } })
    const user = callerOf(callers.user)
    assert.equal(ask(user, { keyPolicy: deny(callers.user, ACCOUNT) }), 'allowed')
    assert.equal(ask(user, { keyPolicy: deny(callers.user) }), 'explicit-deny-key-policy')
    assert.equal(ask(user, { keyPolicy: deny(ACCOUNT) }), 'explicit-deny-key-policy')
    assert.equal(ask(callerOf(callers.root), { keyPolicy: deny(ACCOUNT) }), 'allowed')
    assert.equal(
      ask(callerOf(callers.stranger), { keyPolicy: deny(callers.user, ACCOUNT) }),
      'explicit-deny-key-policy',
    )
  })
})

describe('texts of denials', () => {
  const caller = callerOf(`arn:aws:iam::${ACCOUNT}:user/alice`)
  const start = `User: ${caller.arn} is not authorized to perform: kms:Encrypt on resource: ${KEY_ARN}`
  for (const [verdict, end] of [
    ['no-identity-policy-allows', 'because no identity-based policy allows the kms:Encrypt action'],
    ['no-key-policy-allows', 'because no resource-based policy allows the kms:Encrypt action'],
    ['cross-account-not-supported', 'because no resource-based policy allows the kms:Encrypt action'],
    ['explicit-deny-key-policy', 'with an explicit deny in a resource-based policy'],
    ['explicit-deny-identity-policy', 'with an explicit deny in an identity-based policy'],
  ] as const) {
    test(verdict, () => {
      const question = { caller, permission: 'kms:Encrypt', resource: KEY_ARN }
      assert.equal(denialMessage(verdict, question), `${start} ${end}`)
    })
  }
})

describe('lockout', () => {
  const alice = callerOf(`arn:aws:iam::${ACCOUNT}:user/alice`)
  const all = { Action: 'kms:*', Effect: 'Allow' }
  for (const [what, statements, locked] of [
    ['names the caller', [{ ...all, Principal: { AWS: alice.arn } }], false],
    ['names the account', [{ ...all, Principal: { AWS: ACCOUNT } }], false],
    ['names someone else', [{ ...all, Principal: { AWS: `arn:aws:iam::${ACCOUNT}:user/bob` } }], true],
    ['allows everything else', [{ Effect: 'Allow', Principal: '*', NotAction: 'kms:Put*', Action: undefined }], true],
    [
      'denies it as well',
      [
        { ...all, Principal: '*' },
        { Effect: 'Deny', Principal: '*', Action: 'kms:PutKeyPolicy' },
      ],
      true,
    ],
    [
      'allows it from elsewhere',
      [{ ...all, Principal: '*', Condition: { IpAddress: { 'aws:SourceIp': '192.0.2.0/24' } } }],
      true,
    ],
  ] as const) {
    test(`a policy that ${what} ${locked ? 'locks out' : 'does not'}`, () =>
      assert.equal(wouldLockOut(key(...statements), alice, KEY_ARN, contextOf({ 'aws:sourceip': '10.1.1.1' })), locked))
  }
})

describe('policies that nobody writes', () => {
  const facts: Omit<RequestFacts, 'caller'> = {
    ...{ region: 'eu-north-1', sourceIp: '10.0.0.1', secureTransport: true, userAgent: '', now: 0 },
  }
  const can = (caller: Caller, permission: string, policy: Buffer) =>
    ask(caller, {
      permission,
      keyPolicy: compilePolicy('key', policy),
      context: new FactsContext({ ...facts, caller }),
    }) === 'allowed'
  const everything = [
    compilePolicy('identity', policyBytes({ Statement: { Effect: 'Allow', Action: '*', Resource: '*' } })),
  ]
  const user = callerOf(`arn:aws:iam::${ACCOUNT}:user/alice`, everything)
  const root = callerOf(`arn:aws:iam::${ACCOUNT}:root`)
  const objects = callerOf(serviceRoleArn(ACCOUNT, 'objects'), everything)
  const backup = callerOf(serviceRoleArn(ACCOUNT, 'backup'), everything)
  const foreign = callerOf(serviceRoleArn(OTHER, 'objects'), everything)

  test('the default lets the account decide', async () => {
    const policy = defaultKeyPolicy(ACCOUNT)
    await checkKeyPolicy(policy, async () => true)
    assert.ok(can(user, 'kms:PutKeyPolicy', policy))
    assert.ok(can(root, 'kms:ScheduleKeyDeletion', policy))
    assert.ok(!can(callerOf(user.arn), 'kms:Encrypt', policy))
    assert.ok(!can(foreign, 'kms:Encrypt', policy))
  })

  test('a provider-managed key: used through its service, seen by the account, changed by nobody', async () => {
    const policy = providerManagedKeyPolicy(ACCOUNT, 'eu-north-1', 'objects')
    await checkKeyPolicy(policy, async () => true)
    for (const use of ['Encrypt', 'Decrypt', 'ReEncryptFrom', 'GenerateDataKey', 'GenerateDataKeyWithoutPlaintext']) {
      assert.ok(can(objects, `kms:${use}`, policy), use)
      for (const other of [user, root, backup, foreign]) assert.ok(!can(other, `kms:${use}`, policy), use)
    }
    for (const see of ['DescribeKey', 'GetKeyPolicy', 'GetKeyRotationStatus', 'ListResourceTags']) {
      assert.ok(can(user, `kms:${see}`, policy) && can(root, `kms:${see}`, policy), see)
    }
    const changes = [
      'PutKeyPolicy',
      'DisableKey',
      'EnableKey',
      'ScheduleKeyDeletion',
      'CancelKeyDeletion',
      'TagResource',
    ]
    for (const change of [
      ...changes,
      'UpdateKeyDescription',
      'DisableKeyRotation',
      'ImportKeyMaterial',
      'CreateAlias',
    ]) {
      for (const caller of [user, root, objects, backup]) assert.ok(!can(caller, `kms:${change}`, policy), change)
    }
  })

  test('a policy row that cannot be read denies everyone', () => {
    const row = (body: Buffer | null) =>
      ({ kind: 'policy', id: 'r/k', scope: '', link: '', revision: 1, body, tag: Buffer.alloc(32) }) as const
    for (const body of [null, Buffer.from('{}'), Buffer.from('no')]) {
      assert.equal(ask(root, { keyPolicy: keyPolicyOf(row(body)) }), 'explicit-deny-key-policy')
    }
    const good = row(defaultKeyPolicy(ACCOUNT))
    assert.equal(keyPolicyOf(good), keyPolicyOf(good))
    assert.equal(ask(root, { keyPolicy: keyPolicyOf(good) }), 'allowed')
  })
})
