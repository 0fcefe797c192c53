/**
 * A store's rows as of one moment, beside a service that may be writing, and a new file filled with them: the store's half of a backup. Rows rather than
 * the file, so that it needs no room beside the store, and may go into a store of another kind.
 */
import { chmodSync, closeSync, fsyncSync, openSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { ROW_KINDS, type Row } from '../../boundary/words.ts'
import { StoreError } from '../errors.ts'
import { checkRow, kindOfCode } from '../rows.ts'
import { checkSchema, MIGRATIONS, migrate, schemaVersion } from './schema.ts'
import { translate } from './translate.ts'

const BATCH_BYTES = 512 * 1024
const BATCH_ROWS = 4096
/** What a row takes beside its texts and its body, about. */
const ROW_BYTES = 64

export interface StoreCopy {
  /** Number of the last write set that the rows are of. */
  readonly appliedUpTo: number
  /** Every row, tombstones included, in batches of about half a megabyte. */
  readonly rows: Iterable<readonly Row[]>
  close(): void
}

/** Throws StoreError. Until `close` the file keeps what is written meanwhile in its write-ahead log. */
export function copyStore(file: string): StoreCopy {
  let database: DatabaseSync | undefined
  try {
    database = new DatabaseSync(file, { readOnly: true, timeout: 5000 })
    database.exec('PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON')
    if (schemaVersion(database) !== MIGRATIONS.length)
      throw new StoreError('NewerSchema', 'another schema than this program’s')
    checkSchema(database)
    database.exec('BEGIN')
    const value = database.prepare("SELECT value FROM meta WHERE name = 'appliedUpTo'").get()?.value
    if (typeof value !== 'number') throw new StoreError('NotAStore', 'meta')
    const open = database
    return { appliedUpTo: value, rows: batches(open), close: () => open.close() }
  } catch (error) {
    database?.close()
    throw translate(error)
  }
}

function* batches(database: DatabaseSync): Generator<readonly Row[]> {
  const all = database.prepare('SELECT kind, id, scope, link, revision, body, tag FROM rows')
  all.setReturnArrays(true)
  let batch: Row[] = []
  let bytes = 0
  try {
    for (const columns of all.iterate() as Iterable<unknown>) {
      const row = rowOf(columns as readonly unknown[])
      batch.push(row)
      bytes += ROW_BYTES + row.id.length + row.scope.length + row.link.length + (row.body?.length ?? 0)
      if (bytes < BATCH_BYTES && batch.length < BATCH_ROWS) continue
      yield batch
      batch = []
      bytes = 0
    }
  } catch (error) {
    throw translate(error)
  }
  if (batch.length > 0) yield batch
}

/** The file is not trusted: what could not be kept as a row is refused. */
function rowOf([kind, id, scope, link, revision, body, tag]: readonly unknown[]): Row {
  if (typeof kind !== 'number' || typeof id !== 'string' || typeof scope !== 'string' || typeof link !== 'string')
    throw new StoreError('Failed', 'row')
  if (typeof revision !== 'number' || !(tag instanceof Uint8Array)) throw new StoreError('Failed', 'row')
  if (body !== null && !(body instanceof Uint8Array)) throw new StoreError('Failed', 'row')
  const row = {
    kind: kindOfCode(kind),
    id,
    scope,
    link,
    revision,
    body: body && Buffer.from(body),
    tag: Buffer.from(tag),
  }
  checkRow(row)
  return row
}

/** A new store that is filled with the rows of a copy, and is one only when `finish` has returned. */
export class StoreFill {
  readonly #file: string
  readonly #database: DatabaseSync
  readonly #insert: ReturnType<DatabaseSync['prepare']>

  /** `file` must not exist. Throws StoreError. */
  constructor(file: string) {
    this.#file = file
    closeSync(openSync(file, 'wx', 0o600))
    chmodSync(file, 0o600)
    this.#database = new DatabaseSync(file)
    try {
      // Nothing of it is of use before it is whole: it is synced once, at the end.
      this.#database.exec('PRAGMA trusted_schema = OFF; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF')
      migrate(this.#database)
      this.#database.exec('BEGIN')
      this.#insert = this.#database.prepare('INSERT INTO rows VALUES (?, ?, ?, ?, ?, ?, ?)')
    } catch (error) {
      this.#database.close()
      throw translate(error)
    }
  }

  /** Throws StoreError. */
  add(rows: readonly Row[]): void {
    try {
      for (const row of rows) {
        checkRow(row)
        const { kind, id, scope, link, revision, body, tag } = row
        this.#insert.run(ROW_KINDS[kind].code, id, scope, link, revision, body, tag)
      }
    } catch (error) {
      throw translate(error)
    }
  }

  /** Durable when it returns. */
  finish(appliedUpTo: number): void {
    try {
      this.#database.prepare("UPDATE meta SET value = ? WHERE name = 'appliedUpTo'").run(appliedUpTo)
      this.#database.exec('COMMIT')
    } catch (error) {
      throw translate(error)
    }
    this.#database.close()
    const fd = openSync(this.#file, 'r')
    fsyncSync(fd)
    closeSync(fd)
  }

  /** Without finishing. */
  abandon(): void {
    this.#database.close()
  }
}
