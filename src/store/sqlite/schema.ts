/**
 * The schema of the embedded store and its versions. A file says its version in `meta`; older ones are migrated forward in one transaction, newer
 * ones refused. A schema that is not exactly ours is refused too, since a trigger or a view could turn a write into another.
 */
import { DatabaseSync } from 'node:sqlite'
import { StoreError } from '../errors.ts'

/** Step n makes version n + 1 of version n. Never change one that was released: add another. */
export const MIGRATIONS: readonly string[] = [
  `CREATE TABLE meta (name TEXT PRIMARY KEY NOT NULL, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
   CREATE TABLE rows (
     kind INTEGER NOT NULL,
     id TEXT NOT NULL,
     scope TEXT NOT NULL,
     link TEXT NOT NULL,
     revision INTEGER NOT NULL,
     body BLOB,
     tag BLOB NOT NULL,
     PRIMARY KEY (kind, id)
   ) STRICT, WITHOUT ROWID;
   CREATE INDEX rows_by_scope ON rows (kind, scope, id) WHERE body IS NOT NULL;
   CREATE INDEX rows_by_link ON rows (kind, link, id) WHERE body IS NOT NULL AND link <> '';
   INSERT INTO meta VALUES ('appliedUpTo', 0);`,
]

/** Brings the file to the newest version. Throws StoreError `NewerSchema` or `NotAStore`. The caller holds the lock of the file. */
export function migrate(database: DatabaseSync, migrations: readonly string[] = MIGRATIONS): void {
  database.exec('BEGIN IMMEDIATE')
  try {
    const version = schemaVersion(database)
    if (version > migrations.length)
      throw new StoreError(
        'NewerSchema',
        `its schema has version ${version}, and this program knows version ${migrations.length}`,
      )
    const before = version === 0 ? 0 : countRows(database)
    for (const step of migrations.slice(version)) database.exec(step)
    if (version < migrations.length) {
      if (countRows(database) !== before) throw new StoreError('NotAStore', 'a migration lost rows')
      database.prepare("INSERT OR REPLACE INTO meta VALUES ('schema', ?)").run(migrations.length)
    }
    checkSchema(database, migrations)
    database.exec('COMMIT')
  } catch (error) {
    database.exec('ROLLBACK')
    throw error
  }
}

/** The version that the file says; 0 for an empty one. Throws `NotAStore`. */
export function schemaVersion(database: DatabaseSync): number {
  const tables = database.prepare('SELECT count(*) AS n FROM sqlite_schema').get()
  if (tables?.n === 0) return 0
  const meta = database.prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'meta'").get()
  const version = meta && database.prepare("SELECT value FROM meta WHERE name = 'schema'").get()?.value
  if (typeof version !== 'number' || version < 1) throw new StoreError('NotAStore')
  return version
}

function countRows(database: DatabaseSync): unknown {
  return database.prepare('SELECT count(*) AS n FROM rows').get()?.n
}

/** Refuses a file whose tables, indexes, triggers or views are not those that the migrations make. */
export function checkSchema(database: DatabaseSync, migrations: readonly string[] = MIGRATIONS): void {
  const fresh = new DatabaseSync(':memory:')
  for (const step of migrations) fresh.exec(step)
  const right = objects(fresh)
  fresh.close()
  const found = objects(database)
  for (const [name, sql] of found) {
    if (right.get(name) !== sql) throw new StoreError('NotAStore', `schema object ${name}`)
  }
  if (found.size !== right.size) throw new StoreError('NotAStore', 'a table or index is missing')
}

function objects(database: DatabaseSync): Map<string, string> {
  const all = database.prepare('SELECT type, name, sql FROM sqlite_schema').all()
  return new Map(all.map(({ type, name, sql }) => [`${String(type)} ${String(name)}`, String(sql)]))
}
