/**
 * Work that takes its time, on the threads of libuv's pool: so few at once that the journal's fsync never waits for a thread, and that the one thread of
 * everything else keeps a processor. Making keys has a lane of its own, so that no signature waits for a prime.
 */
import os from 'node:os'
import { BoundaryError } from '../words.ts'

/** What may wait in a lane. More is more than anybody waits for. */
const MAX_WAITING = 1024
const processors = os.availableParallelism()
/** Of results that are told together: how many, and for how many milliseconds the first of them is held. */
const MOST_TOGETHER = 8
const HELD_MS = 3

/**
 * `together`: while more waits, results are told a few at a time, so that they share what each would cost alone: a commit, and waking the front end. The
 * next work has begun by then, and what waits longest waits no longer for it.
 */
export class Lane {
  readonly width: number
  readonly #together: boolean
  readonly #waiting: (() => void)[] = []
  #running = 0
  #held: (() => void)[] = []
  #timer: NodeJS.Timeout | undefined

  constructor(width: number, together = false) {
    this.width = width
    this.#together = together
  }

  /** Does `work` when it is its turn. Throws Busy where too much waits already. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#running >= this.width) {
      if (this.#waiting.length >= MAX_WAITING) throw new BoundaryError('Busy', 'too many slow operations wait')
      await new Promise<void>(resolve => this.#waiting.push(resolve))
    } else {
      this.#running++
    }
    try {
      return await work()
    } finally {
      const next = this.#waiting.shift()
      if (next === undefined) this.#running--
      else next()
      if (this.#together) await this.#hold(next !== undefined)
    }
  }

  /** Resolves when it is time to tell: at once where nothing more waited. */
  #hold(more: boolean): Promise<void> {
    return new Promise(tell => {
      this.#held.push(tell)
      if (!more || this.#held.length >= MOST_TOGETHER) this.#tell()
      else this.#timer ??= setTimeout(() => this.#tell(), HELD_MS)
    })
  }

  #tell(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const held = this.#held
    this.#held = []
    for (const tell of held) tell()
  }
}

/** Key pairs: milliseconds to seconds each. */
export const making = new Lane(Math.max(1, Math.min(4, processors >> 2)))
/** Private operations of RSA and of the slower curves, ML-DSA: about a millisecond each. */
export const working = new Lane(Math.max(1, Math.min(16, processors - 1)), true)

/** Threads that the lanes take: UV_THREADPOOL_SIZE of the boundary's process has so many more than everything else needs. */
export const SLOW_THREADS = making.width + working.width
/** Threads that files and short work of node:crypto count on. */
export const USUAL_THREADS = 4
