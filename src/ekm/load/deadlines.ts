/**
 * One deadline for all requests of a protocol: they come in order, so a queue, two places in it and one timer are enough, however many there are. Each is
 * told twice, unless it has been answered before: when it is late, and when its time is over.
 */
export interface Timed {
  /** When its time began. One that has begun anew since it was added is not told at its old time. */
  readonly since: number
  late(): void
  over(): void
}

/** Milliseconds: the timer does not run more often than this. */
const GRAIN_MS = 5
/** Shorter queues are not moved together. */
const MIN_MOVE = 512

export class Deadline {
  readonly #lateMs: number
  readonly #overMs: number
  readonly #now: () => number
  #queue: (Timed | undefined)[] = []
  /** When each of the queue was added. */
  #times: number[] = []
  /** The first that has not been told that it is late, and the first whose time is not over. */
  #late = 0
  #over = 0
  #timer: NodeJS.Timeout | undefined

  /** In milliseconds. */
  constructor(lateMs: number, overMs: number, now: () => number) {
    this.#lateMs = lateMs
    this.#overMs = overMs
    this.#now = now
  }

  add(timed: Timed): void {
    this.#queue.push(timed)
    this.#times.push(timed.since)
    if (this.#timer === undefined) this.#wake(this.#lateMs)
  }

  stop(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  readonly #sweep = (): void => {
    const now = this.#now()
    const queue = this.#queue
    const times = this.#times
    for (; this.#late < queue.length && (times[this.#late] as number) + this.#lateMs <= now; this.#late++) {
      const timed = queue[this.#late]
      if (timed?.since === times[this.#late]) timed?.late()
    }
    for (; this.#over < this.#late && (times[this.#over] as number) + this.#overMs <= now; this.#over++) {
      const timed = queue[this.#over]
      queue[this.#over] = undefined
      if (timed?.since === times[this.#over]) timed?.over()
    }
    this.#timer = undefined
    if (this.#over === queue.length) {
      this.#queue = []
      this.#times = []
      this.#late = this.#over = 0
      return
    }
    if (this.#over >= MIN_MOVE && this.#over * 2 >= queue.length) {
      this.#queue = queue.slice(this.#over)
      this.#times = times.slice(this.#over)
      this.#late -= this.#over
      this.#over = 0
    }
    const nextLate = this.#late < this.#queue.length ? (this.#times[this.#late] as number) + this.#lateMs : Infinity
    const nextOver = (this.#times[this.#over] as number) + this.#overMs
    this.#wake(Math.min(nextLate, nextOver) - now)
  }

  #wake(milliseconds: number): void {
    this.#timer = setTimeout(this.#sweep, Math.max(GRAIN_MS, milliseconds))
    this.#timer.unref()
  }
}
