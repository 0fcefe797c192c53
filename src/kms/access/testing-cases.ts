// biome-ignore-all lint/suspicious/noTemplateCurlyInString: policy variables are written like that
/** For `differential.slow.test.ts`: random policies, callers, grants and requests. */
import { ACCOUNT, OTHER } from './testing.ts'
import {
  type GrantFacts,
  naiveRegions,
  type PlainGrant,
  type PlainPolicy,
  type PlainRegions,
  type PlainStatement,
  type Request,
  type Strings,
  type Who,
} from './testing-naive.ts'
import type { ConditionValue } from './types.ts'

/** Mulberry32: small, and the same everywhere. */
export function generator(seed: number): () => number {
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
const REGIONS = [undefined, 'eu-north-1', 'eu-west-1', 'us-east-1']
const CONDITION_KEYS = [
  ...Object.keys(VALUES),
  ...['kms:MultiRegion', 'kms:MultiRegionKeyType', 'kms:ReplicaRegion', 'kms:PrimaryRegion'],
]
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
    'PRIMARY',
    'replica',
    'eu-*-1',
    'us-east-1',
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
  'kms:MultiRegion': 'Bool',
  'aws:SourceIp': 'IpAddress',
  'aws:PrincipalArn': 'Arn',
}

export function makeCase(random: () => number) {
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T
  const some = (from: readonly string[]): Strings =>
    random() < 0.5 ? pick(from) : Array.from({ length: 1 + Math.floor(random() * 3) }, () => pick(from))
  const chance = (probability: number) => random() < probability

  const condition = (use: 'key' | 'identity'): Record<string, Record<string, Strings>> => {
    const made: Record<string, Record<string, Strings>> = {}
    for (let i = Math.floor(random() * 3); i > 0; i--) {
      const key = pick(CONDITION_KEYS)
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
  const keys = [undefined, 'ONE', 'PRIMARY', 'REPLICA'] as const
  const regions: PlainRegions = {
    key: pick(keys),
    made: chance(0.3) ? pick(keys) : undefined,
    replica: pick(REGIONS),
    primary: pick(REGIONS),
  }
  const plain = Object.fromEntries(Object.entries(VALUES).map(([key, from]) => [key, pick(from)]))
  const values = { ...plain, ...naiveRegions(regions) }
  const resource = keyPolicy === undefined ? pick(['*', ...KEYS]) : pick(KEYS)
  const request: Request = { action: pick(ACTIONS), resource, values }
  return { keyPolicy, who, grants, facts, regions, request }
}

const GRANTED = ['Encrypt', 'Decrypt', 'DescribeKey', 'CreateGrant', 'RetireGrant']
const SOURCES = ['arn:aws:s3:eu-north-1:111122223333:one', 'arn:aws:s3:eu-north-1:111122223333:two']
