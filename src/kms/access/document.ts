/**
 * A policy document's shape: from bytes to statements, every element checked (IAM's JSON policy grammar). What it refuses it refuses with
 * `MalformedPolicyError`; whether principals exist is asked in `validate.ts`.
 */
import { type Condition, readOperator } from './conditions.ts'
import { type Json, JsonNumber, type JsonObject, readJson } from './json.ts'
import { quote } from './patterns.ts'
import { ACCOUNT_ID, readPrincipalArn, readSessionArn, SERVICE_NAME } from './principal-names.ts'
import { MalformedPolicyError, PolicyTooLargeError, type PolicyUse } from './types.ts'

/** Bytes of UTF-8: the most that a key policy and (AWS's higher quota) a trust policy can have; for identity policies that of a role's inline policies. */
export const POLICY_MAX_BYTES: Readonly<Record<PolicyUse, number>> = { key: 131_072, trust: 8_192, identity: 10_240 }

export interface Principals {
  /** NotPrincipal: everyone but these. */
  readonly negated: boolean
  readonly everyone: boolean
  /** ARNs of users, roles and sessions of roles. */
  readonly arns: readonly string[]
  /** Accounts, by id or by the ARN of their root. */
  readonly accounts: readonly string[]
  /** `objects.amazonaws.com`. */
  readonly services: readonly string[]
}

/** Action, NotAction, Resource or NotResource. */
export interface Listed {
  readonly negated: boolean
  readonly patterns: readonly string[]
}

export interface Statement {
  readonly effect: 'Allow' | 'Deny'
  /** Undefined in identity policies. */
  readonly principals: Principals | undefined
  /** Undefined: the statement lacks it and has no effect (key policies only). */
  readonly actions: Listed | undefined
  readonly resources: Listed | undefined
  readonly conditions: readonly Condition[]
}

export interface PolicyDocument {
  /** Version 2012-10-17: policy variables are read. */
  readonly variables: boolean
  readonly statements: readonly Statement[]
}

const DOCUMENT_ELEMENTS = new Set(['Version', 'Id', 'Statement'])
const STATEMENT_ELEMENTS = new Set([
  ...['Sid', 'Effect', 'Principal', 'NotPrincipal', 'Action', 'NotAction', 'Resource', 'NotResource', 'Condition'],
])
const VERSIONS = ['2008-10-17', '2012-10-17']
const ACTION = /^(?:\*|[A-Za-z0-9-]+:[A-Za-z0-9*?]+)$/

/** Reads a policy. O(bytes). */
export function readPolicy(use: PolicyUse, bytes: Buffer): PolicyDocument {
  const limit = POLICY_MAX_BYTES[use]
  if (bytes.length > limit) {
    throw new PolicyTooLargeError(`The policy has ${bytes.length} bytes; the limit is ${limit}.`)
  }
  const document = asObject(readJson(bytes), 'The policy')
  onlyKnown(document, DOCUMENT_ELEMENTS)
  const version = document.get('Version')
  if (version !== undefined && (typeof version !== 'string' || !VERSIONS.includes(version))) {
    throw new MalformedPolicyError(`The policy must contain a valid version string: ${VERSIONS.join(' or ')}.`)
  }
  optionalString(document, 'Id')
  const written = document.get('Statement')
  if (written === undefined) throw new MalformedPolicyError('The policy has no Statement element.')
  const statements = (Array.isArray(written) ? (written as readonly Json[]) : [written]).map(statement =>
    readStatement(use, asObject(statement, 'A statement')),
  )
  if (statements.length === 0) throw new MalformedPolicyError('The policy has no statements.')
  if (use === 'identity') uniqueSids(written)
  return { variables: version === '2012-10-17', statements }
}

function readStatement(use: PolicyUse, statement: JsonObject): Statement {
  onlyKnown(statement, STATEMENT_ELEMENTS)
  const sid = optionalString(statement, 'Sid')
  if (use === 'identity' && sid !== undefined && !/^[A-Za-z0-9]*$/.test(sid)) {
    throw new MalformedPolicyError('Statement IDs (SID) must be alpha-numeric.')
  }
  const effect = statement.get('Effect')
  if (effect !== 'Allow' && effect !== 'Deny') {
    throw new MalformedPolicyError('Every statement needs the Effect "Allow" or "Deny".')
  }
  const actions = readListed(statement, 'Action')
  const resources = readListed(statement, 'Resource')
  if (use === 'identity') {
    if (actions === undefined) throw new MalformedPolicyError('Policy statement must contain actions.')
    if (resources === undefined) throw new MalformedPolicyError('Policy statement must contain resources.')
  }
  if (use === 'trust') {
    if (actions === undefined) throw new MalformedPolicyError('Policy statement must contain actions.')
    if (resources !== undefined) throw new MalformedPolicyError('Has prohibited field Resource.')
  }
  for (const action of actions?.patterns ?? []) {
    if (!ACTION.test(action)) {
      throw new MalformedPolicyError(`Actions must be "*" or prefaced by a vendor, e.g., kms: ${quote(action)}.`)
    }
  }
  return {
    effect,
    principals: readPrincipalElement(use, statement, effect),
    actions,
    resources,
    conditions: readConditions(statement.get('Condition')),
  }
}

