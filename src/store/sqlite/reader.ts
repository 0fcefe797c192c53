/**
 * The reading side of the embedded store: prepared statements on a second, read-only connection. A point read takes a few microseconds, so it runs in
 * the calling thread.
 */
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import { ROW_KINDS, type Row, type RowKind } from '../../boundary/words.ts'
import { StoreError } from '../errors.ts'
import { checkPage, endOfPrefix } from '../rows.ts'
import type { Page } from '../types.ts'
import { checkSchema, MIGRATIONS, schemaVersion } from './schema.ts'
import { translate } from './translate.ts'

const ROW = 'SELECT id, scope, link, revision, body, tag FROM rows'
const PAGE = 'AND id > ? AND body IS NOT NULL ORDER BY id LIMIT ?'

/** Every question to the table. The index is named: left to itself SQLite walks all rows of a kind, because they lie in the order that is wanted. */
export const QUERIES = {
  get: `${ROW} WHERE kind = ? AND id = ?`,
  list: `${ROW} INDEXED BY rows_by_scope WHERE kind = ? AND scope = ? ${PAGE}`,
  linked: `${ROW} INDEXED BY rows_by_link WHERE kind = ? AND link = ? AND link <> '' ${PAGE}`,
  prefixed: `${ROW} WHERE kind = ? AND id < ? ${PAGE}`,
  all: `${ROW} WHERE kind = ? ${PAGE}`,
} as const

export class SqliteReader {
  readonly #database: DatabaseSync
  readonly #applied: StatementSync
  readonly #get: StatementSync
  readonly #list: StatementSync
  readonly #linked: StatementSync
  readonly #prefixed: StatementSync
  readonly #all: StatementSync

  /** Throws StoreError. */
  constructor(file: string) {
    let database: DatabaseSync | undefined
    try {
      database = new DatabaseSync(file, { readOnly: true, timeout: 5000 })
      database.exec('PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON')
      const version = schemaVersion(database)
      if (version > MIGRATIONS.length) throw new StoreError('NewerSchema', `schema ${version}`)
      if (version < MIGRATIONS.length) throw new StoreError('NotAStore', `schema ${version}, not migrated yet`)
      checkSchema(database)
    } catch (error) {
      database?.close()
      throw translate(error)
    }
    const prepare = (sql: string) => {
      const statement = database.prepare(sql)
      statement.setReturnArrays(true)
      return statement
    }
    this.#database = database
    this.#applied = prepare("SELECT value FROM meta WHERE name = 'appliedUpTo'")
    this.#get = prepare(QUERIES.get)
    this.#list = prepare(QUERIES.list)
    this.#linked = prepare(QUERIES.linked)
    this.#prefixed = prepare(QUERIES.prefixed)
    this.#all = prepare(QUERIES.all)
  }

  appliedUpTo(): number {
    const [value] = read(() => this.#applied.get() as unknown as unknown[] | undefined) ?? []
    if (typeof value !== 'number') throw new StoreError('NotAStore', 'meta')
    return value
  }

  get(kind: RowKind, id: string): Row | undefined {
    const found = read(() => this.#get.get(ROW_KINDS[kind].code, id) as unknown as unknown[] | undefined)
    return found && toRow(kind, found)
  }

  list(kind: RowKind, scope: string, page: Page): Row[] {
    checkPage(page)
    return this.#rows(kind, () => this.#list.all(ROW_KINDS[kind].code, scope, page.after, page.limit))
  }

  listLinked(kind: RowKind, link: string, page: Page): Row[] {
    checkPage(page)
    return this.#rows(kind, () => this.#linked.all(ROW_KINDS[kind].code, link, page.after, page.limit))
  }

  listPrefixed(kind: RowKind, prefix: string, page: Page): Row[] {
    checkPage(page)
    const after = page.after === '' ? prefix : page.after
    return this.#rows(kind, () => this.#prefixed.all(ROW_KINDS[kind].code, endOfPrefix(prefix), after, page.limit))
  }

  listAll(kind: RowKind, page: Page): Row[] {
    checkPage(page)
    return this.#rows(kind, () => this.#all.all(ROW_KINDS[kind].code, page.after, page.limit))
  }

  #rows(kind: RowKind, query: () => unknown): Row[] {
    return (read(query) as unknown[][]).map(columns => toRow(kind, columns))
  }

  close(): void {
    this.#database.close()
  }
}

function read<T>(query: () => T): T {
  try {
    return query()
  } catch (error) {
    throw translate(error)
  }
}

/** The file is not trusted: what has other types than ours never becomes a row. */
function toRow(kind: RowKind, [id, scope, link, revision, body, tag]: readonly unknown[]): Row {
  if (typeof id !== 'string' || typeof scope !== 'string' || typeof link !== 'string')
    throw new StoreError('Failed', 'row')
  if (typeof revision !== 'number' || !(tag instanceof Uint8Array)) throw new StoreError('Failed', 'row')
  if (body !== null && !(body instanceof Uint8Array)) throw new StoreError('Failed', 'row')
  return { kind, id, scope, link, revision, body: body && view(body), tag: view(tag) }
}

function view({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength)
}
