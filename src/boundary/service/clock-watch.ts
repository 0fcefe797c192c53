/**
 * The machine's clock against what cannot jump: how long the machine has been up, its sleep included, and the last record. What is destroyed because a date
 * has come cannot be undone, so it waits while the clock has leapt ahead, and for an hour after a start that finds no record of the last week: time for
 * whoever looks after the machine. See docs/decisions/0044.
 */
import os from 'node:os'
import type { Log } from './log.ts'

const HOUR = 3_600_000
/** No waiting period is shorter. */
const WEEK = 7 * 24 * HOUR
/** Milliseconds that the clock may be behind the last record without anybody being told: what an adjustment takes back. */
export const TOLERATED = 1000

export interface ClockWatchParts {
  /** Milliseconds since 1970. */
  readonly now: () => number
  /** Time of the newest record, 0 for none. */
  readonly lastTime: () => number
  /** Milliseconds since the machine was started; tests move it. */
  readonly uptime?: () => number
}

const date = (time: number): string => new Date(time).toISOString()

export class ClockWatch {
  readonly #now: () => number
  readonly #lastTime: () => number
  readonly #uptime: () => number
  /** Of clock and uptime, at the start. */
  readonly #difference: number
  /** Time of the last record before the start, where it is old. */
  readonly #longAgo: number
  readonly #waitUntil: number
  #told: readonly string[] = []

  /** To be made before anything is recorded. */
  constructor({ now, lastTime, uptime = () => os.uptime() * 1000 }: ClockWatchParts) {
    this.#now = now
    this.#lastTime = lastTime
    this.#uptime = uptime
    this.#difference = now() - uptime()
    const last = lastTime()
    this.#longAgo = last > 0 && now() - last > WEEK ? last : 0
    this.#waitUntil = this.#longAgo > 0 ? uptime() + HOUR : 0
  }

  /** The clock is so far behind the log that records would not tell when they were made. */
  get behind(): boolean {
    return this.#now() < this.#lastTime() - TOLERATED
  }

  get #leapt(): boolean {
    return this.#now() - this.#uptime() - this.#difference > HOUR
  }

  /** Whether what cannot be undone is to wait. */
  get doubtful(): boolean {
    return this.#leapt || this.#uptime() < this.#waitUntil
  }

  warnings(): string[] {
    const said: string[] = []
    if (this.behind)
      said.push(
        `the clock is behind the last record of ${date(this.#lastTime())}: set it; records keep that time, and say the clock's beside it`,
      )
    if (this.#leapt)
      said.push(
        'the clock has leapt ahead by more than an hour: set it, or start the service anew if it is right; nothing is destroyed by date meanwhile',
      )
    else if (this.doubtful)
      said.push(
        `the last record is of ${date(this.#longAgo)}: what is to be destroyed by date waits for an hour; stop the service if the clock is wrong`,
      )
    return said
  }

  /** Tells what has become true since the last look. */
  look(log: Log): void {
    const said = this.warnings()
    for (const warning of said) if (!this.#told.includes(warning)) log('warn', warning)
    this.#told = said
  }
}
