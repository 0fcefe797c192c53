/**
 * What a front end holds of the rows: the store, caught up with the boundary, and a bounded cache of rows that the boundary has vouched for.
 * Nothing that was read from the store is trusted before the boundary has checked it (promise 12).
 */
import type { BoundaryUse, OnWriteSet } from '../boundary/client/api.ts'
import { BoundaryError, type Row, type RowKind, type WriteSet } from '../boundary/words.ts'
import { RowCache } from './cache/rows.ts'
import { SecretCache } from './cache/secrets.ts'
import { Feed } from './feed.ts'
import { KnownIds } from './known-ids.ts'
import { type ListQuery, listVerified } from './list.ts'
import { isId } from './rows.ts'
import { Secret } from './secret.ts'
import type { Page, Store } from './types.ts'
import { Verifier } from './verify.ts'

/** What the replica needs of the boundary. */
export type ReplicaBoundary = Pick<BoundaryUse, 'status' | 'writeSets' | 'checkRows' | 'openSecret'>

export interface CacheLimits {
  /** Memory for verified rows, overhead included, in bytes. */
  readonly bytes: number
  /** How many ids of each kind may be remembered as not existing; strangers can evict only each other. */
  readonly absent: number
  /** Opened secrets of each kind held in memory. */
  readonly secrets: number
  /** Loads from the store that may wait at once; beyond it `get` rejects with BoundaryError `LimitExceeded`. */
  readonly loading: number
}

export const DEFAULT_CACHE_LIMITS: CacheLimits = {
  bytes: 112 * 1024 * 1024,
  absent: 10_000,
  secrets: 10_000,
  loading: 4096,
}

/** A row as the cache holds it. */
export type HeldRow = Row & {
  /** One object for all rows of kind `policy` with the same body. */
  readonly shared?: object | undefined
}

export interface ReplicaOptions {
  readonly store: Store
  readonly boundary: ReplicaBoundary
  readonly limits?: Partial<CacheLimits>
}

export interface Replica {
  /** True between a finished `catchUp` and `suspend`. While false `peek` knows nothing and `get` rejects with BoundaryError `Unavailable`. */
  readonly ready: boolean
  /** For the operator: why the last `catchUp` could not bring the store up to date; empty where it did, or the boundary went away meanwhile. */
  readonly failure: string
  /** Number of the last write set in the store. */
  readonly appliedUpTo: number
  /** Rows in the cache and the memory that they take, for metrics. */
  readonly cached: { readonly rows: number; readonly bytes: number }

  /**
   * Call at every (re)connection, before serving: applies what is missing from the boundary. Rejects with BoundaryError `InvalidState` if the store is
   * ahead of the boundary, and with what the boundary or the store rejected with.
   */
  catchUp(): Promise<void>
  /** Call when the connection to the boundary is lost: nothing is served from what may have become stale. */
  suspend(): void
  /**
   * The handler for `OnWriteSet`: cache and store, in order. Resolves when the store has it durably; where the store fails it rejects, goes on with
   * the cache, and tries again with the next set or `catchUp`.
   */
  readonly onWriteSet: OnWriteSet

  /** The current row, or undefined where there is none (deleted, or never made). Verified. */
  get(kind: RowKind, id: string): Promise<Row | undefined>
  /**
   * The same without waiting, from the cache alone: the row; null where it is known that there is none; undefined where `get` must be asked.
   * The same object is returned until the row changes or is evicted, so what is derived from a row can be kept in a WeakMap. Its `body` and `tag` are
   * accessors, for compactness: read each once, and do not spread the row.
   */
  peek(kind: RowKind, id: string): Row | null | undefined
  /** Current rows, verified, in order of id. Fewer than `page.limit` means that there are no more. */
  list(kind: RowKind, scope: string, page: Page): Promise<readonly Row[]>
  listLinked(kind: RowKind, link: string, page: Page): Promise<readonly Row[]>
  /** Rows whose ids begin with `prefix`; see `Store.listPrefixed`. */
  listPrefixed(kind: RowKind, prefix: string, page: Page): Promise<readonly Row[]>
  listAll(kind: RowKind, page: Page): Promise<readonly Row[]>

  /** Tells of each row of the kind, tombstones included, when its write set arrives: in their order, and before anything is answered that knows of it. */
  watch(kind: RowKind, onRow: (row: Row) => void): void
  /** Tells that what `watch` has told so far is of no more use: the rows that it tells from now on make the whole anew. */
  onForget(forget: () => void): void
  /** Resolves when the store has all rows that `watch` has told of. Rejects with BoundaryError `Unavailable` where it did not take them. */
  settled(): Promise<void>

  /** After `StaleKey`: forgets `stale`, so that `get` brings the current row. `current` is the row of the error. */
  refresh(stale: Row, current: Row | undefined): void

  /** The clear bytes of a row of protection `secret`, opened once and held until the row changes. The same object until then. */
  secret(kind: RowKind, id: string): Promise<Secret | undefined>
  /** The same from memory alone: null where there is none, undefined where `secret` must be asked. */
  peekSecret(kind: RowKind, id: string): Secret | null | undefined
}

