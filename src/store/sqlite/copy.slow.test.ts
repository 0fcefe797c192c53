/** A store's rows as of one moment, while it is written, and a new store that is filled with them. */
import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import type { Row } from '../../boundary/words.ts'
import { StoreError } from '../errors.ts'
import { copyStore, StoreFill } from './copy.ts'
import { openSqliteStore } from './open.ts'

const folder = mkdtempSync(join(tmpdir(), 'holdfast-copy-'))
after(() => rmSync(folder, { recursive: true }))

const row = (n: number, revision: number, body: Buffer | null): Row => ({
  kind: n % 2 === 0 ? 'key' : 'alias',
  id: `row-${n}`,
  scope: 'scope',
  link: n % 3 === 0 ? 'link' : '',
  revision,
  body,
  tag: Buffer.alloc(32, n % 256),
})

test('what is copied is one moment’s, tombstones included, whatever is written meanwhile; and a store filled with it is that store', async () => {
  const file = join(folder, 'store.db')
  const store = await openSqliteStore({ file })
  const rows = Array.from({ length: 5000 }, (_, n) => row(n, 1, Buffer.alloc(1 + (n % 700), n % 256)))
  await store.apply([{ number: 1, rows }])
  await store.apply([{ number: 2, rows: [row(4, 2, null), row(5, 2, Buffer.from('changed'))] }])
  const copy = copyStore(file)
  assert.equal(copy.appliedUpTo, 2)
  const to = join(folder, 'filled.db')
  const fill = new StoreFill(to)
  let batches = 0
  for (const batch of copy.rows) {
    fill.add(batch)
    await store.apply([{ number: 3 + batches, rows: [row(6, 2 + batches, Buffer.from(`later ${batches}`))] }])
    batches++
  }
  assert.ok(batches > 2)
  fill.finish(copy.appliedUpTo)
  copy.close()
  await store.close()
  assert.equal(statSync(to).mode & 0o777, 0o600)
  const filled = await openSqliteStore({ file: to })
  assert.equal(await filled.appliedUpTo(), 2)
  for (const n of [0, 1, 6, 4999])
    assert.deepEqual(await filled.get(n % 2 === 0 ? 'key' : 'alias', `row-${n}`), rows[n])
  assert.equal((await filled.get('key', 'row-4'))?.body, null)
  assert.equal((await filled.get('alias', 'row-5'))?.body?.toString(), 'changed')
  // It goes on as any store does.
  await filled.apply([{ number: 3, rows: [row(6, 2, Buffer.from('on'))] }])
  assert.equal((await filled.get('key', 'row-6'))?.body?.toString(), 'on')
  await filled.close()
})

test('a fill that is abandoned leaves an empty store, and one that is there is not filled', async () => {
  const file = join(folder, 'abandoned.db')
  const fill = new StoreFill(file)
  fill.add([row(1, 1, Buffer.from('x'))])
  fill.abandon()
  const store = await openSqliteStore({ file })
  assert.deepEqual([await store.appliedUpTo(), await store.get('alias', 'row-1')], [0, undefined])
  await store.close()
  assert.throws(() => new StoreFill(file), { code: 'EEXIST' })
  assert.throws(() => copyStore(join(folder, 'none.db')), StoreError)
  assert.ok(!existsSync(join(folder, 'none.db')))
  const twice = new StoreFill(join(folder, 'twice.db'))
  assert.throws(() => twice.add([row(1, 1, null), row(1, 2, null)]), StoreError)
  twice.abandon()
})
