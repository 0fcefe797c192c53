/**
 * The writing side of the embedded store, synchronous; it runs in the worker thread. It holds the lock of the file, applies write sets in
 * transactions, and checkpoints.
 */
import { chmodSync, closeSync, fsyncSync, openSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import { FORGOTTEN_KINDS, ROW_KINDS, type WriteSet } from '../../boundary/words.ts'
import { StoreError } from '../errors.ts'
import { migrate } from './schema.ts'
import { BUSY, sqliteCode, translate } from './translate.ts'

/** A checkpoint is due once the write-ahead log is longer than this. */
const CHECKPOINT_BYTES = 4 * 1024 * 1024

/** Milliseconds that the lock is waited for: of two services that are started at once, the one that has the boundary is to have the store too. */
const LOCK_MS = 3000

const UPSERT = `INSERT INTO rows (kind, id, scope, link, revision, body, tag) VALUES (?, ?, ?, ?, ?, ?, ?)
  ON CONFLICT (kind, id) DO UPDATE SET scope = excluded.scope, link = excluded.link, revision = excluded.revision,
    body = excluded.body, tag = excluded.tag WHERE excluded.revision > rows.revision`

/** After the upsert of a tombstone, which has refused a revision that is not newer. */
const FORGET = 'DELETE FROM rows WHERE kind = ? AND id = ? AND body IS NULL'

export class SqliteWriter {
  readonly #file: string
  readonly #lock: DatabaseSync
  readonly #database: DatabaseSync
  readonly #upsert: StatementSync
  readonly #forget: StatementSync
  readonly #setApplied: StatementSync
  #applied: number
  /** After a failed read or write nothing is known of what is on disk. */
  #failed = false

  /** Throws StoreError. */
  constructor(file: string) {
    this.#file = file
    this.#lock = lock(`${file}.lock`)
    try {
      ensureFile(file)
      this.#database = open(file)
    } catch (error) {
      this.#lock.close()
      throw translate(error)
    }
    this.#upsert = this.#database.prepare(UPSERT)
    this.#forget = this.#database.prepare(FORGET)
    this.#setApplied = this.#database.prepare("UPDATE meta SET value = ? WHERE name = 'appliedUpTo'")
    this.#applied = Number(this.#database.prepare("SELECT value FROM meta WHERE name = 'appliedUpTo'").get()?.value)
  }

  /**
   * Applies several calls in one transaction, each by itself all or nothing. The answer holds for each what it was refused with, or undefined, and
   * comes when everything is durable. Throws only where nothing of it was done.
   */
  apply(calls: readonly (readonly WriteSet[])[]): (StoreError | undefined)[] {
    return this.#inTransaction(() => calls.map(sets => this.#applyCall(sets)))
  }

  /** Empties it, with the number after which the next write set follows. Throws where nothing of it was done. */
  reset(to: number): void {
    this.#inTransaction(() => {
      this.#database.exec('DELETE FROM rows')
      this.#applied = to
    })
  }

  #inTransaction<T>(work: () => T): T {
    if (this.#failed) throw new StoreError('Failed')
    const before = this.#applied
    try {
      this.#database.exec('BEGIN IMMEDIATE')
      const result = work()
      this.#setApplied.run(this.#applied)
      this.#database.exec('COMMIT')
      return result
    } catch (error) {
      this.#applied = before
      const translated = translate(error)
      if (translated.code === 'Failed') this.#failed = true
      else if (this.#database.isTransaction) this.#database.exec('ROLLBACK')
      throw translated
    }
  }

  #applyCall(sets: readonly WriteSet[]): StoreError | undefined {
    const before = this.#applied
    this.#database.exec('SAVEPOINT call')
    try {
      for (const set of sets) this.#applySet(set)
      this.#database.exec('RELEASE call')
      return undefined
    } catch (error) {
      if (!(error instanceof StoreError)) throw error
      this.#applied = before
      this.#database.exec('ROLLBACK TO call; RELEASE call')
      return error
    }
  }

  #applySet({ number, rows }: WriteSet): void {
    if (number <= this.#applied) return
    if (number !== this.#applied + 1) throw new StoreError('Gap', `${number} after ${this.#applied}`)
    for (const { kind, id, scope, link, revision, body, tag } of rows) {
      const { changes } = this.#upsert.run(ROW_KINDS[kind].code, id, scope, link, revision, body, tag)
      if (changes === 0) throw new StoreError('Conflict', `write set ${number}, ${kind}, revision ${revision}`)
      if (body === null && FORGOTTEN_KINDS.has(kind)) this.#forget.run(ROW_KINDS[kind].code, id)
    }
    this.#applied = number
  }

  /** Bytes of the write-ahead log. */
  #walBytes(): number {
    return statSync(`${this.#file}-wal`, { throwIfNoEntry: false })?.size ?? 0
  }

  checkpointDue(): boolean {
    return !this.#failed && this.#walBytes() > CHECKPOINT_BYTES
  }

  /** Moves the write-ahead log into the file, as far as readers allow, so that it starts anew. */
  checkpoint(): void {
    try {
      this.#database.exec('PRAGMA wal_checkpoint(RESTART)')
    } catch (error) {
      if (translate(error).code === 'Failed') this.#failed = true
    }
  }

  close(): void {
    try {
      if (!this.#failed) this.#database.exec('PRAGMA wal_checkpoint(TRUNCATE)')
      this.#database.close()
    } finally {
      this.#lock.close()
    }
  }
}

/**
 * A lock that the kernel drops with the process: an exclusive transaction on a file of its own. It is never opened but through SQLite, because
 * closing any other descriptor of it would drop the lock (POSIX record locks).
 */
function lock(file: string): DatabaseSync {
  ensureFile(file)
  const database = new DatabaseSync(file, { timeout: LOCK_MS })
  try {
    database.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE')
    return database
  } catch (error) {
    database.close()
    throw sqliteCode(error) === BUSY ? new StoreError('Locked', file) : translate(error)
  }
}

/** Makes the file if there is none, durably in its folder, and closes it to others. SQLite gives its side files the same mode. */
function ensureFile(file: string): void {
  try {
    closeSync(openSync(file, 'wx', 0o600))
    const folder = openSync(dirname(file), 'r')
    fsyncSync(folder)
    closeSync(folder)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
  chmodSync(file, 0o600)
}

function open(file: string): DatabaseSync {
  const database = new DatabaseSync(file, { timeout: 5000, enableDoubleQuotedStringLiterals: false })
  try {
    database.exec('PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA journal_mode = WAL')
    database.exec('PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0')
    migrate(database)
    return database
  } catch (error) {
    database.close()
    throw error instanceof StoreError ? new StoreError(error.code, `${file}: ${error.detail}`) : error
  }
}
