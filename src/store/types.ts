/**
 * The store: where rows rest. It is derived from the boundary's write sets, and it is not trusted: whoever can write it can destroy service, and
 * nothing else. Every method is asynchronous, so that a database across a network can stand behind it; `contract.ts` is the test of one.
 */
import type { Row, RowKind, WriteSet } from '../boundary/words.ts'

export interface Page {
  /** Rows with ids strictly above this one; '' from the start. */
  readonly after: string
  /** 1..10000. */
  readonly limit: number
}

export interface Store {
  /** Number of the last write set applied; 0 for a new store. */
  appliedUpTo(): Promise<number>
  /**
   * Applies write sets in one transaction with `appliedUpTo`. Sets already applied are passed over; a gap in the numbers is refused; a row whose
   * revision is not above the stored one is refused (compare-and-set). A tombstone of `FORGOTTEN_KINDS` leaves nothing. Resolves when it is durable.
   */
  apply(sets: readonly WriteSet[]): Promise<void>
  /** Empties the store, and sets `appliedUpTo`, in one transaction: what follows are write sets that make the whole anew. Resolves when it is durable. */
  reset(to: number): Promise<void>
  /** The row, tombstones included, or undefined. */
  get(kind: RowKind, id: string): Promise<Row | undefined>
  /** Rows of one kind and scope in order of id (bytewise), tombstones left out. */
  list(kind: RowKind, scope: string, page: Page): Promise<readonly Row[]>
  /** Rows of one kind with this link, in order of id, tombstones left out. */
  listLinked(kind: RowKind, link: string, page: Page): Promise<readonly Row[]>
  /**
   * Rows of one kind whose ids begin with `prefix`, which ends in an ASCII character below DEL, in order of id, tombstones left out. `page.after` is ''
   * or an id that begins so.
   */
  listPrefixed(kind: RowKind, prefix: string, page: Page): Promise<readonly Row[]>
  /** Rows of one kind in every scope, in order of id, tombstones left out. */
  listAll(kind: RowKind, page: Page): Promise<readonly Row[]>
  close(): Promise<void>
}
