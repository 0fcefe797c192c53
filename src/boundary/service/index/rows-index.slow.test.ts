import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { FormatError, Reader, Writer } from '../../bytes.ts'
import { keyOfGrant, type RowKind } from '../../words.ts'
import type { Entry } from './entry.ts'
import { RowsIndex } from './rows-index.ts'

const kinds: RowKind[] = ['key', 'policy', 'attributes', 'alias', 'grant']
const keyId = fc.integer({ min: 0, max: 400 }).map(n => `eu-north-1/${n.toString(36)}-ключ`)
const digits = fc.integer({ min: 0, max: 99 }).map(n => n.toString(16).padStart(64, '0'))
/** Most are as grants' ids are; the others look nearly so. */
const grantId = fc
  .tuple(keyId, fc.constantFrom('#', '#', '#', '', '#0', '##'), digits, fc.constantFrom('', '', '', 'A', 'g'))
  .map(([key, between, hex, last]) => `${key}${between}${last === '' ? hex : hex.slice(1) + last}`)
const entryOf = (revision: number, deleted: boolean): Entry => ({
  revision,
  deleted,
  digest: Buffer.alloc(32, revision),
  location: { segment: revision * 3, offset: revision * 7 },
})

test('the index behaves like a map of rows, before and after a snapshot', () => {
  const change = fc.record({
    row: fc.oneof(
      fc.record({ kind: fc.constantFrom(...kinds), id: keyId }),
      fc.record({ kind: fc.constant('grant' as const), id: grantId }),
    ),
    link: fc.constantFrom('', 'eu-north-1/a', 'eu-north-1/b-longer'),
    deleted: fc.boolean(),
  })
  fc.assert(
    fc.property(fc.array(change, { maxLength: 1200, size: 'max' }), changes => {
      const index = new RowsIndex()
      const model = new Map<string, Entry & { kind: RowKind; id: string; link: string }>()
      for (const { row, link, deleted } of changes) {
        const { kind, id } = row
        const name = `${kind} ${id}`
        const entry = entryOf((model.get(name)?.revision ?? 0) + 1, deleted)
        index.set(kind, id, link, entry)
        model.set(name, { ...entry, kind, id, link })
      }
      const writer = new Writer()
      index.write(writer)
      assert.equal(writer.length, index.bytes)
      const restored = RowsIndex.read(new Reader(writer.done()))
      assert.ok(restored)
      const liveGrants = [...model.values()].filter(({ kind, deleted }) => kind === 'grant' && !deleted)
      for (const each of [index, restored]) {
        assert.ok(each.size <= model.size)
        for (const { kind, id, link: _link, ...entry } of model.values()) {
          const found = each.get(kind, id)
          // A tombstone of a grant may have been forgotten.
          if (kind !== 'grant' || !entry.deleted || found !== undefined) assert.deepEqual(found, entry)
        }
        for (const { id } of liveGrants.slice(0, 20)) {
          for (const other of [id.toUpperCase(), id.slice(0, -1), `${id}0`, id.replace('#', '-')])
            assert.ok(each.get('grant', other) === undefined || model.has(`grant ${other}`), other)
          const key = id.slice(0, id.indexOf('#') < 0 ? id.length : id.indexOf('#'))
          const found = liveGrants.filter(grant => grant.id.startsWith(`${key}#`))
          assert.deepEqual(each.grantsOf(key).sort(), found.map(grant => grant.id).sort())
        }
        assert.deepEqual(each.grantsOf('eu-north-1/never'), [])
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
    // With keys that the grants begin with, and without: their ids are kept in another way then.
    fc.property(fc.array(change, { maxLength: 800, size: 'max' }), fc.boolean(), (changes, keys) => {
      let index = new RowsIndex()
      const live = new Map<string, Entry>()
      const gone: string[] = []
      let made = 0
      const most = { short: 0, long: 0 }
      const others = ['policy', 'attributes', 'key'] as const
      for (const kind of others) index.set(kind, 'eu-north-1/k', '', entryOf(1, false))
      index.set('alias', 'a', 'eu-north-1/k', entryOf(1, true))
      const keyIds = new Set(Array.from({ length: keys ? 7 : 0 }, (_, n) => keyOfGrant(id(n))))
      for (const key of keyIds) index.set('key', key, '', entryOf(1, false))
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
      assert.equal(index.size, most.short + most.long + others.length + 1 + keyIds.size)
      assert.equal(index.live('grant'), live.size)
      for (const [grant, entry] of live) assert.deepEqual(index.get('grant', grant), entry)
      // Forgotten, or a tombstone still: never what could be used.
      for (const grant of gone) assert.notEqual(index.get('grant', grant)?.deleted, false)
      for (const kind of others) assert.deepEqual(index.get(kind, 'eu-north-1/k'), entryOf(1, false))
      assert.deepEqual(index.get('alias', 'a'), entryOf(1, true), 'tombstones of other kinds stay')
      assert.deepEqual(index.list('grant', '', 10_000), [...live.keys()].sort())
      const ofFirst = [...live.keys()].filter(grant => keyOfGrant(grant) === keyOfGrant(id(0)))
      assert.deepEqual(index.grantsOf(keyOfGrant(id(0))).sort(), ofFirst.sort())
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

test('promise 11: a snapshot that was made of other bytes is refused, or read as something that can be asked', () => {
  const index = new RowsIndex()
  for (let n = 0; n < 4; n++) {
    index.set('key', `r/${n}`, '', entryOf(1, false))
    index.set('alias', `r/alias/${n}`, `r/${n}`, entryOf(1, false))
    index.set('grant', `r/${n}#${'0'.repeat(63)}${n}`, '', entryOf(1, n === 1))
  }
  const writer = new Writer()
  index.write(writer)
  const good = Buffer.from(writer.done())
  fc.assert(
    fc.property(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
      const bytes = Buffer.from(good)
      bytes[at] = (bytes[at] ?? 0) ^ change
      // How many rows there are is believed, and room is made for them.
      if (at < 9) return
      try {
        const read = RowsIndex.read(new Reader(bytes))
        for (const kind of kinds) for (const id of read?.list(kind, '', 100) ?? []) read?.get(kind, id)
        for (const key of ['r/0', 'r/1']) read?.grantsOf(key)
      } catch (error) {
        assert.ok(error instanceof FormatError, String(error))
      }
    }),
    { numRuns: 3000 },
  )
})

test('a snapshot whose rows do not fit together is refused', () => {
  const index = new RowsIndex()
  index.set('key', 'r/k', '', entryOf(1, false))
  index.set('grant', `r/k#${'a'.repeat(64)}`, '', entryOf(1, false))
  const writer = new Writer()
  index.write(writer)
  const good = Buffer.from(writer.done())
  assert.ok(RowsIndex.read(new Reader(good)))
  // Two rows behind 9 bytes and an arena of 35: hashes, kinds, flags, places and lengths of ids, places and lengths of links.
  const columns = 9 + 35
  const [kinds, flags, idAt, idLength, linkAt] = [8, 10, 12, 20, 24].map(at => columns + at) as [
    number,
    number,
    number,
    number,
    number,
  ]
  const cases: readonly (readonly [what: string, at: number, value: number])[] = [
    ['a kind that there is not', kinds, 250],
    ['a short id of a policy', kinds + 1, 2],
    ['a flag that there is not', flags + 1, 4],
    ['an id beyond the arena', idAt, 33],
    ['digits beyond the arena', idAt + 4, 4],
    ['a length that key and digits do not make', idLength + 2, 67],
    ['a key that is a grant', linkAt + 4, 1],
    ['a key that is not there', linkAt + 4, 2],
  ]
  for (const [what, at, value] of cases) {
    const bytes = Buffer.from(good)
    assert.notEqual(bytes[at], value, what)
    bytes[at] = value
    assert.throws(() => RowsIndex.read(new Reader(bytes)), FormatError, what)
  }
})

test('100,000 grants of 100 keys fit into 11 MB', () => {
  const index = new RowsIndex()
  for (let key = 0; key < 100; key++) {
    const id = `eu-north-1/00000000-0000-4000-8000-${key.toString().padStart(12, '0')}`
    index.set('key', id, '', entryOf(1, false))
    for (let n = 0; n < 1000; n++)
      index.set('grant', `${id}#${n.toString(16).padStart(64, '0')}`, `${id}#somebody`, entryOf(1, false))
  }
  assert.ok(index.bytes < 11e6, `${index.bytes} bytes`)
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
