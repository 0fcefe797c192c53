/** Hashes of perfect subtrees from the tiles in a boundary's folder (C2SP tlog-tiles). Nothing vouches for a tile but the root that a proof leads to. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { HASH_BYTES, nodeHash, TILE_WIDTH } from '../boundary/journal/merkle.ts'
import { tilePath } from '../boundary/journal/tiles.ts'
import type { SubtreeHash } from './proofs.ts'

const TILE_HEIGHT = 8

/** Bytes of a tile that a tree of `size` has; the full one stands in for a partial one that is gone. Throws ENOENT. */
export function readTile(boundary: string, level: number | 'entries', index: number, size: number): Buffer {
  const bytesEach = level === 'entries' ? 50 : HASH_BYTES
  const here = Math.floor(size / TILE_WIDTH ** (level === 'entries' ? 0 : level))
  const width = Math.min(TILE_WIDTH, here - index * TILE_WIDTH)
  try {
    return readFileSync(join(boundary, tilePath(level, index, width)))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || width === TILE_WIDTH) throw error
    return readFileSync(join(boundary, tilePath(level, index, TILE_WIDTH))).subarray(0, width * bytesEach)
  }
}

/** The subtrees of a tree of `size`. Throws where a tile is missing, and RangeError where one is cut short. */
export function tileSubtrees(boundary: string, size: number): SubtreeHash {
  const tiles = new Map<string, Buffer>()
  return (height, index) => {
    const level = Math.floor(height / TILE_HEIGHT)
    const count = 2 ** (height % TILE_HEIGHT)
    const first = index * count
    const tileIndex = Math.floor(first / TILE_WIDTH)
    const name = `${level}/${tileIndex}`
    const tile = tiles.get(name) ?? readTile(boundary, level, tileIndex, size)
    tiles.set(name, tile)
    let hashes: Buffer[] = []
    for (let at = first % TILE_WIDTH; hashes.length < count; at++) {
      const hash = tile.subarray(at * HASH_BYTES, (at + 1) * HASH_BYTES)
      if (hash.length !== HASH_BYTES) throw new RangeError(`tile ${name} is cut short`)
      hashes.push(hash)
    }
    while (hashes.length > 1) {
      const above: Buffer[] = []
      for (let at = 0; at < hashes.length; at += 2) above.push(nodeHash(hashes[at] as Buffer, hashes[at + 1] as Buffer))
      hashes = above
    }
    return hashes[0] as Buffer
  }
}
