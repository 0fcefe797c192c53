// biome-ignore-all lint/suspicious/noTemplateCurlyInString: policy variables are written like that
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { CONDITION_KEYS, type ConditionKey, readConditionKey } from './condition-keys.ts'
import { compileCondition, readOperator } from './conditions.ts'
import { FactsContext } from './context.ts'
import { constraintsOf, maskOf } from './grants.ts'
import { OPERATORS } from './operators.ts'
import { ACCOUNT, callerOf, contextOf, OTHER } from './testing.ts'
import type { ConditionValue, KeyFacts, RequestContext, RequestFacts } from './types.ts'

const TAG_KEYS = 'aws:tagkeys'

function holds(
  operator: string,
  values: string | readonly string[],
  actual: ConditionValue,
  effect: 'Allow' | 'Deny' = 'Allow',
): boolean {
  const condition = { ...readOperator(operator), key: 'aws:TagKeys', values: [values].flat() }
  const context = contextOf({ [TAG_KEYS]: actual, 'aws:username': 'alice' })
  return compileCondition(condition, { use: 'identity', effect, variables: true })(context)
}

type Case = readonly [values: string | readonly string[], actual: string, matches: boolean]

/** For each positive operator: whether a value of the request matches. Its Not… form must say the opposite. */
const SINGLE: Readonly<Record<string, readonly Case[]>> = {
  StringEquals: [
    ['a', 'a', true],
    ['a', 'A', false],
    ['a*', 'ab', false],
    [['a', 'b'], 'b', true],
    ['${aws:username}', 'alice', true],
    ['', '', true],
  ],
  StringEqualsIgnoreCase: [
    ['Ab', 'aB', true],
    ['${aws:username}', 'ALICE', true],
    ['a', 'b', false],
  ],
  StringLike: [
    ['a*', 'abc', true],
    ['a*', 'Abc', false],
    ['${aws:username}?', 'alice1', true],
    ['?', '', false],
  ],
  NumericEquals: [
    ['10', '10.0', true],
    ['1e1', '10', true],
    ['10', '11', false],
    ['10', 'ten', false],
  ],
  NumericLessThan: [
    ['10', '9.5', true],
    ['10', '10', false],
    ['10', '', false],
    [['1', '10'], '5', true],
  ],
  NumericLessThanEquals: [
    ['10', '10', true],
    ['10', '11', false],
  ],
  NumericGreaterThan: [
    ['-1', '0', true],
    ['10', '10', false],
  ],
  NumericGreaterThanEquals: [
    ['10', '10', true],
    ['10', '9', false],
  ],
  DateEquals: [
    ['2026-01-01', '1767225600', true],
    ['2026-01-01T00:00:00Z', '2026-01-01T01:00:00+01:00', true],
    ['2026', '2027', false],
  ],
  DateLessThan: [
    ['2026-01-02', '2026-01-01T23:59:59Z', true],
    ['2026-01-02', '2026-01-02', false],
    ['2026-01-02', 'never', false],
  ],
  DateLessThanEquals: [['2026-01-02', '2026-01-02', true]],
  DateGreaterThan: [
    ['1700000000', '2026-01-01', true],
    ['2026-01-01', '2026-01-01', false],
  ],
  DateGreaterThanEquals: [['2026-01-01', '2026-01-01', true]],
  Bool: [
    ['true', 'true', true],
    ['TRUE', 'true', true],
    ['false', 'true', false],
  ],
  BinaryEquals: [
    ['QmluYXJ5', 'QmluYXJ5', true],
    ['QmluYXJ5', 'qmluYXJ5', false],
    ['QQ==', 'QR==', true],
  ],
  IpAddress: [
    ['203.0.113.0/24', '203.0.113.9', true],
    ['203.0.113.0/24', '203.0.114.9', false],
    ['203.0.113.7', '203.0.113.7', true],
    ['0.0.0.0/0', '8.8.8.8', true],
    ['0.0.0.0/0', '2001:db8::1', false],
    ['::/0', '8.8.8.8', false],
    ['2001:db8::/33', '2001:db8:7fff::1', true],
    ['2001:db8::/33', '2001:db8:8000::1', false],
    ['2001:DB8:0:0::5', '2001:db8::5', true],
    ['10.0.0.0/8', '::ffff:10.1.2.3', true],
    ['::ffff:10.0.0.0/104', '10.1.2.3', true],
    ['10.0.0.0/8', 'localhost', false],
  ],
  ArnEquals: [
    ['arn:aws:iam::111122223333:user/a*', 'arn:aws:iam::111122223333:user/alice', true],
    ['arn:aws:iam::*:user/alice', 'arn:aws:iam::111122223333:user/alice', true],
    ['arn:aws:iam:*:user/alice:*', 'arn:aws:iam::111122223333:user/alice', false],
    ['arn:aws:iam::*:user/${aws:username}', 'arn:aws:iam::111122223333:user/alice', true],
    ['*', 'arn:aws:iam::111122223333:user/alice', true],
    ['arn:aws:iam::111122223333:user/Alice', 'arn:aws:iam::111122223333:user/alice', false],
  ],
}

