/**
 * Rows that were written again with what they said before, by the revision that this gave them: who compares and sets with the revision before loses
 * nothing to somebody else. As many as can be in flight between a front end and its callers; the oldest go first.
 */
import type { RowKind } from '../../words.ts'

const KEPT = 4096

export class Rewritten {
  /** The newest revision of each. */
  readonly #rows = new Map<string, number>()

  note(kind: RowKind, id: string, revision: number): void {
    const name = `${kind} ${id}`
    this.#rows.delete(name)
    this.#rows.set(name, revision)
    const oldest = this.#rows.size > KEPT ? this.#rows.keys().next().value : undefined
    if (oldest !== undefined) this.#rows.delete(oldest)
  }

  /** Whether a row of this revision says what that of the revision before said. */
  same(kind: RowKind, id: string, revision: number): boolean {
    return this.#rows.get(`${kind} ${id}`) === revision
  }
}
