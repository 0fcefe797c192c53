/** Going back to an older state that was accepted: what was derived from records that the journal does not hold any more is taken away. */
import path from 'node:path'
import type { Disk } from './disk.ts'
import { TILE_WIDTH } from './merkle.ts'
import { listSnapshots } from './snapshot.ts'

const INDEX = /^\d{3}$/
const GROUP = /^x\d{3}$/
const PARTIAL = /^(\d{3})\.p$/

/** Removes snapshots and tiles that cover more than the first `size` records. Those that are left are of the records that are left. */
export async function discardBeyond(disk: Disk, dir: string, size: number): Promise<void> {
  const snapshots = path.join(dir, 'snapshot')
  for (const name of await listSnapshots(disk, snapshots))
    if (Number.parseInt(name, 10) > size) await disk.unlink(path.join(snapshots, name))
  await disk.syncDir(snapshots)
  for (const level of await disk.readdir(path.join(dir, 'tile'))) {
    const span = level === 'entries' ? 1 : TILE_WIDTH ** Number(level)
    await discardTiles(disk, path.join(dir, 'tile', level), 0, Math.floor(size / span))
  }
}

/** Of one folder of a level: its tiles begin at index `base` × 1000, and `kept` hashes of the level are kept. */
async function discardTiles(disk: Disk, folder: string, base: number, kept: number): Promise<void> {
  for (const name of await disk.readdir(folder)) {
    const below = path.join(folder, name)
    if (GROUP.test(name)) {
      await discardTiles(disk, below, base * 1000 + Number(name.slice(1)), kept)
      continue
    }
    const [, partial] = PARTIAL.exec(name) ?? []
    const first = (base * 1000 + Number(partial ?? name)) * TILE_WIDTH
    if (partial !== undefined) {
      const widths = await disk.readdir(below)
      const beyond = widths.filter(width => first + Number(width) > kept)
      for (const width of beyond) await disk.unlink(path.join(below, width))
      if (beyond.length === widths.length) await disk.rmdir(below)
    } else if (INDEX.test(name) && first + TILE_WIDTH > kept) await disk.unlink(below)
  }
  await disk.syncDir(folder)
}
