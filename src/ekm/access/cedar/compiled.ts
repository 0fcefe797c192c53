/**
 * The policies that one tenant's calls are decided by, ready to be asked: its own, and the forbids of the whole service. Parsed once, and never changed: another
 * policy is another of these, with decisions of its own.
 */
import type { Action, Decision, RevokeScope } from '../policy.ts'
import { type CacheSpace, DecisionCache } from './cache.ts'
import { PolicySet, type Verdict } from './engine.ts'
import { type Asked, CONTEXT, type ContextField, contextOf, type KeyFacts } from './input.ts'
import { FAILED_PREFIX, REVOKE_SCOPES, SERVICE_PREFIX } from './names.ts'
import { readsOf, type ScannedPolicy, scan } from './scan.ts'

export interface PolicyTexts {
  /** Undefined where the tenant has none: nothing is allowed. */
  readonly tenant: string | undefined
  readonly service: string | undefined
}

export interface NamedPolicy {
  /** As in records. */
  readonly id: string
  readonly policy: ScannedPolicy
}

/** The id that a policy has been given, or its place in the file, from 1. */
export function idOf(policy: ScannedPolicy, index: number): string {
  return policy.annotations.find(({ name }) => name === 'id')?.value ?? `policy${index + 1}`
}

export function named(text: string, prefix = ''): NamedPolicy[] {
  return scan(text).map((policy, index) => ({ id: prefix + idOf(policy, index), policy }))
}

const DENIED: Decision = { allowed: false, policies: [] }

export class CompiledPolicies {
  readonly policies: readonly NamedPolicy[]
  readonly #set: PolicySet
  readonly #reads: readonly ContextField[]
  readonly #revokes = new Map<string, RevokeScope>()
  readonly #decisions: DecisionCache<Decision>

  /** Throws where a text does not parse, gives one id twice, or permits for the whole service. */
  constructor({ tenant, service }: PolicyTexts, space: CacheSpace) {
    this.policies = [...named(tenant ?? ''), ...named(service ?? '', SERVICE_PREFIX)]
    const texts: Record<string, string> = Object.create(null)
    for (const { id, policy } of this.policies) {
      if (id in texts) throw new Error(`two policies have the id ${id}`)
      // Checked when it was set, too. A permit there would allow what no tenant has permitted.
      if (id.startsWith(SERVICE_PREFIX) && policy.effect !== 'forbid') throw new Error(`${id} does not forbid`)
      texts[id] = policy.text
      const scope = scopeOf(policy, id.startsWith(SERVICE_PREFIX))
      if (scope !== undefined) this.#revokes.set(id, scope)
    }
    this.#reads = readsOf(this.policies.map(({ policy }) => policy))
    this.#set = new PolicySet(texts)
    this.#decisions = new DecisionCache(space)
  }

  get cached(): number {
    return this.#decisions.entries
  }

  /** `now`: milliseconds since 1970. Throws where Cedar cannot evaluate. */
  decide(asked: Asked, action: Action, key: KeyFacts, now: number): Decision {
    const input = this.#inputOf(asked, key, now)
    const known = this.#decisions.get(input)
    if (known !== undefined) return known
    const decision = this.#decision(this.#set.evaluate(asked, action, key, contextOf(asked, now, this.#reads)))
    this.#decisions.set(input, decision)
    return decision
  }

  release(): void {
    this.#decisions.close()
    this.#set.release()
  }

  /**
   * Everything that the decision can depend on, with lengths before what strangers choose, so that no two inputs look alike: operation (whose action is
   * fixed), peer, key, and those fields of the context that the policies read.
   */
  #inputOf(asked: Asked, key: KeyFacts, now: number): string {
    const { protocol, tenant, principal, credentialId, peerName } = asked.caller
    let input = `${protocol}:${asked.operation} ${tenant} ${factsOf(key)}`
    input += sized(principal) + sized(credentialId) + sized(peerName)
    for (const name of this.#reads) input += sized(CONTEXT[name].raw(asked, now) ?? '')
    return input
  }

  /** A policy that could not be evaluated might have forbidden it. */
  #decision({ allowed, decided, failed }: Verdict): Decision {
    if (failed.length > 0) return { allowed: false, policies: failed.map(id => FAILED_PREFIX + id) }
    if (allowed) return { allowed: true, policies: decided }
    if (decided.length === 0) return DENIED
    let revoke: Decision['revoke']
    for (const policy of decided) {
      const scope = this.#revokes.get(policy)
      if (scope === undefined) continue
      if (revoke === undefined || REVOKE_SCOPES.indexOf(scope) > REVOKE_SCOPES.indexOf(revoke.scope))
        revoke = { scope, policy }
    }
    return { allowed: false, policies: decided, ...(revoke === undefined ? {} : { revoke }) }
  }
}

/** What a forbid orders to revoke. A protocol is no one tenant's to revoke. */
function scopeOf({ effect, annotations }: ScannedPolicy, service: boolean): RevokeScope | undefined {
  const value = annotations.find(({ name }) => name === 'revoke')?.value
  const scope = REVOKE_SCOPES.find(each => each === value)
  return effect !== 'forbid' || (scope === 'protocol' && !service) ? undefined : scope
}

function sized(value: string | number): string {
  const text = typeof value === 'string' ? value : String(value)
  return `${text.length}:${text}`
}

const facts = new WeakMap<KeyFacts, string>()

function factsOf(key: KeyFacts): string {
  let text = facts.get(key)
  if (text === undefined) {
    const { id, account, spec, backing, mayEncrypt, mayDecrypt } = key
    text = `${sized(id)}${sized(account)} ${spec} ${backing} ${mayEncrypt} ${mayDecrypt} `
    facts.set(key, text)
  }
  return text
}
