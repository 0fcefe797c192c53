import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { EMPTY_ROOT, leafHash, nodeHash, type Tile, Tree } from './merkle.ts'
import { tileIndexPath, tilePath } from './tiles.ts'

/** A recursive root by the words of RFC 6962 §2.1. */
function naiveRoot(leaves: readonly Buffer[]): Buffer {
  if (leaves.length === 0) return EMPTY_ROOT
  if (leaves.length === 1) return leafHash(leaves[0] as Buffer)
  let split = 1
  while (split * 2 < leaves.length) split *= 2
  return nodeHash(naiveRoot(leaves.slice(0, split)), naiveRoot(leaves.slice(split)))
}

const leaf = (n: number): Buffer => hash('sha384', `leaf ${n}`, 'buffer')
const leaves = Array.from({ length: 70_000 }, (_, n) => leaf(n))

test('promise 7: the log only grows, and outsiders can check it — the tree is that of RFC 6962', () => {
  const one = leaf(0)
  assert.equal(leafHash(one).toString('hex'), hash('sha256', Buffer.concat([Buffer.from([0]), one])))
  assert.equal(nodeHash(one.subarray(0, 32), one.subarray(16)).toString('hex'), hash('sha256', Buffer.concat([Buffer.from([1]), one.subarray(0, 32), one.subarray(16)]))) // biome-ignore format: one line says it
  const tree = new Tree(() => {})
  for (let size = 0; size <= 300; size++) {
    assert.deepEqual(tree.root(), naiveRoot(leaves.slice(0, size)), `size ${size}`)
    tree.push(leaf(size), leafHash(leaf(size)))
  }
})

test('promise 7: the log only grows, and outsiders can check it — tiles hold what C2SP tlog-tiles says', () => {
  const tiles: Tile[] = []
  const tree = new Tree(tile => tiles.push(tile))
  for (const each of leaves) tree.push(each, leafHash(each))
  // The specification's own example: a tree of 70,000.
  const full = (level: Tile['level']) => tiles.filter(tile => tile.level === level).length
  assert.deepEqual([full('entries'), full(0), full(1), full(2)], [273, 273, 1, 0])
  const widths = Object.fromEntries(tree.partial().map(({ level, index, width }) => [level, [index, width]]))
  assert.deepEqual(widths, { entries: [273, 112], 0: [273, 112], 1: [1, 17], 2: [0, 1] })
  for (const { level, index, width, bytes } of [...tiles, ...tree.partial()]) {
    if (level === 'entries') {
      for (let at = 0; at < width; at++) {
        assert.equal(bytes.readUInt16BE(at * 50), 48)
        assert.deepEqual(bytes.subarray(at * 50 + 2, at * 50 + 50), leaves[index * 256 + at])
      }
      continue
    }
    if (level === 0 && index % 40 !== 0) continue
    for (let at = 0; at < width; at++) {
      const span: number = 256 ** level
      const from: number = (index * 256 + at) * span
      assert.deepEqual(bytes.subarray(at * 32, at * 32 + 32), naiveRoot(leaves.slice(from, from + span)))
    }
  }
  assert.equal(tileIndexPath(1234067), 'x001/x234/067')
  assert.equal(tilePath(3, 0, 256), 'tile/3/000')
  assert.equal(tilePath('entries', 1000, 7), 'tile/entries/x001/000.p/7')
})

test('a tree goes on from its state as if it had never stopped', () => {
  fc.assert(
    fc.property(fc.nat(1500), fc.nat(1500), (first, more) => {
      const straight: Tile[] = []
      const resumed: Tile[] = []
      const whole = new Tree(tile => straight.push(tile))
      const before = new Tree(tile => resumed.push(tile))
      for (const each of leaves.slice(0, first)) before.push(each, leafHash(each))
      const after = Tree.from(before.state(), tile => resumed.push(tile))
      for (const each of leaves.slice(first, first + more)) after.push(each, leafHash(each))
      for (const each of leaves.slice(0, first + more)) whole.push(each, leafHash(each))
      assert.deepEqual(after.root(), whole.root())
      assert.deepEqual(after.state(), whole.state())
      assert.deepEqual(resumed, straight)
      const state = before.state()
      for (const wrong of [
        { ...state, size: first + 1 },
        { ...state, peaks: [...state.peaks, EMPTY_ROOT] },
      ])
        assert.throws(() => Tree.from(wrong, () => {}), RangeError)
    }),
    { numRuns: 30 },
  )
})
