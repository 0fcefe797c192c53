/** Promise 5: denied unless allowed. Every operation declares what it needs, and nothing less than all of it is enough. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { authorize } from './authorize.ts'
import { compilePolicy } from './compile.ts'
import { accessOf, assertEveryOperationDeclared, OPERATION_ACCESS, type Permission } from './permissions.ts'
import { ACCOUNT, callerOf, contextOf, KEY_ARN, OTHER, policyBytes } from './testing.ts'
import type { Caller } from './types.ts'

const model: { operations: Record<string, unknown> } = JSON.parse(
  readFileSync(new URL('../wire/model/aws-kms-model.json', import.meta.url), 'utf8'),
)
/** The operations that are newer than the model. */
const API = [...Object.keys(model.operations), 'Encapsulate', 'Decapsulate']
const STS = ['GetCallerIdentity', 'GetSessionToken', 'AssumeRole']
/** For every authenticated caller; STS refuses those for whom they mean nothing. */
const FOR_ANYONE = ['GetSessionToken', 'GetCallerIdentity']

describe('promise 5: denied unless allowed', () => {
  test('the table declares the 56 operations of the API and those of STS, and nothing else', () => {
    assert.equal(API.length, 56)
    assert.deepEqual(Object.keys(OPERATION_ACCESS).sort(), [...API, ...STS].sort())
    assertEveryOperationDeclared([...API, ...STS])
  })

  test('an operation without declaration does not start', () => {
    assert.throws(() => assertEveryOperationDeclared([...API, 'DescribeSecret']), /DescribeSecret/)
    for (const inherited of ['toString', 'constructor', '__proto__', '']) {
      assert.throws(() => assertEveryOperationDeclared([inherited]), /declare no permission/)
      assert.throws(() => accessOf(inherited), /declares no permission/)
    }
  })

  test('an operation that declares an empty list of permissions does not start', () => {
    const table = OPERATION_ACCESS as Record<string, unknown>
    table.Hole = { permissions: [], crossAccount: false, iamOnly: true }
    try {
      assert.throws(() => assertEveryOperationDeclared(['Hole']), /Hole/)
    } finally {
      delete table.Hole
    }
  })

  test('only what tells or gives nobody more than they have is for everyone', () => {
    assert.deepEqual(
      Object.keys(OPERATION_ACCESS).filter(name => accessOf(name).anyone === true),
      FOR_ANYONE,
    )
  })

  // aws-kms.md §12.4.
  const across = new Set([
    ...['Encrypt', 'Decrypt', 'ReEncrypt', 'GenerateDataKey', 'GenerateDataKeyWithoutPlaintext', 'GenerateDataKeyPair'],
    ...['GenerateDataKeyPairWithoutPlaintext', 'Sign', 'Verify', 'GenerateMac', 'VerifyMac', 'DeriveSharedSecret'],
    ...[
      'Encapsulate',
      'Decapsulate',
      'GetPublicKey',
      'DescribeKey',
      'GetKeyRotationStatus',
      'CreateGrant',
      'ListGrants',
    ],
    ...['RetireGrant', 'RevokeGrant', 'AssumeRole'],
  ])
  // aws-kms.md §12.3.
  const iamOnly = new Set([
    ...['CreateKey', 'ListKeys', 'ListAliases', 'GenerateRandom', 'ListRetirableGrants', ...FOR_ANYONE],
    ...['CreateCustomKeyStore', 'ConnectCustomKeyStore', 'DisconnectCustomKeyStore', 'DeleteCustomKeyStore'],
    ...['UpdateCustomKeyStore', 'DescribeCustomKeyStores'],
  ])
  test('across accounts, and identity policies alone, as the reference lists them', () => {
    for (const name of Object.keys(OPERATION_ACCESS)) {
      const access = accessOf(name)
      assert.equal(access.crossAccount, across.has(name), name)
      assert.equal(access.iamOnly, iamOnly.has(name), name)
      const onAny = access.permissions.every(({ on }) => on === 'any')
      assert.equal(access.iamOnly, onAny, name)
    }
  })

  // Generated from the table: with every permission the operation is allowed; with all but one of those it needs, it is not.
  const resourceOf = ({ on }: Permission) => {
    if (on === 'any') return '*'
    if (on === 'role') return `arn:aws:iam::${ACCOUNT}:role/app`
    if (on === 'alias') return `arn:aws:kms:eu-north-1:${ACCOUNT}:alias/a`
    return on === 'new-key' || on === 'destination-key' ? `${KEY_ARN.slice(0, -1)}6` : KEY_ARN
  }
  const openKey = compilePolicy(
    'key',
    policyBytes({
      Statement: { Effect: 'Allow', Principal: { AWS: [ACCOUNT, OTHER] }, Action: 'kms:*', Resource: '*' },
    }),
  )
  const openRole = compilePolicy(
    'trust',
    policyBytes({ Statement: { Effect: 'Allow', Principal: { AWS: [ACCOUNT, OTHER] }, Action: 'sts:*' } }),
  )
  const policyOf = ({ on }: Permission) =>
    on === 'role' ? openRole : on === 'any' || on === 'alias' ? undefined : openKey
  const allowed = (caller: Caller, operation: string) =>
    accessOf(operation).permissions.every(
      permission =>
        authorize({
          caller,
          permission: permission.permission,
          resource: resourceOf(permission),
          resourceAccount: ACCOUNT,
          crossAccount: accessOf(operation).crossAccount,
          keyPolicy: policyOf(permission),
          context: contextOf({}),
          grants: undefined,
        }) === 'allowed',
    )
  const holder = (account: string, ...statements: object[]) => {
    const policy = { Statement: [{ Effect: 'Allow', Action: '*', Resource: '*' }, ...statements] }
    return callerOf(`arn:aws:iam::${account}:user/alice`, [compilePolicy('identity', policyBytes(policy))])
  }
  /** Allows all there is but one permission, on one resource or on all. */
  const allBut = (permission: Permission) => {
    const one = { Action: permission.permission, Resource: resourceOf(permission) }
    const policies = [
      { Statement: { Effect: 'Allow', NotAction: one.Action, Resource: '*' } },
      ...(one.Resource === '*' ? [] : [{ Statement: { Effect: 'Allow', Action: '*', NotResource: one.Resource } }]),
    ]
    return callerOf(
      `arn:aws:iam::${ACCOUNT}:user/alice`,
      policies.map(policy => compilePolicy('identity', policyBytes(policy))),
    )
  }
  for (const operation of [...API, 'AssumeRole']) {
    test(`${operation}: every permission but one is not enough`, () => {
      assert.ok(allowed(holder(ACCOUNT), operation))
      assert.equal(allowed(holder(OTHER), operation), accessOf(operation).crossAccount)
      for (const permission of accessOf(operation).permissions) {
        assert.ok(!allowed(allBut(permission), operation), JSON.stringify(permission))
        const denied = { Effect: 'Deny', Action: permission.permission, Resource: resourceOf(permission) }
        assert.ok(!allowed(holder(ACCOUNT, denied), operation), JSON.stringify(permission))
      }
      assert.ok(!allowed(callerOf(`arn:aws:iam::${ACCOUNT}:user/alice`), operation))
    })
  }
})