const NEGATED: Readonly<Record<string, string>> = {
  StringEquals: 'StringNotEquals',
  StringEqualsIgnoreCase: 'StringNotEqualsIgnoreCase',
  StringLike: 'StringNotLike',
  NumericEquals: 'NumericNotEquals',
  DateEquals: 'DateNotEquals',
  IpAddress: 'NotIpAddress',
  ArnEquals: 'ArnNotEquals',
}

describe('operators', () => {
  test('every operator is in a table here', () => {
    const tested = new Set([...Object.keys(SINGLE), ...Object.values(NEGATED), 'ArnLike', 'ArnNotLike'])
    assert.deepEqual(
      [...OPERATORS.keys()].filter(name => !tested.has(name)),
      [],
    )
  })

  for (const [operator, cases] of Object.entries(SINGLE)) {
    const negated = NEGATED[operator]
    test(operator, () => {
      for (const [values, actual, matches] of cases) {
        const say = `${operator} ${JSON.stringify(values)} of ${actual}`
        assert.equal(holds(operator, values, actual), matches, say)
        assert.equal(holds(`${operator}IfExists`, values, actual), matches, say)
        assert.equal(holds(`ForAnyValue:${operator}`, values, [actual]), matches, say)
        if (actual !== '') assert.equal(holds(`ForAllValues:${operator}`, values, [actual]), matches, say)
        if (operator === 'ArnEquals') assert.equal(holds('ArnLike', values, actual), matches, say)
        if (operator === 'ArnEquals') assert.equal(holds('ArnNotLike', values, actual), !matches, say)
        if (negated !== undefined) assert.equal(holds(negated, values, actual), !matches, say)
      }
    })
    test(`${operator} without the key`, () => {
      const [values] = cases[0] ?? ['']
      for (const absent of [undefined, []]) {
        assert.equal(holds(operator, values, absent), false)
        assert.equal(holds(`${operator}IfExists`, values, absent), true)
        assert.equal(holds(`ForAnyValue:${operator}`, values, absent), false)
        assert.equal(holds(`ForAnyValue:${operator}IfExists`, values, absent), true)
        assert.equal(holds(`ForAllValues:${operator}`, values, absent), true)
        if (negated === undefined) continue
        assert.equal(holds(negated, values, absent), true)
        assert.equal(holds(`ForAnyValue:${negated}`, values, absent), false)
        assert.equal(holds(`ForAllValues:${negated}`, values, absent), true)
      }
    })
  }

  test('sets', () => {
    const request = ['a', 'b']
    assert.equal(holds('ForAllValues:StringEquals', ['a', 'b', 'c'], request), true)
    assert.equal(holds('ForAllValues:StringEquals', ['a'], request), false)
    assert.equal(holds('ForAnyValue:StringEquals', ['a'], request), true)
    assert.equal(holds('ForAnyValue:StringEquals', ['c'], request), false)
    assert.equal(holds('ForAllValues:StringNotEquals', ['a'], request), false)
    assert.equal(holds('ForAllValues:StringNotEquals', ['c'], request), true)
    assert.equal(holds('ForAnyValue:StringNotEquals', ['a'], request), true)
    assert.equal(holds('ForAnyValue:StringNotEquals', ['a', 'b'], request), false)
    assert.equal(holds('ForAllValues:StringEquals', ['a'], ''), true)
  })

  test('several values without a set operator: an Allow needs all, a Deny any', () => {
    assert.equal(holds('StringEquals', 'a', ['a', 'b'], 'Allow'), false)
    assert.equal(holds('StringEquals', 'a', ['a', 'b'], 'Deny'), true)
    assert.equal(holds('StringNotEquals', 'a', ['a', 'b'], 'Allow'), false)
    assert.equal(holds('StringNotEquals', 'a', ['a', 'b'], 'Deny'), true)
  })

  test('Null', () => {
    assert.equal(holds('Null', 'true', undefined), true)
    assert.equal(holds('Null', 'true', []), true)
    assert.equal(holds('Null', 'true', 'x'), false)
    assert.equal(holds('Null', 'false', undefined), false)
    assert.equal(holds('Null', 'false', ['x']), true)
    assert.equal(holds('Null', ['true', 'false'], 'x'), true)
  })

  test('a variable without a value equals nothing, so that negated operators hold', () => {
    assert.equal(holds('StringEquals', '${aws:userid}', 'x'), false)
    assert.equal(holds('StringNotEquals', '${aws:userid}', 'x'), true)
    assert.equal(holds('StringNotLike', '${aws:userid}*', 'x'), true)
    assert.equal(holds('StringEquals', "${aws:userid, 'x'}", 'x'), true)
  })
})

