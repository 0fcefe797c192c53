/**
 * Who may begin: a rate and a number of requests under way for each tenant, and nothing more for a tenant whose requests are not answered in time, so that
 * whoever asks too much is told so at once, and nobody else notices. A request is under way until the boundary has done with it, even when its caller has
 * been told long before that there is no answer.
 */
import { ANSWER_WITHIN_MS, type ProtocolName } from '../keys/protocols.ts'
import { Deadline, type Timed } from './deadlines.ts'

export interface Quota {
  /** Requests a second; what a second brings may come at once. */
  readonly perSecond: number
  /** Requests under way. */
  readonly inFlight: number
}

/** Why a request is turned away, or has waited for nothing (`deadline`). */
export const LOAD_REASONS = ['rate', 'in_flight', 'share', 'late', 'away', 'deadline'] as const
export type LoadReason = (typeof LOAD_REASONS)[number]
/** `away`: the boundary does not answer at all. */
export type TurnedAway = Exclude<LoadReason, 'deadline'>

/** Of a protocol's time: after it a request is late. */
const LATE_SHARE = 0.75
/** As many may be late, or not answered at all, before the next ones are turned away: one answer that never comes is no sign. */
const TOLERATED = 8
/** Long uses of one tenant that are at the boundary at once: enough to keep its threads at work, and little for others to wait behind. */
const TURNS = 16

export interface AdmissionOptions {
  readonly quotaOf: (tenant: string) => Quota
  /** Requests of all tenants under way. From half of it on, none has more than its equal share. */
  readonly inFlight: number
  /** Long uses of one tenant at the boundary at once. */
  readonly turns?: number
  /** Instead of each protocol's own. */
  readonly withinMs?: number | undefined
  readonly onLoad?: (caller: Who, reason: LoadReason) => void
  /** Milliseconds of a clock that never goes back. */
  readonly now?: () => number
}

export interface Who {
  readonly tenant: string
  readonly protocol: string
}

/** Whoever waits for an answer. */
export interface Waiting {
  /** There is none in time. */
  timeIsOver(): void
}

/** What is known of a tenant's requests. */
class TenantLoad {
  inFlight = 0
  /** Of them: late ones, and those whose callers have been told that there is no answer. */
  late = 0
  over = 0
  /** Waiting for a person's decision; not in flight. */
  paused = 0
  tokens = Number.NaN
  counted = 0
  /** Long uses at the boundary, and what waits for its turn. */
  turns = 0
  readonly waiting: (() => void)[] = []
}

export class Ticket implements Timed {
  /** The caller has been told that there is no answer. */
  expired = false
  readonly #admission: Admission
  readonly #load: TenantLoad
  readonly #who: Who
  readonly #deadline: Deadline
  #waiting: Waiting | undefined
  #number: number
  #late = false
  #paused = false

  constructor(admission: Admission, load: TenantLoad, who: Who, waiting: Waiting, deadline: Deadline, now: number) {
    this.#admission = admission
    this.#load = load
    this.#who = who
    this.#waiting = waiting
    this.#deadline = deadline
    this.#number = deadline.add(this, now)
  }

  late(): void {
    this.#late = true
    this.#load.late++
  }

  over(): void {
    this.expired = true
    this.#load.over++
    this.#admission.told(this.#who, 'deadline')
    this.#waiting?.timeIsOver()
    this.#waiting = undefined
  }

