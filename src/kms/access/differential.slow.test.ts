// biome-ignore-all lint/suspicious/noTemplateCurlyInString: policy variables are written like that
/**
 * The compiled evaluator, and the callers that rows and session tokens make, against a second evaluator (`testing-naive.ts`). Thousands of random policies and requests; the seed is printed and can be given in HOLDFAST_SEED.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Row } from '../../boundary/words.ts'
import { Secret } from '../../store/secret.ts'
import { authorize } from './authorize.ts'
import { compilePolicy } from './compile.ts'
import {
  bitOfPermission,
  constraintsOf,
  type GrantBody,
  grantThatPermits,
  maskOf,
  namesOf,
  readGrant,
  writeGrantBody,
} from './grants.ts'
import { Principals } from './principals.ts'
import { writeBody } from './rows.ts'
import { writeSessionBody } from './session-body.ts'
import { Sessions } from './sessions.ts'
import { ACCOUNT, contextOf, OTHER, policyBytes } from './testing.ts'
import {
  type GrantFacts,
  naiveDecision,
  naiveGrant,
  type PlainGrant,
  type PlainPolicy,
  type PlainStatement,
  type Request,
  type Strings,
  type Who,
} from './testing-naive.ts'
import type { Caller, ConditionValue } from './types.ts'

// --- Random policies and requests ---

/** Mulberry32: small, and the same everywhere. */
function generator(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

const KEYS = ['a', 'b'].map(id => `arn:aws:kms:eu-north-1:${ACCOUNT}:key/${id}`)
const ALICE = `arn:aws:iam::${ACCOUNT}:user/alice`
const APP = `arn:aws:iam::${ACCOUNT}:role/app`
const SERVICE = `arn:aws:iam::${ACCOUNT}:role/aws-service-role/objects.amazonaws.com/AWSServiceRoleForObjects`
const STRANGER = `arn:aws:iam::${OTHER}:user/alice`
const SESSIONS = ['one', 'two'].map(name => `arn:aws:sts::${ACCOUNT}:assumed-role/app/${name}`)
const STRANGE_APP = `arn:aws:iam::${OTHER}:role/app`
const ARNS = [
  ALICE,
  APP,
  APP,
  SERVICE,
  STRANGER,
  STRANGE_APP,
  `arn:aws:iam::${ACCOUNT}:root`,
  `arn:aws:iam::${OTHER}:root`,
]
const ACTIONS = [
  'kms:Encrypt',
  'kms:Decrypt',
  'kms:PutKeyPolicy',
  'kms:Sign',
  'kms:DescribeKey',
  'kms:CreateGrant',
  'kms:RetireGrant',
]
const ACTION_PATTERNS = [
  'kms:*',
  '*',
  'kms:Encrypt',
  'KMS:decrypt',
  'kms:*crypt',
  'kms:Put*',
  's3:*',
  'kms:?ncrypt',
  'kms:S*',
]
const RESOURCE_PATTERNS = [
  ...['*', `arn:aws:kms:*:${ACCOUNT}:key/*`, KEYS[0] ?? '', KEYS[1] ?? '', 'arn:aws:kms:*', 'arn:aws:s3:::bucket'],
  ...[
    'arn:aws:kms:*:key/*',
    `arn:aws:kms:eu-north-1:${ACCOUNT}:key/\${aws:PrincipalTag/id}`,
    'arn:aws:kms:eu-*:*:key/?',
  ],
]
const VALUES: Record<string, ConditionValue[]> = {
  'aws:PrincipalTag/id': [undefined, 'a', '*', 'B'],
  'kms:EncryptionContext:app': [undefined, 'a', 'A', 'x*', ''],
  'aws:TagKeys': [undefined, [], ['a'], ['a', 'B'], ['x*', 'a', 'b']],
  'kms:SigningAlgorithm': [undefined, 'ECDSA_SHA_256', 'RSASSA_PSS_SHA_256'],
  'kms:MessageType': [undefined, 'RAW', 'DIGEST'],
  'kms:MacAlgorithm': [undefined, 'HMAC_SHA_256'],
  'kms:KeyAgreementAlgorithm': [undefined, 'ECDH'],
  'kms:DataKeyPairSpec': [undefined, 'RSA_2048', 'ECC_NIST_P256'],
  'kms:KeyUsage': ['ENCRYPT_DECRYPT', 'SIGN_VERIFY'],
  'kms:RotationPeriodInDays': [undefined, '90', '365'],
  'aws:CurrentTime': ['2026-01-01T00:00:00Z', '2026-06-01T00:00:00Z'],
  'aws:SecureTransport': ['true', 'false'],
  'aws:SourceIp': [undefined, '10.1.2.3', '192.0.2.7'],
  'aws:PrincipalArn': [ALICE, APP],
}
const WANTED: Record<string, string[]> = {
  String: [
    'a',
    'A',
    'B',
    'x*',
    '*',
    '?',
    'a?',
    '',
    '${aws:PrincipalTag/id}',
    '${*}',
    '${aws:PrincipalTag/id}*',
    'ECDSA_*',
    'RAW',
    'HMAC_SHA_256',
    'ECDH',
    'RSA_????',
    'sign_verify',
  ],
  Numeric: ['90', '365', '100'],
  Date: ['2026-01-01', '2026-03-01T12:00:00Z'],
  Bool: ['true', 'false'],
  IpAddress: ['10.0.0.0/8', '192.0.2.7', '0.0.0.0/0', '192.0.2.0/31'],
  Arn: [ALICE, `arn:aws:iam::${ACCOUNT}:*`, '*', `arn:aws:iam::*:user/*`],
}
const OPERATORS: Record<string, string[]> = {
  String: ['Equals', 'NotEquals', 'EqualsIgnoreCase', 'NotEqualsIgnoreCase', 'Like', 'NotLike'].map(o => `String${o}`),
  Numeric: ['Equals', 'NotEquals', 'LessThan', 'LessThanEquals', 'GreaterThan', 'GreaterThanEquals'].map(
    o => `Numeric${o}`,
  ),
  Date: ['Equals', 'NotEquals', 'LessThan', 'LessThanEquals', 'GreaterThan', 'GreaterThanEquals'].map(o => `Date${o}`),
  Bool: ['Bool'],
  IpAddress: ['IpAddress', 'NotIpAddress'],
  Arn: ['ArnEquals', 'ArnNotEquals', 'ArnLike', 'ArnNotLike'],
}
const KEY_TYPES: Record<string, string> = {
  'kms:RotationPeriodInDays': 'Numeric',
  'aws:CurrentTime': 'Date',
  'aws:SecureTransport': 'Bool',
  'aws:SourceIp': 'IpAddress',
  'aws:PrincipalArn': 'Arn',
}

function makeCase(random: () => number) {
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T
  const some = (from: readonly string[]): Strings =>
    random() < 0.5 ? pick(from) : Array.from({ length: 1 + Math.floor(random() * 3) }, () => pick(from))
  const chance = (probability: number) => random() < probability

  const condition = (use: 'key' | 'identity'): Record<string, Record<string, Strings>> => {
    const made: Record<string, Record<string, Strings>> = {}
    for (let i = Math.floor(random() * 3); i > 0; i--) {
      const key = pick(Object.keys(VALUES))
      const type = KEY_TYPES[key] ?? 'String'
      const set = type === 'String' && chance(0.4) ? pick(['ForAllValues:', 'ForAnyValue:']) : ''
      const operator = chance(0.1) ? 'Null' : `${set}${pick(OPERATORS[type] ?? [])}${chance(0.25) ? 'IfExists' : ''}`
      if (operator.startsWith('ForAllValues') && key.startsWith('kms:EncryptionContext:') && use === 'key') continue
      const values = some(operator === 'Null' ? ['true', 'false'] : (WANTED[type] ?? []))
      made[operator] = { ...made[operator], [chance(0.2) ? key.toUpperCase() : key]: values }
    }
    return made
  }
  const principal = () => {
    if (chance(0.15)) return '*' as const
    const names = some([...ARNS, ...SESSIONS, ACCOUNT, OTHER, ...(chance(0.1) ? ['*'] : [])])
    return chance(0.15) ? { Service: 'objects.amazonaws.com', AWS: names } : { AWS: names }
  }
  /** Sparing a session takes three names, which chance alone seldom brings together. */
  const sparedNames = () => [ALICE, ...[APP, ...SESSIONS, ACCOUNT].filter(() => chance(0.7))]
  const statement = (use: 'key' | 'identity'): PlainStatement => {
    const Effect = chance(0.7) ? 'Allow' : 'Deny'
    const made: PlainStatement = { Effect, Condition: condition(use) }
    if (use === 'key') {
      if (Effect === 'Deny' && chance(0.4)) made.NotPrincipal = chance(0.5) ? { AWS: sparedNames() } : principal()
      else made.Principal = principal()
    }
    if (use === 'identity' || chance(0.95)) made[chance(0.85) ? 'Action' : 'NotAction'] = some(ACTION_PATTERNS)
    if (use === 'identity' || chance(0.95)) made[chance(0.85) ? 'Resource' : 'NotResource'] = some(RESOURCE_PATTERNS)
    return made
  }
  const policy = (use: 'key' | 'identity'): PlainPolicy => ({
    Version: chance(0.8) ? '2012-10-17' : '2008-10-17',
    Statement: Array.from({ length: 1 + Math.floor(random() * 3) }, () => statement(use)),
  })

  const pairs = (): [string, string][] => {
    const made: Record<string, string> = {}
    for (let i = Math.floor(random() * 3); i > 0; i--) made[pick(['a', 'A', 'b'])] = pick(['1', '2'])
    return Object.entries(made)
  }
  const grant = (): PlainGrant => ({
    grantee: pick([...ARNS, ...SESSIONS, 'objects.amazonaws.com']),
    operations: [...new Set([some(GRANTED)].flat())],
    ...(chance(0.3) ? { equals: pairs() } : chance(0.4) ? { subset: pairs() } : {}),
    sourceArn: chance(0.2) ? pick(SOURCES) : '',
  })
  const facts: GrantFacts = {
    context: Object.fromEntries(pairs()),
    sourceArn: chance(0.3) ? pick(SOURCES) : undefined,
    child: grant(),
  }
  const grants = Array.from({ length: Math.floor(random() * 9) }, grant)
  const keyPolicy = chance(0.9) ? policy('key') : undefined
  const arn = pick(ARNS)
  const isRoot = arn.endsWith(':root')
  const policies = (most: number) => Array.from({ length: Math.floor(random() * (most + 1)) }, () => policy('identity'))
  const isUser = arn.includes(':user/')
  const isRole = arn.endsWith(':role/app')
  const account = arn.split(':')[4] ?? ''
  const name = pick(['one', 'two'])
  const who: Who = {
    principal: arn,
    account,
    service: arn === SERVICE ? 'objects' : '',
    policies: isRoot ? [] : policies(2),
    groups: isUser ? Array.from({ length: Math.floor(random() * 3) }, () => policies(2)) : [],
    boundary: (isUser || isRole) && chance(0.4) ? policy('identity') : undefined,
    session:
      isRole && chance(0.7)
        ? {
            arn: `arn:aws:sts::${account}:assumed-role/app/${name}`,
            name,
            policy: chance(0.5) ? policy('identity') : undefined,
          }
        : undefined,
  }
  const values = Object.fromEntries(Object.entries(VALUES).map(([key, from]) => [key, pick(from)]))
  const resource = keyPolicy === undefined ? pick(['*', ...KEYS]) : pick(KEYS)
  const request: Request = { action: pick(ACTIONS), resource, values }
  return { keyPolicy, who, grants, facts, request }
}

const GRANTED = ['Encrypt', 'Decrypt', 'DescribeKey', 'CreateGrant', 'RetireGrant']
const SOURCES = ['arn:aws:s3:eu-north-1:111122223333:one', 'arn:aws:s3:eu-north-1:111122223333:two']

/** As rows say it, and the decision reads it. */
function compiledGrants(grants: readonly PlainGrant[], caller: Caller) {
  const body = (grant: PlainGrant): GrantBody => ({
    ...{ v: 1, created: 1, name: '', retiring: '', account: ACCOUNT, issuer: ACCOUNT, secret: '' },
    ...grant,
  })
  return namesOf(caller).flatMap(name =>
    grants
      .filter(({ grantee }) => grantee === name)
      .map((grant, at) =>
        readGrant({
          ...{ kind: 'grant', id: `r/k#${at}`, scope: '', link: name, revision: 1, tag: Buffer.alloc(32) },
          body: writeGrantBody(body(grant)),
        }),
      ),
  )
}

// --- The caller as the service makes it: from rows, and from a session token ---

function rowOf(kind: 'principal' | 'group', id: string, body: Buffer): Row {
  return { kind, id, scope: '', link: '', revision: 1, body, tag: Buffer.alloc(32) }
}

async function callerFrom(who: Who): Promise<Caller> {
  const texts = (policies: PlainPolicy[]) =>
    Object.fromEntries(policies.map((policy, at) => [`p${at}`, JSON.stringify(policy)]))
  const groups = who.groups.map((policies, at) => {
    const id = `arn:aws:iam::${who.account}:group/g${at}`
    return rowOf('group', id, writeBody({ v: 1, created: 0, groupId: 'AGPA', policies: texts(policies) }))
  })
  const body = writeBody({
    ...{ v: 1, created: 0, userId: 'AROAEXAMPLE', tags: {}, credentials: {}, policies: texts(who.policies) },
    ...(groups.length === 0 ? {} : { groups: groups.map(({ id }) => id) }),
    ...(who.boundary === undefined ? {} : { boundary: JSON.stringify(who.boundary) }),
  })
  const rows = new Map([rowOf('principal', who.principal, body), ...groups].map(row => [row.id, row]))
  const principals = new Principals({
    peek: (_, id) => rows.get(id) ?? null,
    get: async (_, id) => rows.get(id),
    list: async () => [],
    secret: async () => undefined,
    peekSecret: () => null,
  })
  if (who.session === undefined) return (await principals.caller(who.principal)) as Caller
  const opened = writeSessionBody({
    kind: 'role',
    accessKeyId: 'ASIAEXAMPLE',
    secret: new Secret(Buffer.from('secret')),
    principal: who.principal,
    uniqueId: 'AROAEXAMPLE',
    sessionName: who.session.name,
    accessKey: '',
    begun: 0,
    sourceIdentity: '',
    tags: [],
    policy: who.session.policy === undefined ? '' : JSON.stringify(who.session.policy),
  })
  const sessions = new Sessions(principals, { openSession: async () => ({ body: opened, expiresAt: 1 }) }, 1)
  const answer = await sessions.identity('AAAA', 'ASIAEXAMPLE', 0, {})
  assert.ok(typeof answer === 'object')
  return answer.caller
}

const CASES = 10_000

test('the compiled evaluator decides as the documented algorithm does', async t => {
  const seed = Number(process.env.HOLDFAST_SEED ?? Math.floor(Math.random() * 2 ** 32))
  t.diagnostic(`seed ${seed}`)
  const random = generator(seed)
  let allowed = 0
  let granted = 0
  for (let number = 0; number < CASES; number++) {
    const { keyPolicy, who, grants, facts, request } = makeCase(random)
    const { resource } = request
    const caller = await callerFrom(who)
    const lower = Object.entries(request.values).map(([key, value]) => [key.toLowerCase(), value] as const)
    const verdict = authorize({
      caller,
      permission: request.action,
      resource,
      resourceAccount: ACCOUNT,
      crossAccount: true,
      keyPolicy: keyPolicy === undefined ? undefined : compilePolicy('key', policyBytes(keyPolicy)),
      context: contextOf(Object.fromEntries(lower)),
      grants: () =>
        grantThatPermits(compiledGrants(grants, caller), {
          operation: bitOfPermission(request.action),
          context: facts.context,
          sourceArn: facts.sourceArn,
          newGrant: { operations: maskOf(facts.child.operations), constraints: constraintsOf(facts.child) },
        }) !== undefined,
    })
    const byGrant = grants.some(grant => naiveGrant(grant, who, request, facts))
    const expected = naiveDecision(keyPolicy, who, request, ACCOUNT, byGrant)
    if (expected && byGrant && !naiveDecision(keyPolicy, who, request, ACCOUNT, false)) granted++
    if (expected) allowed++
    assert.equal(
      verdict === 'allowed',
      expected,
      `seed ${seed}, case ${number}: ${verdict}\n${JSON.stringify({ ...request, who, keyPolicy, grants, facts }, null, 1)}`,
    )
  }
  // Both answers must be common, or the comparison says little.
  assert.ok(allowed > CASES * 0.05 && allowed < CASES * 0.95, `${allowed} of ${CASES} allowed`)
  assert.ok(granted > CASES * 0.02, `${granted} of ${CASES} allowed by grants alone`)
})
