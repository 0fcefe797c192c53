/**
 * Tiles on disk: their names (C2SP tlog-tiles), writing them off the hot path, making them durable for a snapshot, and finding one that is missing.
 * They are derived from the journal, so one that a loss of power took is written again by the start. See docs/formats/journal.md, "Tiles".
 */
import path from 'node:path'
import { type Disk, datasync, isCode, readWhole, writeNew } from './disk.ts'
import { TILE_WIDTH, type Tile } from './merkle.ts'

const MAX_TILE_BYTES = 1024 * 1024

/** Index of a tile in groups of three digits, all but the last with an `x`: 1234067 is `x001/x234/067`. */
export function tileIndexPath(index: number): string {
  const groups = [String(index % 1000).padStart(3, '0')]
  for (let left = Math.floor(index / 1000); left > 0; left = Math.floor(left / 1000))
    groups.unshift(`x${String(left % 1000).padStart(3, '0')}`)
  return groups.join('/')
}

/** Path of a tile below the boundary's folder. */
export function tilePath(level: Tile['level'], index: number, width: number): string {
  const full = `tile/${level}/${tileIndexPath(index)}`
  return width === TILE_WIDTH ? full : `${full}.p/${width}`
}

export class TileWriter {
  readonly #disk: Disk
  readonly #dir: string
  #waiting: Tile[] = []
  /** Directories that are there. */
  readonly #made = new Set<string>()
  /** Directories of partial tiles that this process wrote, and levels of which it wrote a full tile. */
  readonly #partial = new Set<string>()
  readonly #begun = new Set<Tile['level']>()
  /** Full tiles, and directories with new names in them, that are not durable for certain. */
  readonly #unsyncedFiles = new Set<string>()
  readonly #unsyncedDirs = new Set<string>()
  /** The bundle that holds leaves of erased records beside others: nothing could write it again. */
  #kept = ''

  constructor(disk: Disk, dir: string) {
    this.#disk = disk
    this.#dir = dir
  }

  /** The journal begins at this record: from now on no loss of power may take the leaves before it. */
  keep(seq: number): void {
    const width = seq % TILE_WIDTH
    this.#kept = width === 0 ? '' : path.join(this.#dir, tilePath('entries', Math.floor(seq / TILE_WIDTH), TILE_WIDTH))
  }

  /** Takes a full tile, to be written by the next `flush`. */
  add(tile: Tile): void {
    this.#waiting.push(tile)
  }

  /** Writes every full tile that waits, then these partial ones. What it could not write waits on. One call at a time. */
  async flush(partial: readonly Tile[]): Promise<void> {
    const tiles = this.#waiting
    this.#waiting = []
    let done = 0
    try {
      for (const tile of tiles) {
        await this.#write(tile)
        done++
      }
    } finally {
      if (done < tiles.length) this.#waiting = [...tiles.slice(done), ...this.#waiting]
    }
    for (const tile of partial) await this.#write(tile)
  }

