import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { KeyRow } from '../boundary/client/api.ts'
import { rowDigest } from '../boundary/crypto/rows.ts'
import { BoundaryError, type BoundaryErrorCode, type Row } from '../boundary/words.ts'
import { startReplica as start } from './testing.ts'

const text = (row: Row | null | undefined) => (row ? row.body?.toString() : row)
const refused = (promise: Promise<unknown>, code: BoundaryErrorCode) =>
  assert.rejects(promise, error => error instanceof BoundaryError && error.code === code)

describe('lookups', () => {
  it('of one turn are verified in one request, and of one row once', async () => {
    const { store, boundary, replica, write } = await start()
    await write(...['a', 'b', 'c'].map(id => ({ kind: 'key' as const, id, body: id })))
    const rows = await Promise.all(['a', 'b', 'c', 'a', 'x'].map(id => replica.get('key', id)))
    assert.deepEqual(rows.map(text), ['a', 'b', 'c', 'a', undefined])
    assert.deepEqual(boundary.checks, [4])
    assert.equal(store.reads, 4)
    assert.equal(replica.peek('key', 'a'), rows[0])
    await Promise.all(['a', 'b', 'c', 'x'].map(id => replica.get('key', id)))
    assert.equal(store.reads, 4)
  })

  it("promise 11: strangers' ids cost no read, no question and no memory", async () => {
    const { store, boundary, replica, write } = await start()
    await write({ kind: 'credential', id: 'AK', body: 'x' })
    for (let i = 0; i < 1000; i++) {
      assert.equal(await replica.secret('credential', `AK${i}`), undefined)
      assert.equal(await replica.get('tenant', `t${i}`), undefined)
    }
    for (const id of ['', '\0', '\ud800', 'x'.repeat(10_000)]) assert.equal(await replica.get('key', id), undefined)
    assert.deepEqual([store.reads, boundary.checks.length, boundary.opened], [0, 0, 0])
    assert.equal(text(await replica.get('credential', 'AK')), 'x')
  })

  it('are bounded in number, and what does not exist is remembered up to a bound', async () => {
    const { store, replica, boundary } = await start({ loading: 3, absent: 10 })
    const gate = Promise.withResolvers<void>()
    boundary.gate = gate.promise
    const waiting = ['1', '2', '3'].map(id => replica.get('alias', id))
    await refused(replica.get('alias', '4'), 'LimitExceeded')
    gate.resolve()
    await Promise.all(waiting)
    for (let i = 0; i < 50; i++) await replica.get('alias', `${i}`)
    const reads = store.reads
    for (let i = 40; i < 50; i++) await replica.get('alias', `${i}`)
    assert.equal(store.reads, reads)
    await replica.get('alias', '0')
    assert.equal(store.reads, reads + 1)
  })

  it('the cache keeps its bound, drops what was not used, and pins no pages', async () => {
    const bytes = 1024 * 1024
    const { replica, boundary } = await start({ bytes })
    const page = Buffer.alloc(64 * 1024)
    for (let i = 0; i < 40; i++) {
      const changes = Array.from({ length: 50 }, (_, j) => ({
        kind: 'key' as const,
        id: `${i}-${j}`,
        body: 'x'.repeat(500 + j),
      }))
      await replica.onWriteSet(boundary.write(...changes))
      await Promise.all([...changes.map(({ id }) => replica.get('key', id)), replica.get('key', '0-0')])
      assert.ok(replica.cached.bytes <= bytes, `${replica.cached.bytes}`)
    }
    assert.ok(replica.cached.rows > 700, `${replica.cached.rows}`)
    const row = replica.peek('key', '0-0')
    assert.equal(row?.body?.length, 500)
    assert.equal(replica.peek('key', '0-1'), undefined)
    assert.notEqual(row?.body?.buffer, page.buffer)
    for (let j = 0; j < 50; j++) {
      const kept = replica.peek('key', `39-${j}`)
      assert.deepEqual(kept?.tag, boundary.current.get(`key 39-${j}`)?.tag)
      assert.deepEqual(kept?.body, boundary.current.get(`key 39-${j}`)?.body)
      assert.deepEqual((kept as KeyRow).digest, rowDigest(boundary.current.get(`key 39-${j}`) as KeyRow))
    }
  })

  it('equal policies lie in memory once, and each row still has its own', async () => {
    const { replica, boundary } = await start({ bytes: 2 * 1024 * 1024 })
    const policy = (i: number) => ({
      kind: 'policy' as const,
      id: `${i}`,
      body: (i % 3 === 0 ? 'a' : 'b').repeat(4000),
    })
    for (let page = 0; page < 10; page++) {
      await replica.onWriteSet(boundary.write(...Array.from({ length: 200 }, (_, i) => policy(page * 200 + i))))
    }
    for (let i = 0; i < 2000; i++) await replica.get('policy', `${i}`)
    assert.equal(replica.cached.rows, 2000, 'two thousand rows of 4000 bytes in two megabytes')
    for (let i = 0; i < 2000; i++) {
      const row = replica.peek('policy', `${i}`)
      assert.equal(text(row), policy(i).body)
      assert.deepEqual(row?.tag, boundary.current.get(`policy ${i}`)?.tag)
    }
    for (let i = 0; i < 2000; i += 3)
      await replica.onWriteSet(boundary.write({ kind: 'policy', id: `${i}`, body: `own ${i}` }))
    assert.equal(text(replica.peek('policy', '1')), policy(1).body)
    assert.equal(text(replica.peek('policy', '3')), 'own 3')
  })

  it('a row that its holder keeps stays whole after it was evicted', async () => {
    const { replica, boundary } = await start({ bytes: 300 * 1024 })
    const make = (i: number) => ({ kind: 'key' as const, id: `${i}`, body: `${i}`.padEnd(1000, '.') })
    await replica.onWriteSet(boundary.write(...Array.from({ length: 2000 }, (_, i) => make(i))))
    const kept = (await replica.get('key', '0')) as Row
    for (let i = 1; i < 2000; i++) await replica.get('key', `${i}`)
    assert.equal(replica.peek('key', '0'), undefined)
    assert.equal(kept.body?.toString(), make(0).body)
  })
})