  /** Once, when nothing is left to be done for it. */
  settle(): void {
    this.#waiting = undefined
    if (this.#paused) this.#load.paused--
    else this.#leave()
  }

  /** It waits for a person, and not for the boundary: false where that is too late, or so many do already that this one may not. */
  pause(): boolean {
    const { inFlight } = this.#admission.quotaOf(this.#who.tenant)
    if (this.expired || this.#load.paused >= inFlight) return false
    this.#leave()
    this.#paused = true
    this.#load.paused++
    return true
  }

  /** From here its time begins anew. */
  resume(): void {
    this.#paused = false
    this.#load.paused--
    this.#number = this.#deadline.add(this, this.#admission.begin(this.#load))
  }

  /** Resolves when it is the tenant's turn for another long use. `turnOver` must follow. */
  turn(): Promise<void> | undefined {
    const load = this.#load
    if (load.turns >= this.#admission.turns) return new Promise(resolve => load.waiting.push(resolve))
    load.turns++
    return undefined
  }

  turnOver(): void {
    const next = this.#load.waiting.shift()
    if (next === undefined) this.#load.turns--
    else next()
  }

  #leave(): void {
    this.#deadline.remove(this.#number)
    if (this.#late) this.#load.late--
    if (this.expired) this.#load.over--
    this.#late = false
    this.#admission.left(this.#load)
  }
}

export class Admission {
  readonly quotaOf: AdmissionOptions['quotaOf']
  readonly turns: number
  readonly #options: AdmissionOptions
  readonly #now: () => number
  readonly #tenants = new Map<string, TenantLoad>()
  readonly #deadlines = new Map<string, Deadline>()
  #inFlight = 0
  /** Tenants with requests under way. */
  #active = 0

  constructor(options: AdmissionOptions) {
    this.quotaOf = options.quotaOf
    this.turns = options.turns ?? TURNS
    this.#options = options
    this.#now = options.now ?? (() => performance.now())
  }

  /** A ticket, to be settled; or why there is none. */
  enter(who: Who, waiting: Waiting): Ticket | TurnedAway {
    const now = this.#now()
    const load = this.#loadOf(who.tenant)
    const reason = this.#refused(load, this.quotaOf(who.tenant), now)
    if (reason !== undefined) {
      this.told(who, reason)
      return reason
    }
    this.begin(load)
    return new Ticket(this, load, who, waiting, this.#deadlineOf(who.protocol), now)
  }

  #refused(load: TenantLoad, { perSecond, inFlight }: Quota, now: number): TurnedAway | undefined {
    // What a second brings may come at once, and one request always may.
    const most = Math.max(1, perSecond)
    const grown = Number.isNaN(load.tokens) ? most : load.tokens + ((now - load.counted) * perSecond) / 1000
    load.tokens = Math.min(grown, most)
    load.counted = now
    if (load.over > TOLERATED) return 'away'
    if (load.tokens < 1) return 'rate'
    load.tokens--
    if (load.inFlight >= inFlight) return 'in_flight'
    if (load.late > TOLERATED) return 'late'
    const { inFlight: all } = this.#options
    if (this.#inFlight * 2 >= all && load.inFlight >= all / Math.max(1, this.#active)) return 'share'
    return undefined
  }

  /** For tickets: one more is under way, from when it is now. */
  begin(load: TenantLoad): number {
    if (load.inFlight++ === 0) this.#active++
    this.#inFlight++
    return this.#now()
  }

  /** For tickets: one that is no longer under way. */
  left(load: TenantLoad): void {
    this.#inFlight--
    if (--load.inFlight === 0) this.#active--
  }

  /** For tickets: somebody has been told. */
  told(who: Who, reason: LoadReason): void {
    this.#options.onLoad?.(who, reason)
  }

  /** Requests under way, by tenant. */
  *underWay(): Generator<readonly [tenant: string, inFlight: number]> {
    for (const [tenant, { inFlight, paused }] of this.#tenants) yield [tenant, inFlight + paused]
  }

  stop(): void {
    for (const deadline of this.#deadlines.values()) deadline.stop()
  }

  #loadOf(tenant: string): TenantLoad {
    let load = this.#tenants.get(tenant)
    if (load === undefined) {
      load = new TenantLoad()
      this.#tenants.set(tenant, load)
    }
    return load
  }

  #deadlineOf(protocol: string): Deadline {
    let deadline = this.#deadlines.get(protocol)
    if (deadline === undefined) {
      const within = this.#options.withinMs ?? ANSWER_WITHIN_MS[protocol as ProtocolName]
      deadline = new Deadline(within * LATE_SHARE, within, this.#now)
      this.#deadlines.set(protocol, deadline)
    }
    return deadline
  }
}
