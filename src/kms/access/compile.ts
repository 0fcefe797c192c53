/**
 * Policies turned into closures, once for the same bytes; evaluating one allocates nothing. Statements are sorted by action the first time that
 * an action is asked for, so what does not concern it is not looked at again.
 */
import { createHash } from 'node:crypto'
import type { HeldRow } from '../../store/replica.ts'
import { type ConditionTest, compileCondition } from './conditions.ts'
import { type Listed, type PolicyDocument, type Principals, readPolicy, type Statement } from './document.ts'
import { compileArn, compileText, type TextMatcher } from './patterns.ts'
import { type Caller, type CompiledPolicy, POLICY_SAYS, type PolicySays, type PolicyUse } from './types.ts'

/** How a statement's Principal meets a caller: not at all, by naming the caller, its account, or its role. */
type Meets = 0 | 1 | 2 | 3
const NOT: Meets = 0
const ITSELF: Meets = 1
const ACCOUNT: Meets = 2
const ROLE: Meets = 3

interface CompiledStatement {
  readonly deny: boolean
  readonly action: TextMatcher
  readonly principal: (caller: Caller) => Meets
  /** Undefined: any resource. */
  readonly resource: TextMatcher | undefined
  readonly conditions: readonly ConditionTest[]
}

/** Actions are names of our own tables; this bounds what a mistake there could keep. */
const MAX_ACTIONS = 256

/** Compiles a policy that was read. Throws `MalformedPolicyError` where a value in it cannot be understood. */
export function compileDocument(use: PolicyUse, document: PolicyDocument, digest: Buffer): CompiledPolicy {
  const statements = document.statements
    .map(statement => compileStatement(use, statement, document.variables))
    .filter(statement => statement !== undefined)
  const byAction = new Map<string, readonly CompiledStatement[]>()
  const concerning = (action: string): readonly CompiledStatement[] => {
    const chosen = statements.filter(statement => statement.action(action, NO_CONTEXT))
    // Denials first: the first that holds ends the evaluation.
    chosen.sort((a, b) => Number(b.deny) - Number(a.deny))
    if (byAction.size < MAX_ACTIONS) byAction.set(action, chosen)
    return chosen
  }

  return {
    use,
    digest,
    evaluate(caller, action, resource, context): PolicySays {
      const chosen = byAction.get(action) ?? concerning(action)
      let says: PolicySays = POLICY_SAYS.nothing
      next: for (let i = 0; i < chosen.length; i++) {
        const statement = chosen[i] as CompiledStatement
        const meets = statement.principal(caller)
        if (meets === NOT) continue
        if (statement.resource !== undefined && !statement.resource(resource, context)) continue
        for (let c = 0; c < statement.conditions.length; c++) {
          if (!(statement.conditions[c] as ConditionTest)(context)) continue next
        }
        if (statement.deny) return POLICY_SAYS.deny
        if (meets === ITSELF) return POLICY_SAYS.allow
        if (meets === ROLE) says = POLICY_SAYS.allowRole
        else if (says === POLICY_SAYS.nothing) says = POLICY_SAYS.allowAccount
      }
      return says
    },
  }
}

const NO_CONTEXT = { get: () => undefined }

function compileStatement(use: PolicyUse, statement: Statement, variables: boolean): CompiledStatement | undefined {
  const { actions, resources, principals, effect } = statement
  const place = { use, effect, variables }
  const conditions = statement.conditions.map(condition => compileCondition(condition, place))
  const resource = resources === undefined ? undefined : listed(resources, text => resourcePattern(text, variables))
  // aws-kms.md §12.1: accepted, and without effect. A trust policy has no resource but its role.
  if (actions === undefined || (resources === undefined && use !== 'trust')) return undefined
  const anything = resources !== undefined && !resources.negated && resources.patterns.some(text => /^\*+$/.test(text))
  return {
    deny: effect === 'Deny',
    action: listed(actions, text => compileText(text.toLowerCase(), { wildcards: true, variables: false })),
    principal: principals === undefined ? () => ITSELF : compilePrincipals(principals),
    resource: anything ? undefined : resource,
    conditions,
  }
}

