/** Transitions of one key run one after the other, those of different keys side by side. */
export class Locks {
  readonly #last = new Map<string, Promise<unknown>>()

  /** Runs `work` when everything asked for this name before has ended. */
  async run<T>(name: string, work: () => Promise<T>): Promise<T> {
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
