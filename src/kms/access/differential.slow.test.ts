// biome-ignore-all lint/suspicious/noTemplateCurlyInString: policy variables are written like that
// biome-ignore-all lint/suspicious/noControlCharactersInRegex: they guard what comes from values
/**
 * The compiled evaluator against a second one, written here from IAM's documented algorithm in the plainest way: text policies, regular
 * expressions, no sharing of code. Thousands of random policies and requests; the seed is printed and can be given in HOLDFAST_SEED.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
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
import { ACCOUNT, callerOf, contextOf, OTHER, policyBytes } from './testing.ts'
import type { Caller, ConditionValue } from './types.ts'

type Strings = string | string[]
interface PlainStatement {
  Effect: 'Allow' | 'Deny'
  Principal?: '*' | Record<string, Strings>
  NotPrincipal?: '*' | Record<string, Strings>
  Action?: Strings
  NotAction?: Strings
  Resource?: Strings
  NotResource?: Strings
  Condition?: Record<string, Record<string, Strings>>
}
interface PlainPolicy {
  Version: string
  Statement: PlainStatement[]
}
interface Request {
  caller: Caller
  action: string
  resource: string
  /** By the condition key as policies write it. */
  values: Record<string, ConditionValue>
}

const list = (value: Strings | undefined): string[] => (value === undefined ? [] : [value].flat())

// --- The naive evaluator ---

const escaped = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')

/** A pattern as a regular expression; variables were put in before, guarded. */
function glob(pattern: string, flags = ''): RegExp {
  const source = escaped(pattern)
    .replace(/\\\*/g, '[^]*')
    .replace(/\\\?/g, '[^]')
    .replace(/\u0001/g, '\\*')
    .replace(/\u0002/g, '\\?')
  return new RegExp(`^${source}$`, flags)
}

/** Replaces variables; wildcard characters that come from values are guarded as \u0001 and \u0002. Null where one has no value. */
function substitute(text: string, request: Request, version: string): string | null {
  if (version !== '2012-10-17') return text
  let missing = false
  const result = text.replace(/\$\{([^}]*)\}/g, (_, name: string) => {
    let value: ConditionValue = name
    if (!['*', '?', '$'].includes(name)) {
      value = Object.entries(request.values).find(([key]) => key.toLowerCase() === name.toLowerCase())?.[1]
      if (typeof value !== 'string') missing = true
    }
    return String(value).replace(/\*/g, '\u0001').replace(/\?/g, '\u0002')
  })
  return missing ? null : result
}

const unguard = (text: string) => text.replace(/\u0001/g, '*').replace(/\u0002/g, '?')

function arnMatches(pattern: string, subject: string): boolean {
  if (pattern === '*') return true
  const wanted = pattern.split(':')
  const actual = subject.split(':')
  if (actual.length < 6) return false
  while (wanted.length < 6) wanted.push('*')
  const parts = (all: string[]) => [...all.slice(0, 5), all.slice(5).join(':')]
  const [left, right] = [parts(wanted), parts(actual)]
  return left.every((part, index) => glob(part).test(right[index] ?? ''))
}

function resourceMatches(patterns: Strings, request: Request, version: string): boolean {
  return list(patterns).some(pattern => {
    const text = substitute(pattern, request, version)
    return text !== null && arnMatches(text, request.resource)
  })
}

function oneValue(operator: string, wanted: string, actual: string, request: Request, version: string): boolean {
  const text = /^(String|Arn)/.test(operator) ? substitute(wanted, request, version) : wanted
  if (text === null) return false
  switch (operator) {
    case 'StringEquals':
      return unguard(text) === actual
    case 'StringEqualsIgnoreCase':
      return unguard(text).toLowerCase() === actual.toLowerCase()
    case 'StringLike':
      return glob(text).test(actual)
    case 'ArnEquals':
    case 'ArnLike':
      return arnMatches(text, actual)
    case 'Bool':
      return wanted === actual
    case 'IpAddress': {
      const [base = '', bits = '32'] = wanted.split('/')
      const number = (address: string) => address.split('.').reduce((sum, part) => sum * 256n + BigInt(part), 0n)
      if (!/^\d+\.\d+\.\d+\.\d+$/.test(actual)) return false
      const shift = BigInt(32 - Number(bits))
      return number(base) >> shift === number(actual) >> shift
    }
  }
  const [, kind, comparison] = /^(Numeric|Date)(.*)$/.exec(operator) ?? []
  const measure = (value: string) => (kind === 'Date' ? Date.parse(value) : value === '' ? Number.NaN : Number(value))
  const [left, right] = [measure(actual), measure(wanted)]
  if (comparison === 'Equals') return left === right
  if (comparison === 'LessThan') return left < right
  if (comparison === 'LessThanEquals') return left <= right
  if (comparison === 'GreaterThan') return left > right
  if (comparison === 'GreaterThanEquals') return left >= right
  throw new Error(`unknown operator ${operator}`)
}