describe('condition keys', () => {
  test('names have no case; parameters are read', () => {
    assert.deepEqual(readConditionKey('KMS:encryptioncontext:Aws:S3/Arn'), {
      key: 'kms:encryptioncontext',
      suffix: 'aws:s3/arn',
    })
    assert.deepEqual(readConditionKey('aws:ResourceTag/a:b/c'), { key: 'aws:resourcetag', suffix: 'a:b/c' })
    assert.deepEqual(readConditionKey('kms:EncryptionContextKeys'), { key: 'kms:encryptioncontextkeys', suffix: '' })
    for (const none of ['kms:EncryptionContext', 'aws:MultiFactorAuthPresent', 'aws:username/x', 'toString', 'x']) {
      assert.equal(readConditionKey(none).key, undefined, none)
    }
  })

  const header = {
    ...{ id: 'eu-north-1/11111111-2222-3333-4444-555555555555', account: ACCOUNT },
    ...{ spec: 'SYMMETRIC_DEFAULT', usage: 'ENCRYPT_DECRYPT', origin: 'AWS_KMS' },
  } as unknown as KeyFacts['header']
  const key: KeyFacts = { header, tags: new Map([['Team', 'red']]), aliases: () => ['alias/a', 'alias/b'] }
  const alice = callerOf(`arn:aws:iam::${ACCOUNT}:user/staff/alice`, [], { team: 'blue' })
  const base: RequestFacts = {
    ...{ caller: alice, region: 'eu-north-1', sourceIp: '192.0.2.1', secureTransport: true },
    ...{ userAgent: 'curl/8', now: Date.UTC(2026, 0, 2) },
  }
  const SOURCE = `arn:aws:s3:eu-north-1:${OTHER}:bucket`
  const full: RequestFacts = {
    ...base,
    key,
    requestAlias: 'alias/a',
    encryptionContext: { App: 'x', tenant: '7' },
    encryptionAlgorithm: 'SYMMETRIC_DEFAULT',
    reEncryptOnSameKey: false,
    bypassPolicyLockoutSafetyCheck: true,
    expirationModel: 'KEY_MATERIAL_EXPIRES',
    validTo: Date.UTC(2027, 0, 1),
    wrappingAlgorithm: 'RSAES_OAEP_SHA_256',
    wrappingKeySpec: 'RSA_4096',
    rotationPeriodInDays: 365,
    pendingWindowInDays: 7,
    signingAlgorithm: 'ECDSA_SHA_256',
    messageType: 'DIGEST',
    macAlgorithm: 'HMAC_SHA_256',
    keyAgreementAlgorithm: 'ECDH',
    dataKeyPairSpec: 'RSA_2048',
    requestTags: new Map([['Stage', 'test']]),
    sourceArn: SOURCE,
    grantIsForAwsResource: true,
    newGrant: {
      operationNames: ['Encrypt', 'DescribeKey'],
      operations: maskOf(['Encrypt', 'DescribeKey']),
      constraints: constraintsOf({ subset: [['App', 'x']], sourceArn: SOURCE }),
      grantee: alice.arn,
      retiring: 'objects.amazonaws.com',
    },
  }
  const service = callerOf(
    `arn:aws:iam::${ACCOUNT}:role/aws-service-role/objects.amazonaws.com/AWSServiceRoleForObjects`,
  )

  /** Key as a policy names it → value with everything in the request. */
  const values: Readonly<Record<string, ConditionValue>> = {
    'aws:CalledVia': undefined,
    'aws:CalledViaFirst': undefined,
    'aws:CalledViaLast': undefined,
    'aws:CurrentTime': '2026-01-02T00:00:00.000Z',
    'aws:EpochTime': '1767312000',
    'aws:PrincipalAccount': ACCOUNT,
    'aws:PrincipalArn': alice.arn,
    'aws:PrincipalIsAWSService': 'false',
    'aws:PrincipalServiceName': undefined,
    'aws:PrincipalServiceNamesList': undefined,
    'aws:PrincipalTag/Team': 'blue',
    'aws:PrincipalType': 'User',
    'aws:RequestedRegion': 'eu-north-1',
    'aws:RequestTag/stage': 'test',
    'aws:ResourceAccount': ACCOUNT,
    'aws:ResourceTag/TEAM': 'red',
    'aws:SecureTransport': 'true',
    'aws:SourceAccount': OTHER,
    'aws:SourceArn': SOURCE,
    'aws:SourceIp': '192.0.2.1',
    'aws:TagKeys': ['Stage'],
    'aws:UserAgent': 'curl/8',
    'aws:userid': 'AIDAEXAMPLE',
    'aws:username': 'alice',
    'aws:ViaAWSService': 'false',
    'kms:BypassPolicyLockoutSafetyCheck': 'true',
    'kms:CallerAccount': ACCOUNT,
    'kms:CustomerMasterKeySpec': 'SYMMETRIC_DEFAULT',
    'kms:CustomerMasterKeyUsage': 'ENCRYPT_DECRYPT',
    'kms:DataKeyPairSpec': 'RSA_2048',
    'kms:EncryptionAlgorithm': 'SYMMETRIC_DEFAULT',
    'kms:EncryptionContext:app': 'x',
    'kms:EncryptionContextKeys': ['App', 'tenant'],
    'kms:ExpirationModel': 'KEY_MATERIAL_EXPIRES',
    'kms:GrantConstraintSourceArn': SOURCE,
    'kms:GrantConstraintType': 'EncryptionContextSubset',
    'kms:GranteePrincipal': alice.arn,
    'kms:GranteeServicePrincipal': undefined,
    'kms:GrantIsForAWSResource': 'true',
    'kms:GrantOperations': ['Encrypt', 'DescribeKey'],
    'kms:KeyAgreementAlgorithm': 'ECDH',
    'kms:KeyOrigin': 'AWS_KMS',
    'kms:KeySpec': 'SYMMETRIC_DEFAULT',
    'kms:KeyUsage': 'ENCRYPT_DECRYPT',
    'kms:MacAlgorithm': 'HMAC_SHA_256',
    'kms:MessageType': 'DIGEST',
    'kms:MultiRegion': 'false',
    'kms:ReEncryptOnSameKey': 'false',
    'kms:RequestAlias': 'alias/a',
    'kms:ResourceAliases': ['alias/a', 'alias/b'],
    'kms:RetiringPrincipal': undefined,
    'kms:RetiringServicePrincipal': 'objects.amazonaws.com',
    'kms:RotationPeriodInDays': '365',
    'kms:ScheduleKeyDeletionPendingWindowInDays': '7',
    'kms:SigningAlgorithm': 'ECDSA_SHA_256',
    'kms:ValidTo': '1798761600',
    'kms:ViaService': undefined,
    'kms:WrappingAlgorithm': 'RSAES_OAEP_SHA_256',
    'kms:WrappingKeySpec': 'RSA_4096',
  }
  const asked = (context: RequestContext, name: string) => {
    const named = readConditionKey(name)
    assert.ok(named.key !== undefined, name)
    return context.get(named.key, named.suffix)
  }

  test('every key of the table has its value', () => {
    const context = new FactsContext(full)
    for (const [name, value] of Object.entries(values)) assert.deepEqual(asked(context, name), value, name)
    const tested = new Set(Object.keys(values).map(name => readConditionKey(name).key))
    assert.deepEqual(
      (Object.keys(CONDITION_KEYS) as ConditionKey[]).filter(name => !tested.has(name)),
      [],
    )
  })

  test('what a request does not have is absent', () => {
    const context = new FactsContext({ ...base, sourceIp: '', userAgent: '' })
    const always = new Set([
      ...['aws:CurrentTime', 'aws:EpochTime', 'aws:PrincipalAccount', 'aws:PrincipalArn', 'aws:PrincipalIsAWSService'],
      ...['aws:PrincipalTag/Team', 'aws:PrincipalType', 'aws:RequestedRegion', 'aws:SecureTransport', 'aws:userid'],
      ...['aws:username', 'aws:ViaAWSService', 'kms:CallerAccount'],
    ])
    for (const name of Object.keys(values)) {
      assert.equal(asked(context, name) !== undefined, always.has(name), name)
    }
  })

  test('a service of the provider', () => {
    const context = new FactsContext({ ...base, caller: service })
    assert.equal(asked(context, 'kms:ViaService'), 'objects.eu-north-1.amazonaws.com')
    assert.equal(asked(context, 'aws:PrincipalIsAWSService'), 'true')
    assert.deepEqual(asked(context, 'aws:CalledVia'), ['objects.amazonaws.com'])
    assert.equal(asked(context, 'aws:username'), undefined)
  })

  test('names that differ only in case hide nothing', () => {
    const context = new FactsContext({ ...base, encryptionContext: { app: 'good', APP: 'bad' } })
    assert.deepEqual(asked(context, 'kms:EncryptionContext:App'), ['good', 'bad'])
    const inherited = new FactsContext({ ...base, encryptionContext: Object.create({ app: 'x' }) })
    assert.equal(asked(inherited, 'kms:EncryptionContext:app'), undefined)
  })

  test('kms:ResourceAliases is for identity policies only', () => {
    const context = new FactsContext(full)
    const condition = { ...readOperator('ForAnyValue:StringEquals'), key: 'kms:ResourceAliases', values: ['alias/a'] }
    for (const [use, expected] of [
      ['identity', true],
      ['key', false],
    ] as const) {
      assert.equal(compileCondition(condition, { use, effect: 'Allow', variables: true })(context), expected)
    }
  })

  test('values are computed only when a policy asks', () => {
    let asks = 0
    const counting = { ...key, aliases: () => [`alias/${asks++}`] }
    const context = new FactsContext({ ...base, key: counting })
    asked(context, 'kms:KeySpec')
    assert.equal(asks, 0)
    asked(context, 'kms:ResourceAliases')
    assert.equal(asks, 1)
  })
})
