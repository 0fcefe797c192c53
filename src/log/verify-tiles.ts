/** Published tiles and bundles against those that the journal's entries make. Only what a checkpoint promises: newer ones may be in the making. */
import { readdir, readFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { HASH_BYTES, TILE_WIDTH, type Tile, type Tree } from '../boundary/journal/merkle.ts'
import { tilePath } from '../boundary/journal/tiles.ts'
import { Bad } from './bad.ts'

const NAME = /^tile\/(entries|\d{1,2})\/((?:x\d{3}\/)*\d{3})(?:\.p\/(\d{1,3}))?$/

const spanOf = (level: Tile['level']): number => (level === 'entries' ? 1 : TILE_WIDTH ** level)
const bytesOf = (level: Tile['level']): number => (level === 'entries' ? 50 : HASH_BYTES)

async function readMaybe(file: string): Promise<Buffer | undefined> {
  try {
    return await readFile(file)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

export class PublishedTiles {
  readonly #boundary: string
  readonly #size: number
  compared = 0

  /** `size` is that of the checkpoint. */
  constructor(boundary: string, size: number) {
    this.#boundary = boundary
    this.#size = size
  }

  #compare(name: string, tile: Tile, found: Buffer | undefined): void {
    const { level, index, bytes } = tile
    const first = index * TILE_WIDTH * spanOf(level)
    const file = join(this.#boundary, name)
    if (found === undefined) throw new Bad(file, 0, first, 'the tile is missing')
    this.compared++
    if (found.equals(bytes)) return
    let at = 0
    while (at < found.length && at < bytes.length && found[at] === bytes[at]) at++
    const what = found.length === bytes.length ? 'the tile is not what the entries make' : 'the tile has another length'
    throw new Bad(file, at, first + Math.floor(at / bytesOf(level)) * spanOf(level), what)
  }

  /** A full tile; those beyond the checkpoint are passed over. Throws `Bad`. */
  async full(tile: Tile): Promise<void> {
    if ((tile.index + 1) * TILE_WIDTH * spanOf(tile.level) > this.#size) return
    const name = tilePath(tile.level, tile.index, TILE_WIDTH)
    this.#compare(name, tile, await readMaybe(join(this.#boundary, name)))
  }

  /** A partial tile of the checkpoint's size; the full one stands in for one that is gone. Throws `Bad`. */
  async partial(tile: Tile): Promise<void> {
    const name = tilePath(tile.level, tile.index, tile.width)
    const found = await readMaybe(join(this.#boundary, name))
    if (found !== undefined) return this.#compare(name, tile, found)
    const full = tilePath(tile.level, tile.index, TILE_WIDTH)
    const wide = await readMaybe(join(this.#boundary, full))
    this.#compare(wide === undefined ? name : full, tile, wide?.subarray(0, tile.bytes.length))
  }

  /** Partial tiles of earlier checkpoints that are still there. `tree` is that of all entries. Throws `Bad`. */
  async others(tree: Tree): Promise<void> {
    const last = new Map(tree.partial().map(tile => [`${tile.level}/${tile.index}`, tile]))
    for (const name of await this.#partialFiles()) {
      const [, text = '', groups = '', wide = ''] = NAME.exec(name) ?? []
      const level = text === 'entries' ? 'entries' : Number(text)
      const index = Number(groups.replaceAll(/[x/]/g, ''))
      const width = Number(wide)
      if (wide === '' || (index * TILE_WIDTH + width) * spanOf(level) > this.#size) continue
      const whole =
        last.get(`${level}/${index}`)?.bytes ??
        (await readMaybe(join(this.#boundary, tilePath(level, index, TILE_WIDTH))))
      const found = await readMaybe(join(this.#boundary, name))
      // Gone since: the full one has replaced it.
      if (found === undefined || whole === undefined) continue
      this.#compare(name, { level, index, width, bytes: whole.subarray(0, width * bytesOf(level)) }, found)
    }
  }

  async #partialFiles(): Promise<string[]> {
    const files: string[] = []
    const walk = async (folder: string): Promise<void> => {
      const entries = await readdir(folder, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return []
        throw error
      })
      for (const entry of entries) {
        const path = join(folder, entry.name)
        if (entry.isDirectory()) await walk(path)
        else if (folder.endsWith('.p')) files.push(relative(this.#boundary, path))
      }
    }
    await walk(join(this.#boundary, 'tile'))
    return files
  }
}