function conditionHolds(
  written: string,
  key: string,
  wanted: string[],
  request: Request,
  version: string,
  effect: string,
): boolean {
  const found = Object.entries(request.values).find(([name]) => name.toLowerCase() === key.toLowerCase())?.[1]
  const absent = found === undefined || (Array.isArray(found) && found.length === 0)
  const [, set, rest = ''] = /^(?:(ForAllValues|ForAnyValue):)?(.*)$/.exec(written) ?? []
  if (rest === 'Null') return wanted.includes(String(absent || found === ''))
  const ifExists = rest.endsWith('IfExists')
  const operator = ifExists ? rest.slice(0, -'IfExists'.length) : rest
  const negated = operator.includes('Not')
  const positive = operator.replace('Not', '')
  const holds = (actual: string) =>
    wanted.some(value => oneValue(positive, value, actual, request, version)) !== negated
  if (set === 'ForAllValues') return absent || [found].flat().every(actual => actual === '' || holds(actual))
  if (set === 'ForAnyValue') return absent ? ifExists : [found].flat().some(holds)
  if (absent) return ifExists || negated
  const held = [found].flat().map(holds)
  return effect === 'Allow' ? held.every(Boolean) : held.some(Boolean)
}

/** 'principal': the caller itself is named. 'account': its account is. */
function principalMatches(statement: PlainStatement, caller: Caller): 'principal' | 'account' | undefined {
  const named = (element: PlainStatement['Principal']) => {
    if (element === undefined) return { self: false, account: false, everyone: false }
    if (element === '*') return { self: false, account: false, everyone: true }
    const aws = list(element.AWS)
    return {
      everyone: aws.includes('*'),
      self: aws.includes(caller.arn) || list(element.Service).some(name => name === caller.servicePrincipal),
      account: aws.includes(caller.account) || aws.includes(`arn:aws:iam::${caller.account}:root`),
    }
  }
  if (statement.NotPrincipal !== undefined) {
    const not = named(statement.NotPrincipal)
    const viaService = list((statement.NotPrincipal as Record<string, Strings>).Service).includes(
      caller.servicePrincipal,
    )
    const spared = not.everyone || viaService || (caller.kind === 'root' ? not.account : not.self && not.account)
    return spared ? undefined : 'principal'
  }
  const is = named(statement.Principal)
  if (is.everyone || is.self || (is.account && caller.kind === 'root')) return 'principal'
  return is.account ? 'account' : undefined
}

function statementMatches(policy: PlainPolicy, statement: PlainStatement, request: Request): boolean {
  const { Action, NotAction, Resource, NotResource } = statement
  if ((Action ?? NotAction) === undefined || (Resource ?? NotResource) === undefined) return false
  const action = (patterns: Strings) => list(patterns).some(pattern => glob(pattern, 'i').test(request.action))
  if (Action !== undefined ? !action(Action) : action(NotAction ?? [])) return false
  const resource = (patterns: Strings) => resourceMatches(patterns, request, policy.Version)
  if (Resource !== undefined ? !resource(Resource) : resource(NotResource ?? [])) return false
  return Object.entries(statement.Condition ?? {}).every(([operator, block]) =>
    Object.entries(block).every(([key, values]) =>
      conditionHolds(operator, key, list(values), request, policy.Version, statement.Effect),
    ),
  )
}

interface PlainGrant {
  grantee: string
  operations: string[]
  equals?: [string, string][]
  subset?: [string, string][]
  sourceArn: string
}
/** What grants look at in a request. */
interface GrantFacts {
  context: Record<string, string>
  sourceArn: string | undefined
  /** Asked of CreateGrant. */
  child: PlainGrant
}

const NO_CONTEXT = ['DescribeKey', 'RetireGrant', 'CreateGrant']
const lowerPairs = (pairs: [string, string][]): string[] =>
  pairs.map(([name, value]) => `${name.toLowerCase()}=${value}`)

/** Equal as sets and in number. */
const equalPairs = (one: [string, string][], two: [string, string][]): boolean =>
  one.length === two.length && lowerPairs(one).sort().join(';') === lowerPairs(two).sort().join(';')
/** Every wanted pair is there, and no other value of its name. */
const hasPairs = (wanted: [string, string][], given: [string, string][]): boolean => {
  const [left, right] = [lowerPairs(wanted), lowerPairs(given)]
  const names = wanted.map(([name]) => name.toLowerCase())
  const ofThose = given.filter(([name]) => names.includes(name.toLowerCase()))
  return left.every(pair => right.includes(pair)) && lowerPairs(ofThose).every(pair => left.includes(pair))
}

/** aws-kms.md §12.5. */
function naiveGrant(
  grant: PlainGrant,
  { caller, action }: Request,
  { context, sourceArn, child }: GrantFacts,
): boolean {
  if (grant.grantee !== caller.arn && grant.grantee !== caller.servicePrincipal) return false
  const operation = action.replace('kms:', '')
  if (!grant.operations.includes(operation)) return false
  if (operation !== 'RetireGrant' && grant.sourceArn !== '' && grant.sourceArn !== sourceArn) return false
  if (operation === 'CreateGrant') {
    if (child.operations.some(each => !grant.operations.includes(each))) return false
    if (grant.sourceArn !== '' && child.sourceArn !== grant.sourceArn) return false
    if (grant.equals !== undefined) return child.equals !== undefined && equalPairs(grant.equals, child.equals)
    if (grant.subset === undefined) return true
    const pairs = child.equals ?? child.subset
    return pairs !== undefined && hasPairs(grant.subset, pairs)
  }
  if (NO_CONTEXT.includes(operation)) return true
  if (grant.equals !== undefined) return equalPairs(grant.equals, Object.entries(context))
  return grant.subset === undefined || hasPairs(grant.subset, Object.entries(context))
}