/** Makes a replica that is not `ready` yet. The caller closes the store. */
export async function openReplica({ store, boundary, limits }: ReplicaOptions): Promise<Replica> {
  return new StoreReplica(store, boundary, { ...DEFAULT_CACHE_LIMITS, ...limits })
}

/** Something under way for a row. A write set of that row makes it `overtaken`: what it brings back is then older than what is known. */
interface Flight {
  overtaken: boolean
}
interface Airborne<T> {
  readonly flight: Flight
  readonly result: Promise<T>
}
type Flights<T> = Map<string, Airborne<T>>

/** Two changes in a row are chance; a row that changes under every try is somebody's doing, and the caller is told to come back. */
const MAX_TRIES = 8

class StoreReplica implements Replica {
  readonly #store: Store
  readonly #boundary: ReplicaBoundary
  readonly #limits: CacheLimits
  #rows: RowCache
  #secrets: SecretCache
  readonly #verifier: Verifier
  readonly #feed: Feed
  readonly #known: KnownIds
  readonly #loads: Flights<Row | undefined> = new Map()
  readonly #watchers = new Map<RowKind, readonly ((row: Row) => void)[]>()
  readonly #openings: Flights<Secret | undefined> = new Map()
  readonly #forgetters: (() => void)[] = []
  #ready = false
  #failure = ''
  /** Counts suspensions: a catch-up that was overtaken by one does not make the replica ready. */
  #connection = 0