function resourcePattern(text: string, variables: boolean): TextMatcher {
  return compileArn(text, { variables, complete: true })
}

function listed(list: Listed, compile: (text: string) => TextMatcher): TextMatcher {
  const matchers = list.patterns.map(compile)
  const { negated } = list
  return (subject, context) => {
    for (const matches of matchers) if (matches(subject, context)) return !negated
    return negated
  }
}

/**
 * `*` names everyone. Naming a role names all of its sessions; naming a session names that one only. NotPrincipal (with Deny only) spares a caller
 * that is named together with its account, and a role's session only where the role is named too, as IAM demands: naming a user alone does not spare
 * it, because its account is a principal too.
 */
function compilePrincipals(principals: Principals): (caller: Caller) => Meets {
  const arns = new Set(principals.arns)
  const accounts = new Set(principals.accounts)
  const services = new Set(principals.services)
  const { everyone } = principals
  const asService = (caller: Caller) => caller.servicePrincipal !== '' && services.has(caller.servicePrincipal)
  if (principals.negated) {
    return caller => {
      if (everyone || asService(caller)) return NOT
      const byName = caller.kind === 'root' || (arns.has(caller.arn) && arns.has(caller.principalArn))
      return byName && accounts.has(caller.account) ? NOT : ITSELF
    }
  }
  return caller => {
    if (everyone || asService(caller)) return ITSELF
    // A role that calls with an access key of its own is limited like its sessions.
    if (arns.has(caller.arn)) return caller.kind === 'role' && caller.session === undefined ? ROLE : ITSELF
    if (arns.has(caller.principalArn)) return ROLE
    if (!accounts.has(caller.account)) return NOT
    return caller.kind === 'root' ? ITSELF : ACCOUNT
  }
}

/** What compiled policies may take of memory, by the bytes they were made from. */
const CACHE_BYTES = 16 * 1024 * 1024
const CACHE_OVERHEAD = 1024
const cache = new Map<string, { policy: CompiledPolicy; bytes: number }>()
let cachedBytes = 0

/**
 * The compiled policy of these bytes, from the cache where the same bytes were compiled before.
 * Throws `MalformedPolicyError` or `PolicyTooLargeError`; policies that were validated before they were stored never do.
 */
export function compilePolicy(use: PolicyUse, bytes: Buffer): CompiledPolicy {
  const digest = createHash('sha256').update(bytes).digest()
  const name = `${use}:${digest.toString('base64')}`
  const known = cache.get(name)
  if (known !== undefined) {
    // The most recently used is last.
    cache.delete(name)
    cache.set(name, known)
    return known.policy
  }
  const policy = compileDocument(use, readPolicy(use, bytes), digest)
  const size = bytes.length + CACHE_OVERHEAD
  cache.set(name, { policy, bytes: size })
  cachedBytes += size
  for (const [oldest, entry] of cache) {
    if (cachedBytes <= CACHE_BYTES) break
    cache.delete(oldest)
    cachedBytes -= entry.bytes
  }
  return policy
}

const ofRows = new WeakMap<object, CompiledPolicy>()

/** A policy that cannot be read allows nothing: nobody gains from a row that this version does not understand. */
const DENIES_ALL: CompiledPolicy = { use: 'key', digest: Buffer.alloc(32), evaluate: () => POLICY_SAYS.deny }

/**
 * The key policy of a verified row of kind `policy` (its body is the policy's bytes), kept for as long as a row with this body is. Never throws.
 */
export function keyPolicyOf(row: HeldRow): CompiledPolicy {
  const bytes = row.shared ?? row
  const known = ofRows.get(bytes)
  if (known !== undefined) return known
  let policy = DENIES_ALL
  try {
    if (row.body !== null) policy = compilePolicy('key', row.body)
  } catch {
    policy = DENIES_ALL
  }
  ofRows.set(bytes, policy)
  return policy
}
