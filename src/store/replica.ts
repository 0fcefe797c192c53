/**
 * What a front end holds of the rows: the store, caught up with the boundary, and a bounded cache of rows that the boundary has vouched for.
 * Nothing that was read from the store is trusted before the boundary has checked it (promise 12).
 */
import type { BoundaryUse, OnWriteSet } from '../boundary/client/api.ts'
import type { Row, RowKind } from '../boundary/words.ts'
import type { Secret } from './secret.ts'
import type { Page, Store } from './types.ts'

/** What the replica needs of the boundary. */
export type ReplicaBoundary = Pick<BoundaryUse, 'status' | 'writeSets' | 'checkRows' | 'openSecret'>

export interface CacheLimits {
  /** Memory for verified rows, overhead included, in bytes. */
  readonly bytes: number
  /** How many ids may be remembered as not existing; strangers can evict only each other. */
  readonly absent: number
  /** Opened secrets held in memory. */
  readonly secrets: number
  /** Loads from the store that may wait at once; beyond it `get` rejects with BoundaryError `LimitExceeded`. */
  readonly loading: number
}

export interface ReplicaOptions {
  readonly store: Store
  readonly boundary: ReplicaBoundary
  readonly limits?: Partial<CacheLimits>
}

export interface Replica {
  /** True between a finished `catchUp` and `suspend`. While false `peek` knows nothing and `get` rejects with BoundaryError `Unavailable`. */
  readonly ready: boolean
  /** Number of the last write set in the store. */
  readonly appliedUpTo: number

  /** Call at every (re)connection, before serving: applies what is missing from the boundary. Rejects if the store is ahead of the boundary. */
  catchUp(): Promise<void>
  /** Call when the connection to the boundary is lost: nothing is served from what may have become stale. */
  suspend(): void
  /** The handler for `OnWriteSet`: cache and store, in order. Resolves when the store has it durably. */
  readonly onWriteSet: OnWriteSet

  /** The current row, or undefined where there is none (deleted, or never made). Verified. */
  get(kind: RowKind, id: string): Promise<Row | undefined>
  /**
   * The same without waiting, from the cache alone: the row; null where it is known that there is none; undefined where `get` must be asked.
   * The same object is returned until the row changes, so what is derived from a row can be kept in a WeakMap.
   */
  peek(kind: RowKind, id: string): Row | null | undefined
  /** Current rows, verified, in order of id. Fewer than `page.limit` means that there are no more. */
  list(kind: RowKind, scope: string, page: Page): Promise<readonly Row[]>
  listLinked(kind: RowKind, link: string, page: Page): Promise<readonly Row[]>
  listAll(kind: RowKind, page: Page): Promise<readonly Row[]>

  /** After `StaleKey`: takes the row that the boundary answered with (`row` of the error), or drops `stale` where it is gone. */
  refresh(stale: Row, current: Row | undefined): void

  /** The clear bytes of a row of protection `secret`, opened once and held until the row changes. The same object until then. */
  secret(kind: RowKind, id: string): Promise<Secret | undefined>
  /** The same from memory alone: null where there is none, undefined where `secret` must be asked. */
  peekSecret(kind: RowKind, id: string): Secret | null | undefined
}

/** Makes a replica that is not `ready` yet. The caller closes the store. */
export declare function openReplica(options: ReplicaOptions): Promise<Replica>
