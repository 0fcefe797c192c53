/** The checker against a journal that was written: whatever pieces its bytes come in, only what is whole and in its place passes. */
import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import fc from 'fast-check'
import { EMPTY_ROOT, Tree } from '../boundary/journal/merkle.ts'
import { SimDisk } from '../boundary/journal/simdisk.ts'
import { base, Ledger } from '../boundary/journal/testing.ts'
import type { SignedPlace } from '../boundary/journal/types.ts'
import { Bad } from '../log/bad.ts'
import { JournalChecker } from './check.ts'
import type { Place } from './format.ts'

const BEGINNING: Place = { size: 0, lastTime: 0, lastWriteSet: 0, segment: 0, offset: 0, crc: 0, root: EMPTY_ROOT }

/** Bytes of each segment, by name, and where the journal stood at a few sizes. */
let segments: Map<string, Buffer>
let places: SignedPlace[]

before(async () => {
  const disk = new SimDisk(5)
  await disk.mkdir('/b')
  const { journal } = await Ledger.open(disk)
  places = []
  for (let n = 0; n < 60; n++) {
    await journal.append(Buffer.from(`record ${n}`), n % 3 === 0 ? Buffer.from(`rows ${n}`) : undefined)
    if (n % 20 === 19) places.push(await journal.signedPlace())
  }
  await journal.close()
  const names = await disk.readdir('/b/journal')
  segments = new Map(names.map(name => [name, disk.contents(`/b/journal/${name}`)]))
  assert.ok(segments.size > 3)
})

const checker = () => new JournalChecker(base.boundaryId, BEGINNING, new Tree(() => {}))

const same = ({ size, root, lastTime, lastWriteSet, segment, offset, crc }: SignedPlace): Place => ({
  size,
  lastTime,
  lastWriteSet,
  segment,
  offset,
  crc,
  root,
})

/** Pushes all segments in pieces of these lengths, over and over; returns what passed. */
function pushAll(
  check: JournalChecker,
  lengths: readonly number[],
  change: (name: string, bytes: Buffer) => Buffer,
): Buffer {
  const passed: Buffer[] = []
  let turn = 0
  for (const [index, [name, bytes]] of [...segments].entries()) {
    if (index > 0) check.nextSegment()
    const given = change(name, bytes)
    for (let at = 0; at < given.length; ) {
      const length = lengths[turn++ % lengths.length] ?? 1
      passed.push(Buffer.from(check.push(given.subarray(at, at + length))))
      at += length
    }
  }
  return Buffer.concat(passed)
}

const unchanged = (_name: string, bytes: Buffer): Buffer => bytes

test('in pieces of any lengths everything passes, and ends where the journal says', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 900 }), { minLength: 1, maxLength: 20 }), lengths => {
      const check = checker()
      assert.deepEqual(pushAll(check, lengths, unchanged), Buffer.concat([...segments.values()]))
      assert.equal(check.unfinished, 0)
      assert.deepEqual(check.place, same(places.at(-1) as SignedPlace))
    }),
    { numRuns: 50 },
  )
})

test('any byte changed, taken away or put in is told, and no frame from there on passes', () => {
  const names = [...segments.keys()]
  const edit = fc.record({
    segment: fc.nat({ max: names.length - 1 }),
    at: fc.nat(),
    how: fc.constantFrom('change', 'cut', 'insert'),
  })
  fc.assert(
    fc.property(edit, ({ segment, at: anywhere, how }) => {
      const check = checker()
      const change = (name: string, bytes: Buffer): Buffer => {
        if (name !== names[segment]) return bytes
        const at = anywhere % bytes.length
        if (how === 'change') {
          const changed = Buffer.from(bytes)
          changed.writeUInt8(changed.readUInt8(at) ^ 0x10, at)
          return changed
        }
        const rest = bytes.subarray(how === 'cut' ? at + 1 : at)
        return Buffer.concat([bytes.subarray(0, at), Buffer.alloc(how === 'cut' ? 0 : 1), rest])
      }
      try {
        pushAll(check, [700], change)
        // A length that asks for more than there is leaves the rest unfinished.
        assert.ok(check.unfinished > 0)
      } catch (error) {
        assert.ok(error instanceof Bad, String(error))
      }
      assert.ok(check.tree.size < 60)
    }),
    { numRuns: 200 },
  )
})

test('it goes on from any place that the journal was at, and stops at one', () => {
  for (const place of places) {
    const check = checker()
    let passed = 0
    for (const [index, bytes] of [...segments.values()].entries()) {
      if (index > 0) check.nextSegment()
      passed += check.push(bytes, place.size).length
      if (check.tree.size === place.size) break
    }
    assert.equal(check.tree.size, place.size)
    assert.deepEqual(check.tree.root(), place.root)
    const ahead = check.unfinished
    check.push(Buffer.alloc(0))
    assert.ok(passed > 0 && check.unfinished <= ahead)
  }
})

test('a root that is known from elsewhere must be the records’ own', () => {
  const [first] = places
  const right = checker()
  right.expect({ size: first?.size ?? 0, root: first?.root ?? EMPTY_ROOT })
  pushAll(right, [1000], unchanged)
  const wrong = checker()
  wrong.expect({ size: first?.size ?? 0, root: EMPTY_ROOT })
  assert.throws(() => pushAll(wrong, [1000], unchanged), /do not make the root that was signed for 20 records/)
})

test('a segment of another boundary, or out of its turn, does not pass', () => {
  const other = new JournalChecker(Buffer.alloc(16, 9), BEGINNING, new Tree(() => {}))
  assert.throws(() => pushAll(other, [1000], unchanged), /another boundary/)
  const [, second = Buffer.alloc(0)] = [...segments.values()]
  assert.throws(() => checker().push(second), /begins with record \d+ where 0 should follow/)
})
