/**
 * One deadline for all requests of a protocol: they come in order, so a queue with two marks in it and one timer are enough, however many there are. Each is
 * told when it is late, and when its time is over, unless it has been taken out before; most are taken out from the front, so that the queue stays short.
 */
export interface Timed {
  late(): void
  over(): void
}

/** Milliseconds: the timer does not run more often than this. */
const GRAIN_MS = 5
/** So many free places at the front are given back at once. */
const MOST_FREE = 1024

export class Deadline {
  readonly #lateMs: number
  readonly #overMs: number
  readonly #now: () => number
  /** Undefined: taken out. */
  #queue: (Timed | undefined)[] = []
  /** When each of them was added. */
  #times: number[] = []
  /** The number of the first of the queue, counted from the start. */
  #base = 0
  /** The first that is still there, and the first that has not been told that it is late. */
  #front = 0
  #late = 0
  #timer: NodeJS.Timeout | undefined

  /** In milliseconds. */
  constructor(lateMs: number, overMs: number, now: () => number) {
    this.#lateMs = lateMs
    this.#overMs = overMs
    this.#now = now
  }

  /** Its time begins at `now`. Returns its number, for `remove`. */
  add(timed: Timed, now: number): number {
    this.#queue.push(timed)
    this.#times.push(now)
    if (this.#timer === undefined) this.#wake(this.#lateMs)
    return this.#base + this.#queue.length - 1
  }

  /** It is not told any more. */
  remove(number: number): void {
    const at = number - this.#base
    if (at < this.#front) return
    this.#queue[at] = undefined
    this.#skip()
  }

  get size(): number {
    return this.#queue.length - this.#front
  }

  stop(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  #skip(): void {
    const queue = this.#queue
    while (this.#front < queue.length && queue[this.#front] === undefined) this.#front++
    if (this.#late < this.#front) this.#late = this.#front
    if (this.#front < MOST_FREE) return
    this.#queue = queue.slice(this.#front)
    this.#times = this.#times.slice(this.#front)
    this.#base += this.#front
    this.#late -= this.#front
    this.#front = 0
  }

  readonly #sweep = (): void => {
    this.#timer = undefined
    const now = this.#now()
    while (this.#late < this.#queue.length && this.#time(this.#late) + this.#lateMs <= now)
      this.#queue[this.#late++]?.late()
    while (this.#front < this.#late && this.#time(this.#front) + this.#overMs <= now) {
      const timed = this.#queue[this.#front]
      this.#queue[this.#front] = undefined
      this.#skip()
      timed?.over()
    }
    if (this.#front === this.#queue.length) return
    const over = this.#time(this.#front) + this.#overMs
    const late = this.#late === this.#queue.length ? over : this.#time(this.#late) + this.#lateMs
    this.#wake(Math.min(late, over) - now)
  }

  #time(at: number): number {
    return this.#times[at] as number
  }

  #wake(milliseconds: number): void {
    this.#timer = setTimeout(this.#sweep, Math.max(GRAIN_MS, milliseconds))
    this.#timer.unref()
  }
}
