/** Transitions of one key run one after the other, those of different keys side by side. Keys of one multi-Region set count as one key. */
import { lockName } from './regions.ts'

export class Locks {
  readonly #last = new Map<string, Promise<unknown>>()

  /** Whether something is under way for this key, or waits. */
  held(id: string): boolean {
    return this.#last.has(lockName(id))
  }

  /** Runs `work` when everything asked for this key before has ended. */
  async run<T>(id: string, work: () => Promise<T>): Promise<T> {
    const name = lockName(id)
    const before = this.#last.get(name)
    const mine = before === undefined ? work() : before.then(work, work)
    this.#last.set(name, mine)
    try {
      return await mine
    } finally {
      if (this.#last.get(name) === mine) this.#last.delete(name)
    }
  }
}
