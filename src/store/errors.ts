/**
 * What a store refuses, by name. The same codes for every database.
 */
export const STORE_ERRORS = {
  /** Another process writes this store. */
  Locked: 'another process has this store open for writing',
  /** A later version of the program made it. */
  NewerSchema: 'a newer holdfast made this store: use that one, or a later one',
  /** Something else, or changed by someone else. */
  NotAStore: 'this is no store of holdfast, or its schema was changed',
  NotFound: 'there is no store here',
  /** A write set does not follow the last one applied. */
  Gap: 'a write set is missing before this one',
  /** Compare-and-set: a row's revision is not above the stored one. */
  Conflict: 'a row of this revision or a later one is there already',
  /** A row that cannot be stored as it is. */
  Invalid: 'a row or page is malformed',
  ReadOnly: 'this store was opened for reading only',
  Closed: 'this store is closed',
  /** No space is left. Nothing of the call was applied; it may be repeated. */
  Full: 'there is no space left for the store',
  /** Reading or writing failed. The store must be opened anew; what it holds can be made again from the boundary. */
  Failed: 'the store failed and must be opened anew',
} as const
export type StoreErrorCode = keyof typeof STORE_ERRORS

/** `detail` names the place, never content of rows. */
export class StoreError extends Error {
  readonly code: StoreErrorCode
  readonly detail: string
  constructor(code: StoreErrorCode, detail = '') {
    super(detail === '' ? STORE_ERRORS[code] : `${STORE_ERRORS[code]} (${detail})`)
    this.name = 'StoreError'
    this.code = code
    this.detail = detail
  }
}
