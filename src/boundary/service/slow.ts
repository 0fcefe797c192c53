/**
 * Making key pairs, on the threads of libuv's pool: so few at once that the journal's fsync never waits for a thread, and that the one thread of everything
 * else keeps a processor. What is done with keys and takes its time has threads of its own (threads/threads.ts).
 */
import os from 'node:os'
import { BoundaryError } from '../words.ts'

/** What may wait in a lane. More is more than anybody waits for. */
const MAX_WAITING = 1024

export class Lane {
  readonly width: number
  readonly #waiting: (() => void)[] = []
  #running = 0

  constructor(width: number) {
    this.width = width
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
    }
  }
}

/** Key pairs: milliseconds to seconds each. */
export const making = new Lane(Math.max(1, Math.min(4, os.availableParallelism() >> 2)))

/** Threads that the lane takes: UV_THREADPOOL_SIZE of the boundary's process has so many more than everything else needs. */
export const SLOW_THREADS = making.width
