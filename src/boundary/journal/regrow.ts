/**
 * The tree of the first records from what is published of them: their last bundle, and full tiles. For a journal whose oldest segments were erased, and
 * for reading a log from the middle. Every byte that is used goes into the root, so whoever knows that knows whether they are right.
 */
import path from 'node:path'
import { type Disk, readWhole } from './disk.ts'
import { LEAF_BYTES } from './frame.ts'
import { ENTRY_BYTES, HASH_BYTES, leafHash, nodeHash, TILE_WIDTH, Tree, type TreeState } from './merkle.ts'
import { tilePath } from './tiles.ts'

/** Root of the perfect subtree of as many hashes, a power of two, as stand in `hashes`. */
function perfectRoot(hashes: Buffer): Buffer {
  let row: Buffer[] = []
  for (let at = 0; at < hashes.length; at += HASH_BYTES) row.push(hashes.subarray(at, at + HASH_BYTES))
  while (row.length > 1) {
    const above: Buffer[] = []
    for (let at = 0; at < row.length; at += 2) above.push(nodeHash(row[at] as Buffer, row[at + 1] as Buffer))
    row = above
  }
  return Buffer.from(row[0] as Buffer)
}

/** The leaves in the first `width` entries of a bundle; undefined where it is shorter, or an entry is none. */
export function leavesOf(bundle: Buffer, width: number): Buffer | undefined {
  if (bundle.length < width * ENTRY_BYTES) return undefined
  const leaves = Buffer.alloc(width * LEAF_BYTES)
  for (let at = 0; at < width; at++) {
    if (bundle.readUInt16BE(at * ENTRY_BYTES) !== LEAF_BYTES) return undefined
    bundle.copy(leaves, at * LEAF_BYTES, at * ENTRY_BYTES + 2, (at + 1) * ENTRY_BYTES)
  }
  return leaves
}

/** Every file that may hold the first `width` entries of a bundle: the full one, then partial ones, the widest first. */
async function bundles(disk: Disk, dir: string, index: number, width: number): Promise<string[]> {
  const full = path.join(dir, tilePath('entries', index, TILE_WIDTH))
  const widths = (await disk.readdir(`${full}.p`)).map(Number).filter(each => each >= width)
  return [full, ...widths.sort((a, b) => b - a).map(each => path.join(`${full}.p`, String(each)))]
}

/** The tree of the first `size` records of a folder, where its tiles make this root; else undefined. */
export async function regrow(disk: Disk, dir: string, size: number, root: Buffer): Promise<TreeState | undefined> {
  const levels: Buffer[] = [Buffer.alloc(0)]
  for (let level = 1, here = Math.floor(size / TILE_WIDTH); here > 0; level++) {
    const hashes: Buffer[] = []
    for (let index = here - (here % TILE_WIDTH); index < here; index++) {
      const tile = await readWhole(disk, path.join(dir, tilePath(level - 1, index, TILE_WIDTH)), 1 << 20)
      if (tile?.length !== TILE_WIDTH * HASH_BYTES) return undefined
      hashes.push(perfectRoot(tile))
    }
    levels.push(Buffer.concat(hashes))
    here = Math.floor(here / TILE_WIDTH)
  }
  const width = size % TILE_WIDTH
  if (size === 0 || width === 0) return checked(size, size === 0 ? [] : levels, Buffer.alloc(0), root)
  for (const file of await bundles(disk, dir, Math.floor(size / TILE_WIDTH), width)) {
    const bundle = await readWhole(disk, file, 1 << 20)
    const leaves = bundle === undefined ? undefined : leavesOf(bundle, width)
    if (leaves === undefined) continue
    const hashes: Buffer[] = []
    for (let at = 0; at < leaves.length; at += LEAF_BYTES) hashes.push(leafHash(leaves.subarray(at, at + LEAF_BYTES)))
    levels[0] = Buffer.concat(hashes)
    const state = checked(size, levels, leaves, root)
    if (state !== undefined) return state
  }
  return undefined
}

function checked(size: number, levels: Buffer[], leaves: Buffer, root: Buffer): TreeState | undefined {
  const state = { size, levels, leaves, peaks: peaksOf(levels) }
  return Tree.from(state, () => {})
    .root()
    .equals(root)
    ? state
    : undefined
}

/** Roots of the perfect subtrees, largest first: of each level's partial tile those that its number of hashes, in binary, is made of. */
export function peaksOf(levels: readonly Buffer[]): Buffer[] {
  const peaks: Buffer[] = []
  for (const hashes of levels.toReversed()) {
    const count = hashes.length / HASH_BYTES
    let at = 0
    for (let wide = TILE_WIDTH / 2; wide >= 1; wide /= 2) {
      if ((count & wide) === 0) continue
      peaks.push(perfectRoot(hashes.subarray(at * HASH_BYTES, (at + wide) * HASH_BYTES)))
      at += wide
    }
  }
  return peaks
}
