/**
 * Rules of the owner's that revoke by themselves: a rate of unwraps far above the usual, or an account that nobody has named. They see every use that the
 * policy has allowed, before it is done; the use that trips one is refused. What they revoke only the owner restores.
 */
import type { RevokeTarget } from '../../boundary/client/api.ts'
import { ofTenant } from '../../boundary/service/keys/switches.ts'
import type { Call } from '../core.ts'
import { keyRowId } from '../keys/names.ts'
import type { Action } from './policy.ts'

/** What a rule counts for, and what it revokes. */
export const RULE_SCOPES = ['key', 'principal', 'tenant'] as const
export type RuleScope = (typeof RULE_SCOPES)[number]

export interface RateRule {
  readonly kind: 'unwrap-rate'
  readonly name: string
  readonly per: RuleScope
  readonly windowSeconds: number
  /** Unwraps in a window below which it never trips. */
  readonly atLeast: number
  /** How many times the usual of earlier windows trips it. */
  readonly factor: number
  readonly revoke: RuleScope
}

export interface AccountRule {
  readonly kind: 'unknown-account'
  readonly name: string
  /** Only these; a use for any other account trips, one whose provider names none does not. */
  readonly known: readonly string[]
  /** Tenants that it is for; empty: all. */
  readonly tenants: readonly string[]
  readonly revoke: RuleScope
}

export type Rule = RateRule | AccountRule

export interface Trip {
  readonly rule: string
  readonly target: RevokeTarget
  /** What was seen, for the log. */
  readonly evidence: string
}

/** Subjects that one rule counts for. The one that was seen longest ago goes first, and with it what was usual for it. */
const MAX_SUBJECTS = 10_000
/** Weight of the latest whole window in what is usual. */
const WEIGHT = 0.2

interface Count {
  /** Number of the window that `count` is of. */
  window: number
  count: number
  usual: number
}

export class Rules {
  readonly #rates: readonly { readonly rule: RateRule; readonly counts: Map<string, Count> }[]
  readonly #accounts: readonly { readonly rule: AccountRule; readonly known: ReadonlySet<string> }[]
  readonly #now: () => number

  /** `now`: milliseconds of a monotonic clock. */
  constructor(rules: readonly Rule[], now: () => number = () => performance.now()) {
    this.#rates = rules.filter(rule => rule.kind === 'unwrap-rate').map(rule => ({ rule, counts: new Map() }))
    this.#accounts = rules
      .filter(rule => rule.kind === 'unknown-account')
      .map(rule => ({ rule, known: new Set(rule.known) }))
    this.#now = now
  }

  /** What a use that is about to be done trips; undefined for nearly all. */
  observe(call: Call, action: Action): Trip | undefined {
    for (const { rule, known } of this.#accounts) {
      const { account } = call.claims
      if (account === undefined || known.has(account)) continue
      if (rule.tenants.length > 0 && !rule.tenants.includes(call.caller.tenant)) continue
      return trip(rule, call, `a use for the account ${account}, which is not a known one`)
    }
    if (action !== 'unwrap') return undefined
    for (const { rule, counts } of this.#rates) {
      const window = Math.floor(this.#now() / (rule.windowSeconds * 1000))
      const count = counted(counts, subjectOf(rule.per, call), window)
      const bound = Math.max(rule.atLeast, rule.factor * count.usual)
      if (count.count <= bound) continue
      const usual = count.usual.toFixed(1)
      return trip(
        rule,
        call,
        `${count.count} unwraps per ${rule.per} in ${rule.windowSeconds} s, where ${usual} were usual`,
      )
    }
    return undefined
  }
}

/** Counts one more, and moves what is usual on over the windows that have passed. */
function counted(counts: Map<string, Count>, subject: string, window: number): Count {
  const count = counts.get(subject) ?? { window, count: 0, usual: 0 }
  // Put back at the end, so that the first is the one that was seen longest ago.
  counts.delete(subject)
  counts.set(subject, count)
  if (counts.size > MAX_SUBJECTS) counts.delete(counts.keys().next().value as string)
  if (count.window !== window) {
    const passed = window - count.window
    count.usual = ((1 - WEIGHT) * count.usual + WEIGHT * count.count) * (1 - WEIGHT) ** (passed - 1)
    count.window = window
    count.count = 0
  }
  count.count++
  return count
}

function subjectOf(scope: RuleScope, { caller, keyId }: Call): string {
  if (scope === 'key') return keyRowId(caller.tenant, keyId)
  return scope === 'tenant' ? caller.tenant : `${caller.protocol}:${caller.principal}`
}

function trip(rule: Rule, call: Call, evidence: string): Trip {
  return { rule: rule.name, target: targetOf(rule.revoke, call), evidence }
}

/** What is revoked of a call: its key, whoever authenticated, or the tenant. */
export function targetOf(scope: RuleScope | 'protocol', { caller, keyId }: Call): RevokeTarget {
  switch (scope) {
    case 'key':
      return { key: keyRowId(caller.tenant, keyId) }
    case 'principal':
      // One tenant's rule never stops a principal that another tenant shares.
      return { principal: ofTenant(caller.tenant, caller.principal) }
    case 'tenant':
      return { tenant: caller.tenant }
    case 'protocol':
      return { protocol: caller.protocol }
  }
}