  async #write({ level, index, width, bytes }: Tile): Promise<void> {
    const name = tilePath(level, index, width)
    const file = path.join(this.#dir, name)
    const folder = path.dirname(name)
    await this.#makeDir(folder)
    // Nobody reads a tile before its checkpoint, so a new one is written in place.
    await writeNew(this.#disk, file, [bytes], false, 'keep').catch((error: unknown) =>
      isCode(error, 'EEXIST') ? this.#replace(file, bytes) : Promise.reject(error),
    )
    if (width < TILE_WIDTH) {
      this.#partial.add(path.dirname(file))
      if (path.dirname(file) !== `${this.#kept}.p`) return
    }
    this.#unsyncedFiles.add(file)
    this.#unsyncedDirs.add(path.join(this.#dir, folder))
    if (width < TILE_WIDTH) return
    if (file === this.#kept) await this.sync()
    // The partial ones of an earlier process can only be those of the first tile of a level.
    if (this.#partial.delete(`${file}.p`) || !this.#begun.has(level)) await removePartial(this.#disk, `${file}.p`)
    this.#begun.add(level)
  }

  /** A tile that is there already: from before a restart, and perhaps cut short. */
  async #replace(file: string, bytes: Buffer): Promise<void> {
    const there = await readWhole(this.#disk, file, MAX_TILE_BYTES)
    if (there?.equals(bytes)) return
    await writeNew(this.#disk, `${file}.new`, [bytes], false)
    await this.#disk.rename(`${file}.new`, file)
  }

  /**
   * Beside these partial tiles, which are there: those of earlier sizes, of which a process that ended in the middle of one, or a loss of power, may have left
   * a part, are made whole, and those of a larger size, which no checkpoint names, go.
   */
  async mend(partial: readonly Tile[]): Promise<void> {
    for (const { level, index, width, bytes } of partial) {
      const folder = path.join(this.#dir, path.dirname(tilePath(level, index, width)))
      const names = await this.#disk.readdir(folder)
      const isNarrower = (name: string): boolean => Number(name) < width
      // First those, for one may be what a replacement left that is made again.
      for (const name of names)
        if (name !== String(width) && !isNarrower(name)) await this.#disk.unlink(path.join(folder, name))
      for (const name of names.filter(isNarrower))
        await this.#replace(path.join(folder, name), bytes.subarray(0, (bytes.length / width) * Number(name)))
    }
  }

  async #makeDir(folder: string): Promise<void> {
    if (this.#made.has(folder)) return
    const parent = path.dirname(folder)
    if (folder !== 'tile') await this.#makeDir(parent)
    await this.#disk.mkdir(path.join(this.#dir, folder))
    this.#unsyncedDirs.add(path.join(this.#dir, parent === '.' ? '' : parent))
    // Folders of partial tiles go away again, and there is one for each tile.
    if (!folder.endsWith('.p')) this.#made.add(folder)
  }

  /** Makes every full tile that was written durable, names included. */
  async sync(): Promise<void> {
    for (const file of this.#unsyncedFiles) {
      const opened = await this.#disk.open(file, 'read')
      try {
        await datasync(opened)
      } finally {
        await opened.close()
      }
      this.#unsyncedFiles.delete(file)
    }
    for (const dir of this.#unsyncedDirs) {
      // One of partial tiles can be gone by now.
      await this.#disk.syncDir(dir).catch((error: unknown) => {
        if (!isCode(error, 'ENOENT')) throw error
      })
      this.#unsyncedDirs.delete(dir)
    }
  }
}

async function removePartial(disk: Disk, dir: string): Promise<void> {
  for (const name of await disk.readdir(dir)) await disk.unlink(path.join(dir, name))
  await disk.rmdir(dir).catch((error: unknown) => {
    if (!isCode(error, 'ENOENT')) throw error
  })
}

/**
 * The first full tile of a tree of this size that is not there, or undefined. Reads directories, never tiles. Partial tiles that the full one has
 * replaced, and whose removal was interrupted, go on the way. Tiles of erased records alone, those before `from`, are not looked at: no start can write them again.
 */
export async function firstMissingTile(
  disk: Disk,
  dir: string,
  size: number,
  from: number,
): Promise<string | undefined> {
  let full = Math.floor(size / TILE_WIDTH)
  let begin = Math.floor(from / TILE_WIDTH)
  for (let level = 0; full > 0; level++) {
    for (const kind of level === 0 ? (['entries', 0] as const) : [level]) {
      for (let first = begin - (begin % 1000); first < full; first += 1000) {
        const folder = path.dirname(tilePath(kind, first, TILE_WIDTH))
        const names = new Set(await disk.readdir(path.join(dir, folder)))
        for (let index = Math.max(begin, first); index < Math.min(first + 1000, full); index++) {
          const name = String(index % 1000).padStart(3, '0')
          if (!names.has(name)) return tilePath(kind, index, TILE_WIDTH)
          if (names.has(`${name}.p`)) await removePartial(disk, path.join(dir, folder, `${name}.p`))
        }
      }
    }
    full = Math.floor(full / TILE_WIDTH)
    begin = Math.floor(begin / TILE_WIDTH)
  }
  return undefined
}
