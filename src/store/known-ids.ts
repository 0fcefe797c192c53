/**
 * The ids of the kinds that strangers name before they have proven who they are: a request with an unknown one costs a look into a set, and neither a
 * read of the store nor a word to the boundary. Leaving an id out denies service and no more, so the store may be asked.
 */
import type { Row, RowKind } from '../boundary/words.ts'
import type { Store } from './types.ts'

/** For these kinds absence means refusal. Never a kind whose absence allows something, such as `switch` or `policy`. */
const KINDS: readonly RowKind[] = ['credential', 'tenant']
const PAGE = 1000

export class KnownIds {
  readonly #store: Store
  readonly #ids = new Map<RowKind, Set<string>>(KINDS.map(kind => [kind, new Set()]))
  #loaded = false

  constructor(store: Store) {
    this.#store = store
  }

  /** Reads the ids once. Write sets that are learned meanwhile count. */
  async load(): Promise<void> {
    if (this.#loaded) return
    for (const [kind, ids] of this.#ids) {
      let after = ''
      for (;;) {
        const page = await this.#store.listAll(kind, { after, limit: PAGE })
        for (const { id } of page) ids.add(id)
        const last = page.at(-1)?.id ?? ''
        if (page.length < PAGE || last <= after) break
        after = last
      }
    }
    this.#loaded = true
  }

  /** An id that was deleted stays: it will be looked up, and found to be gone. */
  learn({ kind, id, body }: Row): void {
    if (body !== null) this.#ids.get(kind)?.add(id)
  }

  /** True where it is certain that there is no such row. */
  lacks(kind: RowKind, id: string): boolean {
    const ids = this.#ids.get(kind)
    return this.#loaded && ids !== undefined && !ids.has(id)
  }
}
