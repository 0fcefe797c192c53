/**
 * The embedded store: one SQLite file. Writes and checkpoints run in a worker thread, because a checkpoint stalls for milliseconds; point reads are
 * short enough for the calling thread.
 */
import type { Store } from '../types.ts'

export interface SqliteOptions {
  /** Made with mode 0600 if it does not exist. */
  readonly file: string
  /** Reads only, beside a service that may be writing. */
  readonly readOnly?: boolean
}

/** Rejects with StoreError `Locked` while another process writes this file, `NewerSchema` for a file of a later version, `NotAStore`, `NotFound`. */
export declare function openSqliteStore(options: SqliteOptions): Promise<Store>
