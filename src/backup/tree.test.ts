/** A tree out of the tiles at its edge is the tree of the same records, at every size. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { leafHash, type Tile, Tree } from '../boundary/journal/merkle.ts'
import { tilePath } from '../boundary/journal/tiles.ts'
import { edgeOf, treeAt } from './tree.ts'

const leaf = (n: number): Buffer => {
  const bytes = Buffer.alloc(48)
  bytes.writeUInt32BE(n, 4)
  return bytes
}

test('at sizes around every border of tiles it is the same tree, and grows as that does', async () => {
  const sizes = new Set([1, 2, 3, 255, 256, 257, 511, 512, 513, 700, 65_535, 65_536, 65_537, 66_100])
  const last = Math.max(...sizes)
  const tiles = new Map<string, Buffer>()
  const states = new Map<number, ReturnType<Tree['state']>>()
  const tree = new Tree((tile: Tile) => tiles.set(tilePath(tile.level, tile.index, 256), tile.bytes))
  for (let n = 0; n < last; n++) {
    tree.push(leaf(n), leafHash(leaf(n)))
    if (sizes.has(n + 1)) states.set(n + 1, tree.state())
  }
  for (const { level, index, bytes } of tree.partial()) tiles.set(tilePath(level, index, 256), bytes)
  const read = async (level: Tile['level'], index: number, width: number): Promise<Buffer> => {
    const bytes = tiles.get(tilePath(level, index, 256)) ?? assert.fail(`${level}/${index}`)
    return bytes.subarray(0, width * (level === 'entries' ? 50 : 32))
  }
  for (const size of sizes) {
    const asked: string[] = []
    const made = await treeAt(
      size,
      (...of) => {
        asked.push(tilePath(...of))
        return read(...of)
      },
      () => {},
    )
    assert.deepEqual(made.state(), states.get(size), String(size))
    assert.deepEqual(
      asked.sort(),
      edgeOf(size)
        .map(({ level, index, width }) => tilePath(level, index, width))
        .sort(),
    )
    for (let n = size; n < Math.min(size + 300, last); n++) made.push(leaf(n), leafHash(leaf(n)))
    if (size === 65_537) {
      for (let n = size + 300; n < last; n++) made.push(leaf(n), leafHash(leaf(n)))
      assert.deepEqual(made.root(), tree.root())
    }
  }
  await assert.rejects(
    treeAt(
      300,
      async () => Buffer.alloc(1),
      () => {},
    ),
    RangeError,
  )
})
