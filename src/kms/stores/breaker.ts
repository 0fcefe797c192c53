/**
 * A circuit breaker: after a run of attempts that nobody answered, further ones are refused at once for a while; then one is let through to see.
 * Answers, also refusing ones, close it.
 */
export interface BreakerSettings {
  /** Attempts in a row without an answer that open it. */
  readonly threshold: number
  /** How long it stays open the first time, in milliseconds; doubled each time that the probe fails too, up to `maxOpenMs`. */
  readonly openMs: number
  readonly maxOpenMs: number
}

export const DEFAULT_BREAKER: BreakerSettings = { threshold: 10, openMs: 500, maxOpenMs: 4000 }

/** `probe`: the one attempt that is let through to see whether anybody answers again. */
export type Admission = 'free' | 'probe' | 'refused'

export class Breaker {
  readonly #settings: BreakerSettings
  readonly #now: () => number
  #silent = 0
  #openedFor = 0
  #openUntil = 0
  #probing = false

  /** `now`: a monotonic clock in milliseconds. */
  constructor(settings: BreakerSettings = DEFAULT_BREAKER, now: () => number = () => performance.now()) {
    this.#settings = settings
    this.#now = now
  }

  get state(): 'closed' | 'open' | 'half-open' {
    if (this.#openedFor === 0) return 'closed'
    return this.#now() < this.#openUntil ? 'open' : 'half-open'
  }

  /** Whether an attempt may be made now. What was admitted must end in `answered`, `unanswered` or `undecided`. */
  admit(): Admission {
    const state = this.state
    if (state === 'closed') return 'free'
    if (state === 'open' || this.#probing) return 'refused'
    this.#probing = true
    return 'probe'
  }

  answered(): void {
    this.#silent = 0
    this.#openedFor = 0
    this.#probing = false
  }

  unanswered(admission: Admission): void {
    this.#silent += 1
    if (admission === 'probe') {
      this.#probing = false
      this.#open(Math.min(this.#openedFor * 2, this.#settings.maxOpenMs))
    } else if (this.#openedFor === 0 && this.#silent >= this.#settings.threshold) {
      this.#open(this.#settings.openMs)
    }
  }

  /** The attempt says nothing of the proxy; a probe is due again. */
  undecided(admission: Admission): void {
    if (admission === 'probe') this.#probing = false
  }

  #open(ms: number): void {
    this.#openedFor = ms
    this.#openUntil = this.#now() + ms
  }
}
