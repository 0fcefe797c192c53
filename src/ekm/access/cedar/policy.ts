/**
 * The owner's policy in Cedar, as the rows hold it: each tenant's own, and that of the whole service, whose forbids hold for all. Nothing is allowed that no
 * policy of the caller's tenant permits, and a policy that cannot be read allows nothing.
 */
import { BoundaryError, type KeyHeader, type Row } from '../../../boundary/words.ts'
import type { Replica } from '../../../store/replica.ts'
import type { Call } from '../../core.ts'
import { actionOf } from '../operations.ts'
import { type Action, type Decision, isOwnKey, type Policy } from '../policy.ts'
import { CacheSpace } from './cache.ts'
import { CompiledPolicies } from './compiled.ts'
import type { KeyFacts } from './input.ts'
import { SERVICE_POLICY, starterPolicy } from './names.ts'

/** Tenants whose policies are held ready. */
const MAX_COMPILED = 1024
/** Characters of all cached decisions. */
const SPACE = 1 << 24

const WARM_CALLS = 20
const WARM = { protocol: 'xks', tenant: '/', credentialId: '', region: '', sourceIp: '', peerName: '' }
const WARM_KEY: KeyFacts = {
  id: '//',
  account: '/',
  spec: 'EXTERNAL_AES_256',
  backing: 'SEALED',
  mayEncrypt: true,
  mayDecrypt: true,
}

const DENIED: Decision = { allowed: false, policies: [] }

type MaybeRow = Row | null | undefined

/** A policy as it is in force: of which revisions, 0 for none, and ready unless it is broken. */
interface Held {
  readonly tenantRevision: number
  readonly serviceRevision: number
  readonly compiled: CompiledPolicies | undefined
}

export interface CedarPolicyOptions {
  readonly replica: Pick<Replica, 'get' | 'peek'>
  /** Real time in milliseconds since 1970. */
  readonly now: () => number
  /** For the operator's log: a policy that cannot be read. */
  readonly onDefect: (error: unknown) => void
}

export class CedarPolicy implements Policy {
  readonly #options: CedarPolicyOptions
  readonly #space = new CacheSpace(SPACE)
  readonly #held = new Map<string, Held>()

  constructor(options: CedarPolicyOptions) {
    this.#options = options
  }

  /**
   * Decides made-up calls, so that the library's code is compiled before the first real one: that one has a deadline. Call it before requests are answered.
   */
  warmUp(): void {
    const compiled = new CompiledPolicies({ tenant: starterPolicy(WARM.tenant), service: '' }, this.#space)
    for (let call = 0; call < WARM_CALLS; call++)
      compiled.decide(
        { operation: 'encrypt', caller: { ...WARM, principal: String(call) }, claims: {} },
        'wrap',
        WARM_KEY,
        0,
      )
    compiled.release()
  }

  /** Decisions in memory. */
  get cached(): number {
    let cached = 0
    for (const { compiled } of this.#held.values()) cached += compiled?.cached ?? 0
    return cached
  }

  decide(call: Call, action: Action, key: KeyHeader): Decision | Promise<Decision> {
    const { protocol, tenant } = call.caller
    if (actionOf(protocol, call.operation) !== action)
      throw new BoundaryError('Internal', `${protocol}:${call.operation} is not declared as ${action}`)
    if (!isOwnKey(call.caller, key)) return DENIED
    const { replica } = this.#options
    const mine = replica.peek('owner-policy', tenant)
    const all = replica.peek('owner-policy', SERVICE_POLICY)
    if (mine === undefined || all === undefined) return this.#afterReading(call, action, key)
    return this.#decide(call, action, key, mine, all)
  }

  async #afterReading(call: Call, action: Action, key: KeyHeader): Promise<Decision> {
    const { replica } = this.#options
    const mine = await replica.get('owner-policy', call.caller.tenant)
    const all = await replica.get('owner-policy', SERVICE_POLICY)
    // The first may have changed while the second was read.
    const latest = replica.peek('owner-policy', call.caller.tenant)
    return this.#decide(call, action, key, latest === undefined ? mine : latest, all)
  }

  #decide(call: Call, action: Action, key: KeyHeader, mine: MaybeRow, all: MaybeRow): Decision {
    const compiled = this.#compiled(call.caller.tenant, mine, all)
    if (compiled === undefined) throw new BoundaryError('Unavailable', 'the policy cannot be read')
    try {
      return compiled.decide(call, action, key, this.#options.now())
    } catch (error) {
      this.#options.onDefect(error)
      throw new BoundaryError('Unavailable', 'the policy cannot be evaluated')
    }
  }

  /** Undefined where a policy cannot be read; the operator is told once of each revision. */
  #compiled(tenant: string, mine: MaybeRow, all: MaybeRow): CompiledPolicies | undefined {
    const tenantRevision = mine?.revision ?? 0
    const serviceRevision = all?.revision ?? 0
    const held = this.#held.get(tenant)
    if (held?.tenantRevision === tenantRevision && held.serviceRevision === serviceRevision) return held.compiled
    this.#drop(tenant)
    const [oldest] = this.#held.keys()
    if (oldest !== undefined && this.#held.size >= MAX_COMPILED) this.#drop(oldest)
    let compiled: CompiledPolicies | undefined
    try {
      compiled = new CompiledPolicies({ tenant: textOf(mine), service: textOf(all) }, this.#space)
    } catch (error) {
      this.#options.onDefect(
        new BoundaryError('Internal', `the policy of ${tenant} or of the service: ${String(error)}`),
      )
    }
    this.#held.set(tenant, { tenantRevision, serviceRevision, compiled })
    return compiled
  }

  #drop(tenant: string): void {
    this.#held.get(tenant)?.compiled?.release()
    this.#held.delete(tenant)
  }
}

function textOf(row: MaybeRow): string | undefined {
  return row?.body?.toString('utf8')
}
