import assert from 'node:assert/strict'
import test from 'node:test'
import type { Row, RowKind } from '../../boundary/words.ts'
import { RowCache } from './rows.ts'

const KINDS = ['key', 'policy', 'attributes'] as const
const row = (kind: RowKind, id: string, revision = 1, scope = 's'): Row => ({
  kind,
  id,
  scope,
  link: '',
  revision,
  body: Buffer.from(`${kind} ${id} ${revision} `.padEnd(300, '.')),
  tag: Buffer.alloc(32, revision),
})
const shown = (found: Row | null | undefined) =>
  found && {
    ...row(found.kind, found.id),
    scope: found.scope,
    link: found.link,
    revision: found.revision,
    body: found.body,
    tag: found.tag,
  }

test('the rows of a key are what was put, in whatever order they come, change and go', () => {
  for (const order of [
    [0, 1, 2],
    [1, 0, 2],
    [2, 1, 0],
  ]) {
    const cache = new RowCache(1 << 20, 10)
    const now = new Map<RowKind, Row | null>()
    const same = () => {
      for (const [kind, current] of now) assert.deepEqual(shown(cache.get(kind, 'k')), current, `${order} ${kind}`)
      assert.equal(cache.count, [...now.values()].filter(each => each !== null).length)
    }
    const set = (next: Row) => {
      const cached = cache.set(next)
      assert.equal(cache.get(next.kind, next.id), cached, 'one object until it changes')
      now.set(next.kind, next)
      same()
    }
    for (const at of order) set(row(KINDS[at] as RowKind, 'k'))
    for (const kind of KINDS) set(row(kind, 'k', 2))
    for (const kind of KINDS) assert.equal(cache.revision(kind, 'k'), 2)
    const held = cache.get('policy', 'k')
    cache.set({ ...row('policy', 'k', 3), body: null })
    now.set('policy', null)
    same()
    assert.equal(cache.revision('policy', 'k'), 3)
    assert.deepEqual(shown(held), row('policy', 'k', 2))
    set(row('policy', 'k', 4))
    set(row('key', 'k', 5))
  }
})

test('a key goes with its rows, and what they took is counted no more', () => {
  const cache = new RowCache(1 << 20, 10)
  const empty = cache.bytes
  for (const kind of KINDS) cache.set(row(kind, 'k'))
  cache.drop('key', 'k')
  for (const kind of KINDS) assert.equal(cache.get(kind, 'k'), undefined)
  assert.equal(cache.count, 0)
  assert.equal(cache.bytes, empty)
  for (const kind of KINDS) cache.set(row(kind, 'k'))
  cache.set(row('key', 'k', 2, 'other'))
  assert.equal(cache.get('policy', 'k'), undefined, 'rows of another scope are not those of the key')
  assert.equal(cache.count, 1)
})

test('the bound holds for keys with their rows, and those asked for stay', () => {
  const max = 600 * 1024
  const cache = new RowCache(max, 10)
  for (let i = 0; i < 3000; i++) {
    for (const kind of KINDS) cache.set(row(kind, `${i}`))
    assert.ok(cache.get('attributes', '0'))
    assert.ok(cache.bytes <= max)
  }
  assert.deepEqual(shown(cache.get('key', '0')), row('key', '0'))
  assert.equal(cache.get('key', '1'), undefined)
  assert.equal(cache.get('policy', '1'), undefined)
  assert.deepEqual(shown(cache.get('policy', '2999')), row('policy', '2999'))
})