/** aws-kms.md §12.2, sentence by sentence. */
function naiveDecision(
  keyPolicy: PlainPolicy | undefined,
  identity: PlainPolicy[],
  request: Request,
  owner: string,
  granted: boolean,
) {
  const matching = (policy: PlainPolicy, effect: string) =>
    policy.Statement.filter(statement => statement.Effect === effect && statementMatches(policy, statement, request))
  const { caller } = request
  const keySays = (effect: string) =>
    keyPolicy === undefined ? [] : matching(keyPolicy, effect).map(statement => principalMatches(statement, caller))
  if (keySays('Deny').some(meets => meets !== undefined)) return false
  if (identity.some(policy => matching(policy, 'Deny').length > 0)) return false
  const identityAllows = caller.kind === 'root' || identity.some(policy => matching(policy, 'Allow').length > 0)
  const allows = keySays('Allow')
  const same = caller.account === owner
  if (keyPolicy === undefined) return same && identityAllows
  if (granted) return true
  if (same) return allows.includes('principal') || (allows.includes('account') && identityAllows)
  return allows.some(meets => meets !== undefined) && identityAllows
}

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
const ARNS = [ALICE, APP, SERVICE, STRANGER, `arn:aws:iam::${ACCOUNT}:root`, `arn:aws:iam::${OTHER}:root`]
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
    const names = some([...ARNS, ACCOUNT, OTHER, ...(chance(0.1) ? ['*'] : [])])
    return chance(0.15) ? { Service: 'objects.amazonaws.com', AWS: names } : { AWS: names }
  }
  const statement = (use: 'key' | 'identity'): PlainStatement => {
    const Effect = chance(0.7) ? 'Allow' : 'Deny'
    const made: PlainStatement = { Effect, Condition: condition(use) }
    if (use === 'key') {
      if (Effect === 'Deny' && chance(0.4)) made.NotPrincipal = principal()
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
    grantee: pick([...ARNS, 'objects.amazonaws.com']),
    operations: [...new Set([some(GRANTED)].flat())],
    ...(chance(0.3) ? { equals: pairs() } : chance(0.4) ? { subset: pairs() } : {}),
    sourceArn: chance(0.2) ? pick(SOURCES) : '',
  })
  const facts: GrantFacts = {
    context: Object.fromEntries(pairs()),
    sourceArn: chance(0.3) ? pick(SOURCES) : undefined,
    child: grant(),
  }
  const grants = Array.from({ length: Math.floor(random() * 5) }, grant)
  const keyPolicy = chance(0.9) ? policy('key') : undefined
  const arn = pick(ARNS)
  const identity = arn.endsWith(':root')
    ? []
    : Array.from({ length: Math.floor(random() * 3) }, () => policy('identity'))
  const values = Object.fromEntries(Object.entries(VALUES).map(([key, from]) => [key, pick(from)]))
  const caller = callerOf(
    arn,
    identity.map(text => compilePolicy('identity', policyBytes(text))),
  )
  const resource = keyPolicy === undefined ? pick(['*', ...KEYS]) : pick(KEYS)
  return {
    keyPolicy,
    identity,
    grants,
    facts,
    request: { caller, action: pick(ACTIONS), resource, values } satisfies Request,
  }
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

const CASES = 5_000

test('the compiled evaluator decides as the documented algorithm does', t => {
  const seed = Number(process.env.HOLDFAST_SEED ?? Math.floor(Math.random() * 2 ** 32))
  t.diagnostic(`seed ${seed}`)
  const random = generator(seed)
  let allowed = 0
  let granted = 0
  for (let number = 0; number < CASES; number++) {
    const { keyPolicy, identity, grants, facts, request } = makeCase(random)
    const { caller, resource } = request
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
    const byGrant = grants.some(grant => naiveGrant(grant, request, facts))
    const expected = naiveDecision(keyPolicy, identity, request, ACCOUNT, byGrant)
    if (expected && byGrant && !naiveDecision(keyPolicy, identity, request, ACCOUNT, false)) granted++
    if (expected) allowed++
    assert.equal(
      verdict === 'allowed',
      expected,
      `seed ${seed}, case ${number}: ${verdict}\n${JSON.stringify({ ...request, caller: caller.arn, keyPolicy, identity, grants, facts }, null, 1)}`,
    )
  }
  // Both answers must be common, or the comparison says little.
  assert.ok(allowed > CASES * 0.05 && allowed < CASES * 0.95, `${allowed} of ${CASES} allowed`)
  assert.ok(granted > CASES * 0.02, `${granted} of ${CASES} allowed by grants alone`)
})
