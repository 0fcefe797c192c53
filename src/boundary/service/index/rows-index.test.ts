import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Reader, Writer } from '../../bytes.ts'
import type { RowKind } from '../../words.ts'
import { type Entry, RowsIndex } from './rows-index.ts'

const kinds: RowKind[] = ['key', 'policy', 'attributes', 'alias']
const entryOf = (revision: number, deleted: boolean): Entry => ({
  revision,
  deleted,
  digest: Buffer.alloc(32, revision),
  location: { segment: revision * 3, offset: revision * 7 },
})

test('the index behaves like a map of rows, before and after a snapshot', () => {
  const change = fc.record({
    kind: fc.constantFrom(...kinds),
    id: fc.integer({ min: 0, max: 400 }).map(n => `eu-north-1/${n.toString(36)}-ключ`),
    link: fc.constantFrom('', 'eu-north-1/a', 'eu-north-1/b-longer'),
    deleted: fc.boolean(),
  })
  fc.assert(
    fc.property(fc.array(change, { maxLength: 1200 }), changes => {
      const index = new RowsIndex()
      const model = new Map<string, Entry & { kind: RowKind; id: string; link: string }>()
      for (const { kind, id, link, deleted } of changes) {
        const name = `${kind} ${id}`
        const entry = entryOf((model.get(name)?.revision ?? 0) + 1, deleted)
        index.set(kind, id, link, entry)
        model.set(name, { ...entry, kind, id, link })
      }
      const writer = new Writer()
      index.write(writer)
      const restored = RowsIndex.read(new Reader(writer.done()))
      assert.ok(restored)
      for (const each of [index, restored]) {
        assert.equal(each.size, model.size)
        for (const { kind, id, link: _link, ...entry } of model.values()) assert.deepEqual(each.get(kind, id), entry)
        for (const prefix of ['eu-north-1/a', 'eu-north-1/1', 'ключ', 'eu-north-1/zz-'])
          for (const kind of kinds) {
            const found = [...model.values()].filter(
              row => row.kind === kind && !row.deleted && row.id.startsWith(prefix),
            )
            assert.deepEqual(each.startingWith(kind, prefix).sort(), found.map(({ id }) => id).sort())
          }
        assert.equal(each.get('key', 'never'), undefined)
        for (const kind of kinds) {
          const live = [...model.values()].filter(row => row.kind === kind && !row.deleted)
          assert.equal(each.live(kind), live.length)
          const ids = live
            .map(row => Buffer.from(row.id))
            .sort(Buffer.compare)
            .map(String)
          assert.deepEqual(each.list(kind, '', 10_000), ids)
          assert.deepEqual(
            each.list(kind, ids[2] ?? '', 3),
            ids.slice(ids[2] === undefined ? 0 : 3, ids[2] === undefined ? 3 : 6),
          )
        }
        const linked = [...model.values()].filter(
          row => row.kind === 'alias' && !row.deleted && row.link === 'eu-north-1/a',
        )
        assert.deepEqual(each.linked('alias', 'eu-north-1/a').sort(), linked.map(row => row.id).sort())
      }
    }),
    { numRuns: 30 },
  )
})

test('grants that come and go take no more room than were there at once, and every other row stays findable', () => {
  const id = (n: number) => `eu-north-1/00000000-0000-4000-8000-00000000000${n % 7}#${n.toString(16).padStart(64, '0')}`
  // A place is given away with its bytes, to an id of the same length.
  const change = fc.record({ make: fc.boolean(), at: fc.nat(30), long: fc.boolean(), snapshot: fc.nat(50) })
  fc.assert(
    fc.property(fc.array(change, { maxLength: 800 }), changes => {
      let index = new RowsIndex()
      const live = new Map<string, Entry>()
      const gone: string[] = []
      let made = 0
      const most = { short: 0, long: 0 }
      const others = ['policy', 'attributes', 'key'] as const
      for (const kind of others) index.set(kind, 'eu-north-1/k', '', entryOf(1, false))
      index.set('alias', 'a', 'eu-north-1/k', entryOf(1, true))
      for (const { make, at, long, snapshot } of changes) {
        const name = [...live.keys()][at]
        if (make || name === undefined) {
          const grant = `${long ? 'ap-southeast-1-' : ''}${id(++made)}`
          index.set('grant', grant, '', entryOf(1, false))
          live.set(grant, entryOf(1, false))
        } else {
          index.set('grant', name, '', entryOf(2, true))
          live.delete(name)
          gone.push(name)
        }
        const longs = [...live.keys()].filter(each => each.startsWith('ap-')).length
        most.long = Math.max(most.long, longs)
        most.short = Math.max(most.short, live.size - longs)
        if (snapshot === 0) {
          const writer = new Writer()
          index.write(writer)
          const restored = RowsIndex.read(new Reader(writer.done()))
          assert.ok(restored)
          index = restored
        }
      }
      assert.equal(index.size, most.short + most.long + others.length + 1)
      assert.equal(index.live('grant'), live.size)
      for (const [grant, entry] of live) assert.deepEqual(index.get('grant', grant), entry)
      // Forgotten, or a tombstone still: never what could be used.
      for (const grant of gone) assert.notEqual(index.get('grant', grant)?.deleted, false)
      for (const kind of others) assert.deepEqual(index.get(kind, 'eu-north-1/k'), entryOf(1, false))
      assert.deepEqual(index.get('alias', 'a'), entryOf(1, true), 'tombstones of other kinds stay')
      assert.deepEqual(
        index.startingWith('grant', 'eu-north-1/').length + index.startingWith('grant', 'ap-').length,
        live.size,
      )
    }),
  )
})

test('a grant that is made again under its id is alive, whatever was free', () => {
  const index = new RowsIndex()
  index.set('grant', 'r/k#1', '', entryOf(1, false))
  index.set('grant', 'r/k#1', '', entryOf(2, true))
  index.set('grant', 'r/k#1', '', entryOf(3, false))
  index.set('grant', 'r/k#2', '', entryOf(1, false))
  assert.deepEqual(index.get('grant', 'r/k#1'), entryOf(3, false))
  assert.equal(index.size, 2)
})

test('a grant whose id is that of a key gives no bytes of the key away', () => {
  const index = new RowsIndex()
  index.set('key', 'r/k', '', entryOf(1, false))
  index.set('grant', 'r/k', '', entryOf(1, false))
  index.set('grant', 'r/k', '', entryOf(2, true))
  index.set('grant', 'r/x', '', entryOf(1, false))
  assert.deepEqual(index.get('key', 'r/k'), entryOf(1, false))
  assert.deepEqual(index.list('key', '', 10), ['r/k'])
  assert.equal(index.get('grant', 'r/k'), undefined)
})

test('a revision that is not newer is refused', () => {
  const index = new RowsIndex()
  index.set('key', 'r/k', '', entryOf(2, false))
  assert.throws(() => index.set('key', 'r/k', '', entryOf(2, false)), RangeError)
})

test('100,000 keys with policy and attributes fit into 30 MB', () => {
  const index = new RowsIndex()
  for (let i = 0; i < 100_000; i++) {
    const id = `eu-north-1/00000000-0000-4000-8000-${i.toString().padStart(12, '0')}`
    for (const kind of kinds.slice(0, 3)) index.set(kind, id, '', entryOf(1, false))
  }
  const writer = new Writer(1 << 25)
  index.write(writer)
  assert.ok(writer.length < 30e6, `${writer.length} bytes`)
  assert.equal(index.live('key'), 100_000)
})
