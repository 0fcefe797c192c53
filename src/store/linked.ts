/**
 * What the rows of one kind say, kept in memory by their link: lists that were asked for, empty ones too, each whole and current. A write set changes the
 * lists that it concerns at once, so that what was withdrawn is gone from them before the withdrawal is answered (promise 3).
 */
import type { Row, RowKind } from '../boundary/words.ts'
import type { Replica } from './replica.ts'

/** What is kept of a row. */
export interface Told {
  /** What tells it from the others of its list: `idOf` its row. */
  readonly id: string
  readonly revision: number
  /** What it takes of memory, about. */
  readonly bytes: number
}

export interface LinkedOptions<T extends Told> {
  readonly kind: RowKind
  /** Called once a row revision. Rows of this kind keep their link for ever. */
  readonly read: (row: Row) => T
  readonly idOf: (row: Row) => string
  /** How much is kept: entries, and `LIST_BYTES` for each list. */
  readonly maxBytes: number
}

/** What a list takes beside its entries, its link included. Measured. */
export const LIST_BYTES = 240
const PAGE = 1000
const NOTHING: readonly never[] = []

interface Kept<T> {
  list: readonly T[]
  /** Of its entries. */
  bytes: number
  /** How often it was asked for, not counting who had it loaded; above 0 it is spared once when it is the oldest. */
  asked: number
}

interface Loading {
  /** Rows of this link whose write sets came meanwhile. */
  readonly changes: Row[]
  readonly done: Promise<void>
}

export class LinkedLists<T extends Told> {
  readonly #replica: Pick<Replica, 'ready' | 'listLinked' | 'settled'>
  readonly #options: LinkedOptions<T>
  /** Oldest first. */
  readonly #kept = new Map<string, Kept<T>>()
  readonly #loading = new Map<string, Loading>()
  #entryBytes = 0
  /** Counts how often everything was forgotten. */
  #era = 0

  constructor(
    replica: Pick<Replica, 'ready' | 'listLinked' | 'settled' | 'watch' | 'onForget'>,
    options: LinkedOptions<T>,
  ) {
    this.#replica = replica
    this.#options = options
    replica.watch(options.kind, row => this.#learn(row))
    replica.onForget(() => this.#forget())
  }

  /** Memory in use, about. */
  get bytes(): number {
    return this.#kept.size * LIST_BYTES + this.#entryBytes
  }

  /** The whole list, in no order; undefined where `load` must be awaited first. From memory alone. */
  peek(link: string): readonly T[] | undefined {
    if (!this.#replica.ready) return undefined
    const kept = this.#kept.get(link)
    if (kept === undefined) return undefined
    if (kept.asked < 1) kept.asked++
    return kept.list
  }

  /** Afterwards `peek` knows the list, unless much else was loaded in between. Rejects with what the store or the boundary rejected with. */
  async load(link: string): Promise<void> {
    const underway = this.#loading.get(link)
    if (underway !== undefined) return underway.done
    const changes: Row[] = []
    const done = this.#load(link, changes).finally(() => this.#loading.delete(link))
    this.#loading.set(link, { changes, done })
    return done
  }

  async #load(link: string, changes: readonly Row[]): Promise<void> {
    const { kind, read } = this.#options
    const era = this.#era
    // What was learned before this began must be in the store before it is listed; what comes later is in `changes`.
    await this.#replica.settled()
    const list: T[] = []
    for (let after = ''; ; ) {
      const rows = await this.#replica.listLinked(kind, link, { after, limit: PAGE })
      for (const row of rows) list.push(read(row))
      if (rows.length < PAGE) break
      after = rows.at(-1)?.id ?? ''
    }
    if (era !== this.#era) return
    const bytes = list.reduce((sum, told) => sum + told.bytes, 0)
    this.#entryBytes += bytes - (this.#kept.get(link)?.bytes ?? 0)
    // A copy: an array that was pushed to has room for 17, and most lists have one.
    const kept: Kept<T> = { list: list.length === 0 ? NOTHING : list.slice(), bytes, asked: -1 }
    this.#kept.set(link, kept)
    for (const row of changes) this.#change(kept, row)
    this.#makeRoom(kept)
  }

  /** A list that is being loaded has all that came before in what it read, and is thrown away with the others. */
  #forget(): void {
    this.#kept.clear()
    this.#entryBytes = 0
    this.#era++
  }

  #learn(row: Row): void {
    this.#loading.get(row.link)?.changes.push(row)
    const kept = this.#kept.get(row.link)
    if (kept === undefined) return
    this.#change(kept, row)
    this.#makeRoom(kept)
  }

  /** A new list each time: whoever walks the old one goes on with what was current when it was asked for. */
  #change(kept: Kept<T>, row: Row): void {
    const { list } = kept
    const wanted = this.#options.idOf(row)
    const at = list.findIndex(({ id }) => id === wanted)
    const known = list[at]
    // The boundary's answer to a question can overtake its write sets.
    if (known !== undefined && known.revision >= row.revision) return
    const rest = known === undefined ? list : list.toSpliced(at, 1)
    const told = row.body === null ? undefined : this.#options.read(row)
    const more = (told?.bytes ?? 0) - (known?.bytes ?? 0)
    this.#entryBytes += more
    kept.bytes += more
    const changed = told === undefined ? rest : [...rest, told]
    kept.list = changed.length === 0 ? NOTHING : changed
  }

  #makeRoom(newest: Kept<T>): void {
    for (const [link, kept] of this.#kept) {
      if (this.bytes <= this.#options.maxBytes) return
      if (kept === newest) continue
      this.#kept.delete(link)
      if (kept.asked > 0) {
        kept.asked = 0
        this.#kept.set(link, kept)
      } else this.#entryBytes -= kept.bytes
    }
  }
}
