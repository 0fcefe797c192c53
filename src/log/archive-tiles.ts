/** The tiles and bundles of an archive: those of the checkpoint that it has. */
import { mkdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { isCode, readWhole, realDisk, writeNew } from '../boundary/journal/disk.ts'
import { TILE_WIDTH, type Tile } from '../boundary/journal/merkle.ts'
import { tilePath } from '../boundary/journal/tiles.ts'
import { readTile } from './tiles.ts'

const TILES_AT_ONCE = 8

/** Copies the tiles and bundles of a tree of `size` entries, without the full ones of a tree of `old`, which are there. */
export async function copyTiles(boundary: string, dir: string, old: number, size: number): Promise<void> {
  const tiles: (readonly [level: Tile['level'], index: number, file: string])[] = []
  const folders = new Set<string>()
  for (const { level, full, width } of levelsOf(size)) {
    const first = Math.floor(old / TILE_WIDTH ** (level === 'entries' ? 1 : level + 1))
    for (let index = first; index < full + (width > 0 ? 1 : 0); index++)
      tiles.push([level, index, join(dir, tilePath(level, index, index < full ? TILE_WIDTH : width))])
  }
  const copy = async ([level, index, file]: (typeof tiles)[number]): Promise<void> => {
    const bytes = readTile(boundary, level, index, size)
    if ((await readWhole(realDisk, file, 1 << 20))?.equals(bytes) === true) return
    for (let folder = dirname(file); folder !== dir; folder = dirname(folder)) folders.add(folder)
    await mkdir(dirname(file), { recursive: true, mode: 0o700 })
    await writeNew(realDisk, `${file}.new`, [bytes], true)
    await realDisk.rename(`${file}.new`, file)
  }
  for (let at = 0; at < tiles.length; at += TILES_AT_ONCE)
    await Promise.all(tiles.slice(at, at + TILES_AT_ONCE).map(copy))
  for (const folder of folders) await realDisk.syncDir(folder)
}

/** Removes the partial tiles of an earlier checkpoint that this one does not have. */
export async function removePartial(dir: string, old: number, size: number): Promise<void> {
  const partial = (of: number): string[] =>
    levelsOf(of)
      .filter(({ width }) => width > 0)
      .map(({ level, full, width }) => join(dir, tilePath(level, full, width)))
  const kept = new Set(partial(size))
  for (const file of partial(old)) {
    if (kept.has(file)) continue
    try {
      await realDisk.unlink(file)
    } catch (error) {
      if (!isCode(error, 'ENOENT')) throw error
      continue
    }
    if ((await realDisk.readdir(dirname(file))).length === 0) await realDisk.rmdir(dirname(file))
  }
}

/** Of each level, and of the bundles, how many tiles are full, and how wide the last one is, 0 for none. */
function levelsOf(size: number): { level: Tile['level']; full: number; width: number }[] {
  const levels: { level: Tile['level']; full: number; width: number }[] = []
  for (let level = 0, here = size; here > 0; level++) {
    const one = { full: Math.floor(here / TILE_WIDTH), width: here % TILE_WIDTH }
    if (level === 0) levels.push({ level: 'entries', ...one })
    levels.push({ level, ...one })
    here = one.full
  }
  return levels
}
