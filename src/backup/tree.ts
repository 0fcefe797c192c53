/** The tree of the first records of a journal out of its tiles at their right edge: what it takes to go on where an earlier backup, or what was erased, ends. */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ENTRY_BYTES, HASH_BYTES, TILE_WIDTH, type Tile, Tree } from '../boundary/journal/merkle.ts'
import { leavesOf, peaksOf } from '../boundary/journal/regrow.ts'
import { tilePath } from '../boundary/journal/tiles.ts'

const bytesEach = (level: Tile['level']): number => (level === 'entries' ? ENTRY_BYTES : HASH_BYTES)

/** The first `width` hashes or leaves of a tile, from the partial one of that width, a wider one, or the full one. Rejects with ENOENT. */
export async function readEdge(boundary: string, level: Tile['level'], index: number, width: number): Promise<Buffer> {
  const full = join(boundary, tilePath(level, index, TILE_WIDTH))
  const bytes = width * bytesEach(level)
  const widths = (await readdir(`${full}.p`).catch(() => [])).map(Number).filter(each => each >= width)
  for (const file of [...widths.sort((a, b) => a - b).map(each => `${full}.p/${each}`), full]) {
    const found = await readFile(file).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error
      return undefined
    })
    if (found !== undefined && found.length >= bytes) return found.subarray(0, bytes)
  }
  throw Object.assign(new Error(`${full} is not there`), { code: 'ENOENT' })
}

/** The partial tiles at the right edge of a tree of this size: level, index and width. Lower levels first, the bundle of entries before them. */
export function edgeOf(
  size: number,
): { readonly level: Tile['level']; readonly index: number; readonly width: number }[] {
  const edge: { level: Tile['level']; index: number; width: number }[] = []
  if (size % TILE_WIDTH > 0)
    edge.push({ level: 'entries', index: Math.floor(size / TILE_WIDTH), width: size % TILE_WIDTH })
  for (let level = 0, here = size; here > 0; level++, here = Math.floor(here / TILE_WIDTH))
    if (here % TILE_WIDTH > 0) edge.push({ level, index: Math.floor(here / TILE_WIDTH), width: here % TILE_WIDTH })
  return edge
}

/** The tree of `size` records. `read` is asked for what `edgeOf` names. Throws RangeError where that does not fit. */
export async function treeAt(
  size: number,
  read: (level: Tile['level'], index: number, width: number) => Promise<Buffer>,
  onFull: (tile: Tile) => void,
): Promise<Tree> {
  const levels: Buffer[] = []
  for (let level = 0, here = size; here > 0; level++, here = Math.floor(here / TILE_WIDTH)) {
    const width = here % TILE_WIDTH
    const hashes = width === 0 ? Buffer.alloc(0) : await read(level, Math.floor(here / TILE_WIDTH), width)
    if (hashes.length !== width * HASH_BYTES) throw new RangeError('a tile of another width')
    levels.push(hashes)
  }
  const entries = size % TILE_WIDTH
  const bundle = entries === 0 ? Buffer.alloc(0) : await read('entries', Math.floor(size / TILE_WIDTH), entries)
  if (bundle.length !== entries * ENTRY_BYTES) throw new RangeError('a bundle of another width')
  const leaves = leavesOf(bundle, entries)
  if (leaves === undefined) throw new RangeError('a bundle with an entry that is none')
  return Tree.from({ size, peaks: peaksOf(levels), levels, leaves }, onFull)
}
