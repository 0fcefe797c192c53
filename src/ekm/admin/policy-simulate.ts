/**
 * A policy that is not in force yet, tried on what stands in the log: which uses of the past it would have denied, and which it would have allowed that were
 * denied. Keys are taken as they are now; claims and times as they were recorded.
 */

import { readKeyHeader } from '../../boundary/crypto/sealed.ts'
import { decodeRecord } from '../../boundary/record.ts'
import type { KeyHeader } from '../../boundary/words.ts'
import { currentRow, type ReadControl } from '../../store/admin.ts'
import { CacheSpace } from '../access/cedar/cache.ts'
import { CompiledPolicies } from '../access/cedar/compiled.ts'
import { SERVICE_POLICY } from '../access/cedar/names.ts'
import { type PastCall, pastCall } from '../access/cedar/record.ts'
import { type Decision, isOwnKey } from '../access/policy.ts'
import { policiesInForce } from './policy-explain.ts'

/** An entry of the log. Its record may be a view that is valid until the next one is asked for. */
export interface LogEntry {
  readonly seq: number
  readonly time: number
  readonly record: Buffer
}

export interface Simulation {
  /** The tenant whose policy it is to be, or `*`. */
  readonly policy: string
  readonly text: string
  readonly entries: AsyncIterable<LogEntry>
  /** Milliseconds since 1970 before which entries do not count. */
  readonly since: number
  readonly onProgress: (entries: number) => void
}

/** Uses that are alike: same operation, key, peer, claimed principal and reason, decided by the same policies. */
export interface Group {
  readonly action: string
  readonly key: string
  readonly principal: string
  readonly claimedPrincipal: string
  readonly reason: string
  /** Of the new policy; empty where nothing permits it. */
  readonly policies: readonly string[]
  /** What the new policy would have revoked with it. */
  readonly revoke: Decision['revoke']
  count: number
  /** Number of its first entry, and the times of the first and the last. */
  readonly entry: number
  readonly first: number
  last: number
}

export interface Changes {
  readonly count: number
  /** The most frequent first. */
  readonly groups: readonly Group[]
  /** Uses in groups that are not shown, because there are too many of them. */
  readonly more: number
}

export interface Outcome {
  readonly policy: string
  /** Entries that were read. */
  readonly entries: number
  /** Those that policy had been asked about, and the tenant's. */
  readonly uses: number
  readonly stillAllowed: number
  readonly stillDenied: number
  readonly wouldBeDenied: Changes
  readonly wouldBeAllowed: Changes
  /** Uses of keys that are not there any more. */
  readonly unknownKeys: number
}

const MAX_GROUPS = 10_000
const PROGRESS_EVERY = 1000
const SPACE = 1 << 24

export async function simulate(control: ReadControl, simulation: Simulation): Promise<Outcome> {
  const policies = new Policies(control, simulation)
  const denied = new Grouped()
  const allowed = new Grouped()
  let entries = 0
  let uses = 0
  let stillAllowed = 0
  let stillDenied = 0
  let unknownKeys = 0
  for await (const { seq, time, record } of simulation.entries) {
    if (++entries % PROGRESS_EVERY === 0) simulation.onProgress(entries)
    if (time < simulation.since) continue
    const past = pastCall(decodeRecord(record))
    if (past === undefined) continue
    const { tenant } = past.asked.caller
    if (simulation.policy !== SERVICE_POLICY && simulation.policy !== tenant) continue
    uses++
    const key = await policies.key(past.key)
    if (key === undefined) {
      unknownKeys++
      continue
    }
    const compiled = await policies.of(tenant)
    const decision = isOwnKey(past.asked.caller, key)
      ? compiled.decide(past.asked, past.action, key, time)
      : { allowed: false, policies: [] }
    if (decision.allowed === past.allowed) {
      if (past.allowed) stillAllowed++
      else stillDenied++
    } else (decision.allowed ? allowed : denied).add(past, decision, seq, time)
  }
  policies.release()
  return {
    policy: simulation.policy,
    entries,
    uses,
    stillAllowed,
    stillDenied,
    wouldBeDenied: denied.changes(),
    wouldBeAllowed: allowed.changes(),
    unknownKeys,
  }
}

/** What decides in each tenant, with the new text in its place; and keys, each asked for once. */
class Policies {
  readonly #control: ReadControl
  readonly #simulation: Simulation
  readonly #space = new CacheSpace(SPACE)
  readonly #compiled = new Map<string, CompiledPolicies>()
  readonly #keys = new Map<string, KeyHeader | undefined>()

  constructor(control: ReadControl, simulation: Simulation) {
    this.#control = control
    this.#simulation = simulation
  }

  async of(tenant: string): Promise<CompiledPolicies> {
    let compiled = this.#compiled.get(tenant)
    if (compiled === undefined) {
      const { policy, text } = this.#simulation
      const inForce = await policiesInForce(this.#control, tenant)
      compiled = new CompiledPolicies(
        { ...inForce, [policy === SERVICE_POLICY ? 'service' : 'tenant']: text },
        this.#space,
      )
      this.#compiled.set(tenant, compiled)
    }
    return compiled
  }

  async key(id: string): Promise<KeyHeader | undefined> {
    if (!this.#keys.has(id)) {
      const row = await currentRow(this.#control, 'key', id)
      this.#keys.set(id, row?.body ? readKeyHeader(row.body) : undefined)
    }
    return this.#keys.get(id)
  }

  release(): void {
    for (const compiled of this.#compiled.values()) compiled.release()
  }
}

class Grouped {
  readonly #groups = new Map<string, Group>()
  #count = 0
  #more = 0

  add({ asked, key }: PastCall, { policies, revoke }: Decision, entry: number, time: number): void {
    const { caller, claims, operation } = asked
    const action = `${caller.protocol}:${operation}`
    const principal = `${caller.protocol}:${caller.principal}`
    const claimedPrincipal = claims.principal ?? ''
    const reason = claims.reason ?? ''
    const name = JSON.stringify([action, key, principal, claimedPrincipal, reason, policies])
    this.#count++
    const known = this.#groups.get(name)
    if (known !== undefined) {
      known.count++
      known.last = time
    } else if (this.#groups.size >= MAX_GROUPS) this.#more++
    else {
      const last = time
      const group = {
        action,
        key,
        principal,
        claimedPrincipal,
        reason,
        policies,
        revoke,
        count: 1,
        entry,
        first: time,
        last,
      }
      this.#groups.set(name, group)
    }
  }

  changes(): Changes {
    const groups = [...this.#groups.values()].sort((a, b) => b.count - a.count || a.entry - b.entry)
    return { count: this.#count, groups, more: this.#more }
  }
}
