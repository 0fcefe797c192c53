/**
 * The journal's keys by generation of the root: each seals the write sets from a record on. What is written takes the newest, which is a field; the look-up
 * is for reading. See docs/formats/journal.md, "Generations".
 */
import type { KeyObject } from 'node:crypto'

export interface GenerationKeys {
  /** From this record on, write sets are sealed under this generation. */
  readonly firstRecord: number
  /** AES-256: seals write sets. */
  readonly writeSet: KeyObject
  /** HMAC-SHA-256: authenticates snapshots. */
  readonly snapshot: KeyObject
}

export class JournalKeys {
  /** Newest first. */
  #generations: readonly GenerationKeys[]

  /** At least one generation, oldest first. */
  constructor(generations: readonly GenerationKeys[]) {
    this.#generations = generations.toReversed()
    if (this.#generations.length === 0) throw new RangeError('a journal has at least one generation of keys')
  }

  get newest(): GenerationKeys {
    return this.#generations[0] as GenerationKeys
  }

  /** What may have authenticated a snapshot, newest first. */
  get snapshots(): readonly KeyObject[] {
    return this.#generations.map(({ snapshot }) => snapshot)
  }

  /** Write sets of records below this one cannot be read any more. */
  get unreadableBelow(): number {
    return this.#generations.at(-1)?.firstRecord ?? 0
  }

  /** What opens the write set of a record; undefined where its generation was destroyed. */
  writeSetOf(seq: number): KeyObject | undefined {
    return this.#generations.find(({ firstRecord }) => firstRecord <= seq)?.writeSet
  }

  add(keys: GenerationKeys): void {
    this.#generations = [keys, ...this.#generations]
  }

  forgetOld(): void {
    this.#generations = [this.newest]
  }
}