function readListed(statement: JsonObject, name: 'Action' | 'Resource'): Listed | undefined {
  const [written, negated] = either(statement, name)
  return written === undefined ? undefined : { negated, patterns: strings(written, name) }
}

function readPrincipalElement(use: PolicyUse, statement: JsonObject, effect: string): Principals | undefined {
  const [written, negated] = either(statement, 'Principal')
  if (use === 'identity') {
    if (written !== undefined) throw new MalformedPolicyError('Policy document should not specify a principal.')
    return undefined
  }
  if (written === undefined) throw new MalformedPolicyError(`Every statement of a ${use} policy needs a Principal.`)
  if (negated && effect === 'Allow') {
    throw new MalformedPolicyError(
      'NotPrincipal with the Effect "Allow" would allow everyone else; it is not supported.',
    )
  }
  const none = { negated, everyone: false, arns: [], accounts: [], services: [] }
  if (written === '*') return { ...none, everyone: true }
  if (typeof written === 'string') throw invalidPrincipal(written)
  const arns: string[] = []
  const accounts: string[] = []
  const services: string[] = []
  let everyone = false
  const types = asObject(written, 'Principal')
  if (types.size === 0) throw new MalformedPolicyError('Principal names nobody.')
  for (const [type, value] of types) {
    if (type !== 'AWS' && type !== 'Service') throw invalidPrincipal(type)
    for (const name of strings(value, 'Principal')) {
      const known = type === 'AWS' ? readPrincipalArn(name) : undefined
      if (type === 'Service' && SERVICE_NAME.test(name)) services.push(name)
      else if (type === 'AWS' && name === '*') everyone = true
      else if (type === 'AWS' && ACCOUNT_ID.test(name)) accounts.push(name)
      else if (known?.kind === 'root') accounts.push(known.account)
      else if (known !== undefined || (type === 'AWS' && readSessionArn(name) !== undefined)) arns.push(name)
      else throw invalidPrincipal(name)
    }
  }
  return { negated, everyone, arns, accounts, services }
}

export function invalidPrincipal(name: string): MalformedPolicyError {
  return new MalformedPolicyError(`Policy contains a statement with one or more invalid principals: ${quote(name)}.`)
}

function readConditions(written: Json | undefined): Condition[] {
  if (written === undefined) return []
  const conditions: Condition[] = []
  for (const [operator, block] of asObject(written, 'Condition')) {
    const read = readOperator(operator)
    for (const [key, value] of asObject(block, `Condition ${quote(operator)}`)) {
      if (!/^[A-Za-z0-9-]+:./.test(key)) {
        throw new MalformedPolicyError(`Condition keys must be prefaced by a vendor, e.g., aws or kms: ${quote(key)}.`)
      }
      conditions.push({ ...read, key, values: strings(value, `Condition ${quote(key)}`, true) })
    }
  }
  return conditions
}

/** The element or its Not… form; having both is refused. */
function either(statement: JsonObject, name: string): [written: Json | undefined, negated: boolean] {
  const plain = statement.get(name)
  const not = statement.get(`Not${name}`)
  if (plain !== undefined && not !== undefined) {
    throw new MalformedPolicyError(`A statement cannot have both ${name} and Not${name}.`)
  }
  return plain !== undefined ? [plain, false] : [not, true]
}

/** A string, or a list of at least one. Conditions take numbers and booleans too, as written. */
function strings(written: Json, name: string, scalars = false): string[] {
  const items = Array.isArray(written) ? (written as readonly Json[]) : [written as Json]
  if (items.length === 0) throw new MalformedPolicyError(`${name} is an empty list.`)
  return items.map(item => {
    if (typeof item === 'string') return item
    if (scalars && typeof item === 'boolean') return String(item)
    if (scalars && item instanceof JsonNumber) return item.text
    throw new MalformedPolicyError(`${name} must be a string or a list of strings.`)
  })
}

function asObject(written: Json, name: string): JsonObject {
  if (written instanceof Map) return written
  throw new MalformedPolicyError(`${name} must be a JSON object.`)
}

function optionalString(members: JsonObject, name: string): string | undefined {
  const value = members.get(name)
  if (value !== undefined && typeof value !== 'string') throw new MalformedPolicyError(`${name} must be a string.`)
  return value
}

function onlyKnown(members: JsonObject, known: ReadonlySet<string>): void {
  for (const name of members.keys()) {
    if (!known.has(name)) throw new MalformedPolicyError(`Syntax errors in policy: unknown element ${quote(name)}.`)
  }
}

function uniqueSids(written: Json): void {
  const seen = new Set<Json>()
  for (const statement of Array.isArray(written) ? (written as readonly JsonObject[]) : []) {
    const sid = statement.get('Sid')
    if (sid === undefined || sid === '') continue
    if (seen.has(sid)) throw new MalformedPolicyError('Statement IDs (SID) in a single policy must be unique.')
    seen.add(sid)
  }
}
