// biome-ignore-all lint/suspicious/noTemplateCurlyInString: policy variables are written like that
// biome-ignore-all lint/suspicious/noControlCharactersInRegex: they guard what comes from values
/**
 * For `differential.slow.test.ts`: a second evaluator, written from IAM's documented algorithm in the plainest way: text policies, regular expressions,
 * no sharing of code with the first.
 */
import type { ConditionValue } from './types.ts'

export type Strings = string | string[]
export interface PlainStatement {
  Effect: 'Allow' | 'Deny'
  Principal?: '*' | Record<string, Strings>
  NotPrincipal?: '*' | Record<string, Strings>
  Action?: Strings
  NotAction?: Strings
  Resource?: Strings
  NotResource?: Strings
  Condition?: Record<string, Record<string, Strings>>
}
export interface PlainPolicy {
  Version: string
  Statement: PlainStatement[]
}
/** A caller as its administrator sees it. */
export interface Who {
  principal: string
  account: string
  /** Short name; of a role through which a service calls. */
  service: string
  policies: PlainPolicy[]
  groups: PlainPolicy[][]
  boundary: PlainPolicy | undefined
  session: { arn: string; name: string; policy: PlainPolicy | undefined } | undefined
}
export interface Request {
  action: string
  resource: string
  /** By the condition key as policies write it. */
  values: Record<string, ConditionValue>
}
/** What a request and its key have to do with several Regions. */
export interface PlainRegions {
  /** The key that the request names; ONE: of one Region. */
  key: 'ONE' | 'PRIMARY' | 'REPLICA' | undefined
  /** The key that it asks for. */
  made: 'ONE' | 'PRIMARY' | 'REPLICA' | undefined
  /** Regions that it names: ReplicateKey's, UpdatePrimaryRegion's. */
  replica: string | undefined
  primary: string | undefined
}

/** The condition keys of keys of several Regions, as AWS describes each: of the key that is made, else of the one that is named. */
export function naiveRegions({ key, made, replica, primary }: PlainRegions): Record<string, ConditionValue> {
  const subject = made ?? key
  return {
    'kms:MultiRegion': subject && String(subject !== 'ONE'),
    'kms:MultiRegionKeyType': subject === 'ONE' ? undefined : subject,
    'kms:ReplicaRegion': replica,
    'kms:PrimaryRegion': primary,
  }
}

const list = (value: Strings | undefined): string[] => (value === undefined ? [] : [value].flat())

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

/** 'principal': the caller itself is named, or everyone. 'role': the role of which the caller is a session, or as which it calls. 'account': its account. */
function principalMatches(statement: PlainStatement, who: Who): 'principal' | 'role' | 'account' | undefined {
  const isRole = who.principal.includes(':role/') && who.service === ''
  const named = (element: PlainStatement['Principal']) => {
    if (element === undefined) return { everyone: false, self: false, role: false, account: false }
    if (element === '*') return { everyone: true, self: false, role: false, account: false }
    const aws = list(element.AWS)
    const asService = list(element.Service).some(name => name === `${who.service}.amazonaws.com`)
    return {
      everyone: aws.includes('*') || asService,
      self: who.session === undefined ? !isRole && aws.includes(who.principal) : aws.includes(who.session.arn),
      role: isRole && aws.includes(who.principal),
      account: aws.includes(who.account) || aws.includes(`arn:aws:iam::${who.account}:root`),
    }
  }
  const isRoot = who.principal.endsWith(':root')
  if (statement.NotPrincipal !== undefined) {
    const not = named(statement.NotPrincipal)
    const itself = who.session === undefined ? not.self || not.role : not.self && not.role
    return not.everyone || (not.account && (isRoot || itself)) ? undefined : 'principal'
  }
  const is = named(statement.Principal)
  if (is.everyone || is.self || (is.account && isRoot)) return 'principal'
  if (is.role) return 'role'
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

export interface PlainGrant {
  grantee: string
  operations: string[]
  equals?: [string, string][]
  subset?: [string, string][]
  sourceArn: string
}
/** What grants look at in a request. */
export interface GrantFacts {
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
export function naiveGrant(
  grant: PlainGrant,
  who: Who,
  { action }: Request,
  { context, sourceArn, child }: GrantFacts,
): boolean {
  const names = [who.session?.arn, who.principal, who.service === '' ? undefined : `${who.service}.amazonaws.com`]
  if (!names.includes(grant.grantee)) return false
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

/**
 * aws-kms.md §12.2 and IAM's policy evaluation logic, sentence by sentence: an explicit deny anywhere wins. A permissions boundary and a session policy must
 * allow too, unless the resource's policy, in the same account, names the user or the session itself (or everyone).
 */
export function naiveDecision(
  keyPolicy: PlainPolicy | undefined,
  who: Who,
  request: Request,
  owner: string,
  granted: boolean,
) {
  const matching = (policy: PlainPolicy, effect: string) =>
    policy.Statement.filter(statement => statement.Effect === effect && statementMatches(policy, statement, request))
  const says = (policies: PlainPolicy[], effect: string) => policies.some(policy => matching(policy, effect).length > 0)
  const keySays = (effect: string) =>
    keyPolicy === undefined ? [] : matching(keyPolicy, effect).map(statement => principalMatches(statement, who))
  const identity = [...who.policies, ...who.groups.flat()]
  const limits = [who.boundary, who.session?.policy].filter(policy => policy !== undefined)
  if (keySays('Deny').some(meets => meets !== undefined)) return false
  if (says([...identity, ...limits], 'Deny')) return false
  const identityAllows = who.principal.endsWith(':root') || says(identity, 'Allow')
  const limitsAllow = limits.every(policy => says([policy], 'Allow'))
  const allows = keySays('Allow')
  const same = who.account === owner
  if (keyPolicy === undefined) return same && identityAllows && limitsAllow
  if (same && allows.includes('principal')) return true
  if (same && allows.includes('role') && limitsAllow) return true
  if (allows.some(meets => meets !== undefined) && identityAllows && limitsAllow) return true
  return granted && limitsAllow
}
