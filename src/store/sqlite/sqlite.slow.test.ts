import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, describe, it } from 'node:test'
import { storeContract, testRow } from '../contract.ts'
import { StoreError, type StoreErrorCode } from '../errors.ts'
import { openSqliteStore } from './open.ts'
import { QUERIES } from './reader.ts'
import { MIGRATIONS, migrate } from './schema.ts'

const folder = mkdtempSync(join(tmpdir(), 'holdfast-store-'))
after(() => rmSync(folder, { recursive: true }))
let count = 0
const newFile = () => join(folder, `${++count}.db`)
const refused = (promise: Promise<unknown>, code: StoreErrorCode) =>
  assert.rejects(promise, error => error instanceof StoreError && error.code === code)

storeContract('the embedded store', async () => {
  const file = newFile()
  return {
    open: () => openSqliteStore({ file }),
    destroy: async () => rmSync(file),
  }
})

describe('the file of the embedded store', () => {
  it('is searched by an index for every question, however many rows there are', () => {
    const database = new DatabaseSync(':memory:')
    migrate(database)
    const plans: Readonly<Record<keyof typeof QUERIES, string>> = {
      get: 'PRIMARY KEY (kind=? AND id=?)',
      list: 'INDEX rows_by_scope (kind=? AND scope=? AND id>?)',
      linked: 'INDEX rows_by_link (kind=? AND link=? AND id>?)',
      prefixed: 'PRIMARY KEY (kind=? AND id>? AND id<?)',
      all: 'PRIMARY KEY (kind=? AND id>?)',
    }
    for (const name of Object.keys(plans) as (keyof typeof QUERIES)[]) {
      const steps = database.prepare(`EXPLAIN QUERY PLAN ${QUERIES[name]}`).all()
      assert.deepEqual(
        steps.map(({ detail }) => detail),
        [`SEARCH rows USING ${plans[name]}`],
      )
    }
    database.close()
  })

  it('is closed to others, side files too', async () => {
    const file = newFile()
    const store = await openSqliteStore({ file })
    await store.apply([{ number: 1, rows: [testRow('key', 'a', 1)] }])
    const modes = () =>
      readdirSync(folder)
        .filter(name => name.startsWith(`${count}.db`))
        .map(name => [name.slice(String(count).length), (statSync(join(folder, name)).mode & 0o777).toString(8)])
    assert.deepEqual(modes(), [
      ['.db', '600'],
      ['.db-shm', '600'],
      ['.db-wal', '600'],
      ['.db.lock', '600'],
    ])
    await store.close()
    chmodSync(file, 0o644)
    await (await openSqliteStore({ file })).close()
    assert.deepEqual(modes(), [
      ['.db', '600'],
      ['.db.lock', '600'],
    ])
  })

  it('has one writer, and readers beside it', async () => {
    const file = newFile()
    const store = await openSqliteStore({ file })
    await refused(openSqliteStore({ file }), 'Locked')
    await refused(openSqliteStore({ file }), 'Locked')
    const reader = await openSqliteStore({ file, readOnly: true })
    await store.apply([{ number: 1, rows: [testRow('key', 'a', 1)] }])
    assert.equal((await reader.get('key', 'a'))?.revision, 1)
    await refused(reader.apply([{ number: 2, rows: [] }]), 'ReadOnly')
    await reader.close()
    await store.close()
    await (await openSqliteStore({ file })).close()
    await refused(openSqliteStore({ file: newFile(), readOnly: true }), 'NotFound')
  })

  it('promise 4: another process is kept out, and a killed writer leaves what it had acknowledged', async () => {
    const file = newFile()
    const program = `
      const { openSqliteStore } = await import(${JSON.stringify(new URL('./open.ts', import.meta.url).href)})
      const { testRow } = await import(${JSON.stringify(new URL('../contract.ts', import.meta.url).href)})
      const store = await openSqliteStore({ file: process.argv[1] })
      for (let number = 1; ; number++) {
        await store.apply([{ number, rows: [testRow('key', 'k' + number, 1)] }])
        process.stdout.write(number + '\\n')
      }`
    const child = spawn(process.execPath, ['--input-type=module', '-e', program, file], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let acknowledged = 0
    let locked: Promise<void> | undefined
    for await (const chunk of child.stdout) {
      for (const line of String(chunk).trim().split('\n'))
        acknowledged = Math.max(acknowledged, Number(line.length > 6 ? 0 : line))
      if (acknowledged < 100 || locked) continue
      locked = refused(openSqliteStore({ file }), 'Locked').finally(() => child.kill('SIGKILL'))
    }
    await locked
    const store = await openSqliteStore({ file })
    const applied = await store.appliedUpTo()
    assert.ok(applied >= acknowledged && acknowledged >= 100)
    assert.equal((await store.get('key', `k${applied}`))?.revision, 1)
    assert.equal(await store.get('key', `k${applied + 1}`), undefined)
    await store.close()
  })

  it('of a newer version, of something else, or with a schema that was changed is refused by name', async () => {
    const newer = newFile()
    await (await openSqliteStore({ file: newer })).close()
    execSql(newer, "UPDATE meta SET value = 99 WHERE name = 'schema'")
    await assert.rejects(
      openSqliteStore({ file: newer }),
      /a newer holdfast made this store: use that one.*its schema has version 99, and this program knows version 1/,
    )
    await refused(openSqliteStore({ file: newer, readOnly: true }), 'NewerSchema')

    const other = newFile()
    writeFileSync(
      other,
      'this is a text, and long enough to have a header of a hundred bytes if it were a database'.repeat(3),
    )
    await refused(openSqliteStore({ file: other }), 'NotAStore')
    const strange = newFile()
    execSql(strange, 'CREATE TABLE t (a)')
    await refused(openSqliteStore({ file: strange }), 'NotAStore')

    for (const change of [
      'CREATE TRIGGER t AFTER INSERT ON rows BEGIN DELETE FROM rows; END',
      'CREATE VIEW v AS SELECT * FROM rows',
      'DROP INDEX rows_by_link',
      'ALTER TABLE rows ADD COLUMN more TEXT',
    ]) {
      const file = newFile()
      await (await openSqliteStore({ file })).close()
      execSql(file, change)
      await refused(openSqliteStore({ file }), 'NotAStore')
      await refused(openSqliteStore({ file, readOnly: true }), 'NotAStore')
    }
  })

  it('is migrated forward step by step, whole or not at all', () => {
    const [first = ''] = MIGRATIONS
    const database = new DatabaseSync(':memory:')
    migrate(database, [first])
    database.exec("INSERT INTO rows VALUES (1, 'a', '', '', 1, NULL, x'00')")
    const second = 'CREATE TABLE more (a INTEGER) STRICT;'
    assert.throws(() => migrate(database, [first, second, 'DELETE FROM rows;']), /lost rows/)
    assert.throws(() => migrate(database, [first, second, 'CREATE nonsense;']), /syntax/)
    assert.equal(database.prepare("SELECT value FROM meta WHERE name = 'schema'").get()?.value, 1)
    migrate(database, [first, second])
    migrate(database, [first, second])
    assert.equal(database.prepare("SELECT value FROM meta WHERE name = 'schema'").get()?.value, 2)
    assert.throws(
      () => migrate(database, [first]),
      (error: StoreError) => error.code === 'NewerSchema',
    )
  })

  it('survives checkpoints while it is read and written', async () => {
    const file = newFile()
    const store = await openSqliteStore({ file })
    for (let number = 1; number <= 60; number++) {
      const rows = Array.from({ length: 20 }, (_, i) =>
        testRow('key', `${i}`, number, { body: Buffer.alloc(8192, number) }),
      )
      await store.apply([{ number, rows }])
      assert.equal((await store.get('key', '7'))?.revision, number)
    }
    await store.close()
    assert.ok(!existsSync(`${file}-wal`), 'the log is gone after a clean close')
    const again = await openSqliteStore({ file })
    assert.deepEqual((await again.get('key', '19'))?.body, Buffer.alloc(8192, 60))
    await again.close()
  })
})

function execSql(file: string, sql: string): void {
  const database = new DatabaseSync(file)
  database.exec(sql)
  database.close()
}