  constructor(store: Store, boundary: ReplicaBoundary, limits: CacheLimits) {
    this.#store = store
    this.#boundary = boundary
    this.#limits = limits
    this.#rows = this.#newCache()
    this.#secrets = new SecretCache(limits.secrets)
    this.#verifier = new Verifier(rows => boundary.checkRows(rows))
    this.#feed = new Feed(
      store,
      boundary,
      set => this.#learn(set),
      () => this.#forget(),
    )
    this.#known = new KnownIds(store)
  }

  get ready(): boolean {
    return this.#ready
  }

  get failure(): string {
    return this.#failure
  }

  get appliedUpTo(): number {
    return this.#feed.stored
  }

  get cached(): { rows: number; bytes: number } {
    return { rows: this.#rows.count, bytes: this.#rows.bytes }
  }

  async catchUp(): Promise<void> {
    const connection = this.#connection
    try {
      await this.#feed.catchUp()
      await this.#known.load()
      this.#failure = ''
    } catch (error) {
      const away = error instanceof BoundaryError && error.code === 'Unavailable'
      if (!away) this.#failure = error instanceof BoundaryError ? error.detail : String(error)
      throw error
    }
    if (connection === this.#connection) this.#ready = true
  }

  suspend(): void {
    this.#ready = false
    this.#connection++
  }

  readonly onWriteSet: OnWriteSet = set => this.#feed.take(set)

  /** Called in the order of the numbers, once for each, when the set arrives. */
  #learn(set: WriteSet): void {
    for (const row of set.rows) {
      const { kind, id, revision } = row
      // What is known may be newer: the boundary's answer to a question can overtake its write sets. What is not known is asked for when it is wanted.
      const known = this.#rows.revision(kind, id)
      if (known !== undefined && known < revision) this.#rows.set(row)
      this.#secrets.drop(kind, id)
      this.#known.learn(row)
      for (const onRow of this.#watchers.get(kind) ?? []) onRow(row)
      const key = flightKey(kind, id)
      overtake(this.#loads, key)
      overtake(this.#openings, key)
    }
  }

  #newCache(): RowCache {
    return new RowCache(this.#limits.bytes, this.#limits.absent)
  }

  /** The store was emptied: a row that was deleted and forgotten meanwhile is in no write set that is to come. */
  #forget(): void {
    this.#rows = this.#newCache()
    this.#secrets = new SecretCache(this.#limits.secrets)
    for (const key of this.#loads.keys()) overtake(this.#loads, key)
    for (const key of this.#openings.keys()) overtake(this.#openings, key)
    for (const onForget of this.#forgetters) onForget()
  }

  onForget(forget: () => void): void {
    this.#forgetters.push(forget)
  }

  peek(kind: RowKind, id: string): Row | null | undefined {
    if (!this.#ready) return undefined
    const known = this.#rows.get(kind, id)
    if (known !== undefined) return known
    return this.#known.lacks(kind, id) || !isId(id) ? null : undefined
  }

  async get(kind: RowKind, id: string): Promise<Row | undefined> {
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      this.#mustBeReady()
      const known = this.peek(kind, id)
      if (known !== undefined) return known ?? undefined
      const load = this.#fly(this.#loads, kind, id, flight => this.#load(kind, id, flight))
      const row = await load.result
      if (!load.flight.overtaken) return row
    }
    throw new BoundaryError('Unavailable', 'the row keeps changing')
  }

  /** Loads, verifies and caches a row, unless a write set of it came in between: then the caller looks again. */
  async #load(kind: RowKind, id: string, flight: Flight): Promise<Row | undefined> {
    const current = await this.#verifier.current(kind, id, await this.#store.get(kind, id))
    if (flight.overtaken) return undefined
    if (current !== undefined) return this.#rows.set(current) ?? undefined
    this.#rows.setAbsent(kind, id, 0)
    return undefined
  }

  list(kind: RowKind, scope: string, page: Page): Promise<readonly Row[]> {
    return this.#list(
      kind,
      row => row.scope === scope,
      next => this.#store.list(kind, scope, next),
      page,
    )
  }

  listLinked(kind: RowKind, link: string, page: Page): Promise<readonly Row[]> {
    return this.#list(
      kind,
      row => row.link === link,
      next => this.#store.listLinked(kind, link, next),
      page,
    )
  }

  listPrefixed(kind: RowKind, prefix: string, page: Page): Promise<readonly Row[]> {
    return this.#list(
      kind,
      row => row.id.startsWith(prefix),
      next => this.#store.listPrefixed(kind, prefix, next),
      page,
    )
  }

  listAll(kind: RowKind, page: Page): Promise<readonly Row[]> {
    return this.#list(
      kind,
      () => true,
      next => this.#store.listAll(kind, next),
      page,
    )
  }

  async #list(
    kind: RowKind,
    matches: ListQuery['matches'],
    load: ListQuery['load'],
    page: Page,
  ): Promise<readonly Row[]> {
    this.#mustBeReady()
    return listVerified({ kind, matches, load }, page, row => {
      const known = this.#rows.get(row.kind, row.id)
      if (known !== undefined) return known ?? undefined
      return this.#verifier.current(row.kind, row.id, row)
    })
  }

  watch(kind: RowKind, onRow: (row: Row) => void): void {
    this.#watchers.set(kind, [...(this.#watchers.get(kind) ?? []), onRow])
  }

  settled(): Promise<void> {
    return this.#feed.settled()
  }

  refresh(stale: Row, _current: Row | undefined): void {
    const { kind, id } = stale
    const known = this.#rows.get(kind, id)
    if (!known || !sameRow(known, stale)) return
    this.#rows.drop(kind, id)
    this.#secrets.drop(kind, id)
    overtake(this.#loads, flightKey(kind, id))
  }

  peekSecret(kind: RowKind, id: string): Secret | null | undefined {
    if (!this.#ready) return undefined
    const secret = this.#secrets.get(kind, id)
    if (secret !== undefined) return secret
    return this.peek(kind, id) === null ? null : undefined
  }

  async secret(kind: RowKind, id: string): Promise<Secret | undefined> {
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      this.#mustBeReady()
      const known = this.peekSecret(kind, id)
      if (known !== undefined) return known ?? undefined
      const opening = this.#fly(this.#openings, kind, id, flight => this.#open(kind, id, flight))
      const secret = await opening.result
      if (!opening.flight.overtaken) return secret
    }
    throw new BoundaryError('Unavailable', 'the secret keeps changing')
  }

  async #open(kind: RowKind, id: string, flight: Flight): Promise<Secret | undefined> {
    const row = await this.get(kind, id)
    if (row === undefined) return undefined
    let clear: Buffer
    try {
      clear = await this.#boundary.openSecret(row)
    } catch (error) {
      if (!(error instanceof BoundaryError) || (error.code !== 'StaleKey' && error.code !== 'KeyGone')) throw error
      this.refresh(row, error.row)
      flight.overtaken = true
      return undefined
    }
    const secret = new Secret(clear)
    clear.fill(0)
    if (!flight.overtaken) this.#secrets.set(kind, id, secret)
    return secret
  }

  /** Starts something for a row, or joins what is under way. */
  #fly<T>(flights: Flights<T>, kind: RowKind, id: string, start: (flight: Flight) => Promise<T>): Airborne<T> {
    const key = flightKey(kind, id)
    const underway = flights.get(key)
    if (underway) return underway
    if (flights.size >= this.#limits.loading) throw new BoundaryError('LimitExceeded', 'too many rows are being loaded')
    const flight: Flight = { overtaken: false }
    const landed = () => {
      if (flights.get(key)?.flight === flight) flights.delete(key)
    }
    const airborne = { flight, result: start(flight).finally(landed) }
    flights.set(key, airborne)
    return airborne
  }

  #mustBeReady(): void {
    if (!this.#ready) throw new BoundaryError('Unavailable', 'not caught up with the boundary')
  }
}

function flightKey(kind: RowKind, id: string): string {
  return `${kind} ${id}`
}

function overtake<T>(flights: Flights<T>, key: string): void {
  const airborne = flights.get(key)
  if (airborne === undefined) return
  airborne.flight.overtaken = true
  flights.delete(key)
}

function sameRow(a: Row, b: Row): boolean {
  return a.revision === b.revision && a.tag.equals(b.tag)
}
