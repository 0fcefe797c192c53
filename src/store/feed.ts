/**
 * Write sets on their way into cache and store: in the order of their numbers, once each, whether they were fetched or handed over.
 */
import type { BoundaryUse } from '../boundary/client/api.ts'
import { BoundaryError, type WriteSet } from '../boundary/words.ts'
import type { Store } from './types.ts'

const PAGE = 256

export class Feed {
  readonly #store: Store
  readonly #boundary: Pick<BoundaryUse, 'status' | 'writeSets'>
  readonly #learn: (set: WriteSet) => void
  readonly #forget: () => void
  /** Number of the last set that `learn` was given; -1 before the first catch-up. */
  #learned = -1
  #stored = 0
  /** Learned and not in the store yet. */
  #unstored: WriteSet[] = []
  #tail: Promise<unknown> = Promise.resolve()

  /** `forget`: the sets that `learn` is given from now on make the whole anew. */
  constructor(
    store: Store,
    boundary: Pick<BoundaryUse, 'status' | 'writeSets'>,
    learn: (set: WriteSet) => void,
    forget: () => void,
  ) {
    this.#store = store
    this.#boundary = boundary
    this.#learn = learn
    this.#forget = forget
  }

  /** Number of the last set in the store. */
  get stored(): number {
    return this.#stored
  }

  /** Fetches and applies what is missing. Rejects with BoundaryError `InvalidState` where the store is ahead of the boundary. */
  catchUp(): Promise<void> {
    return this.#inTurn(async () => {
      // The store is asked once. Afterwards only memory counts, since whoever can write the store could make us pass over a set.
      if (this.#learned < 0) {
        this.#stored = await this.#store.appliedUpTo()
        this.#learned = this.#stored
      }
      const { lastWriteSet } = await this.#boundary.status()
      if (this.#learned > lastWriteSet) {
        const detail = `the store has write set ${this.#learned}, the boundary only ${lastWriteSet}: they do not belong together, or one of them was put back or edited; put both back from one backup`
        throw new BoundaryError('InvalidState', detail)
      }
      await this.#fetch(Number.POSITIVE_INFINITY)
      await this.#flush()
    })
  }

  /** Takes a set that was handed over. Resolves when the store has it durably. */
  take(set: WriteSet): Promise<void> {
    if (set.number === this.#learned + 1 && this.#learned >= 0) this.#keep(set)
    return this.#inTurn(async () => {
      if (this.#learned < 0) throw new BoundaryError('Unavailable', 'not caught up with the boundary')
      if (set.number > this.#learned + 1) await this.#fetch(set.number - 1)
      if (set.number === this.#learned + 1) this.#keep(set)
      await this.#flush()
    })
  }

  /** Resolves when the store has every set that was learned before. Rejects with BoundaryError `Unavailable` where it did not take them. */
  async settled(): Promise<void> {
    const learned = this.#learned
    await this.#tail
    if (this.#stored < learned) throw new BoundaryError('Unavailable', 'the store did not take the write set')
  }

  #keep(set: WriteSet): void {
    this.#learned = set.number
    this.#unstored.push(set)
    this.#learn(set)
  }

  /** Fetches sets up to `last`, or until there are no more. */
  async #fetch(last: number): Promise<void> {
    while (this.#learned < last) {
      const { horizon, sets } = await this.#boundary.writeSets(this.#learned, PAGE)
      if (horizon > this.#learned) await this.#reset(horizon)
      if (sets.length === 0) break
      for (const set of sets) {
        if (set.number === this.#learned + 1) this.#keep(set)
        else if (set.number > this.#learned) throw new BoundaryError('Internal', 'the boundary left out a write set')
      }
      await this.#flush()
    }
  }

  /** Everything is written again behind the horizon: what the store has of before could be what was deleted since. */
  async #reset(horizon: number): Promise<void> {
    await this.#store.reset(horizon)
    this.#unstored = []
    this.#stored = horizon
    this.#learned = horizon
    this.#forget()
  }

  async #flush(): Promise<void> {
    const sets = this.#unstored
    const last = sets.at(-1)
    if (last === undefined) return
    this.#unstored = []
    try {
      await this.#store.apply(sets)
      this.#stored = last.number
    } catch (error) {
      this.#unstored = [...sets, ...this.#unstored]
      throw error
    }
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const result = this.#tail.then(work)
    this.#tail = result.catch(() => {})
    return result
  }
}
