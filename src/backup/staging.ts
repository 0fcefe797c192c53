/** A service's folder in the making: all of it is written and synced beside its place, and moved there when it is right. */
import { type FileHandle, mkdir, open, readdir, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { realDisk } from '../boundary/journal/disk.ts'
import type { Tile } from '../boundary/journal/merkle.ts'
import { TileWriter } from '../boundary/journal/tiles.ts'
import type { Row } from '../boundary/words.ts'
import { StoreFill } from '../store/sqlite/copy.ts'
import type { Target } from './read.ts'

export const STAGING = 'restore.new'
/** See config/boundary.ts. */
const ORIGIN = 'log-origin'

export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

async function writeSynced(file: string, pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<void> {
  const handle = await open(file, 'w', 0o600)
  try {
    for await (const piece of pieces) await handle.writeFile(piece)
    await handle.sync()
  } finally {
    await handle.close()
  }
}

export class Staging implements Target {
  readonly folder: string
  readonly boundary: string
  readonly frontEnd: string
  readonly #tiles: TileWriter
  #segment: { readonly name: string; readonly handle: FileHandle } | undefined
  #partial: readonly Tile[] = []
  #snapshot = ''
  #configuration: string | undefined

  private constructor(data: string) {
    this.folder = join(data, STAGING)
    this.boundary = join(this.folder, 'boundary')
    this.frontEnd = join(this.folder, 'front-end')
    this.#tiles = new TileWriter(realDisk, this.boundary)
  }

  /** In a data folder that is there. What an earlier one has left is removed. */
  static async begin(data: string): Promise<Staging> {
    const staging = new Staging(data)
    await rm(staging.folder, { recursive: true, force: true })
    for (const each of ['', 'boundary', 'front-end', 'boundary/journal', 'boundary/snapshot'])
      await mkdir(join(staging.folder, each), { mode: 0o700 })
    return staging
  }

  async journal(name: string, bytes: Buffer): Promise<void> {
    if (this.#segment?.name !== name) {
      await this.#endSegment()
      this.#segment = { name, handle: await open(join(this.boundary, 'journal', name), 'a', 0o600) }
    }
    await this.#segment?.handle.writeFile(bytes)
    await this.#tiles.flush([])
  }

  async #endSegment(): Promise<void> {
    await this.#segment?.handle.sync()
    await this.#segment?.handle.close()
    this.#segment = undefined
  }

  full(tile: Tile): void {
    this.#tiles.add(tile)
  }

  async checkpoint(note: Buffer, partial: () => readonly Tile[]): Promise<void> {
    this.#partial = partial()
    await writeSynced(join(this.boundary, 'checkpoint'), [note])
  }

  async tile(name: string, bytes: Buffer): Promise<void> {
    const file = join(this.boundary, name)
    await mkdir(dirname(file), { recursive: true, mode: 0o700 })
    await writeSynced(file, [bytes])
  }

  /** The newest one alone is kept: those of earlier files are of no more use. */
  async snapshot(name: string, pieces: AsyncIterable<Buffer>): Promise<void> {
    if (this.#snapshot !== '') await rm(join(this.boundary, 'snapshot', this.#snapshot), { force: true })
    this.#snapshot = name
    await writeSynced(join(this.boundary, 'snapshot', name), pieces)
  }

  async rows(upTo: number, lists: AsyncIterable<readonly Row[]>): Promise<void> {
    const fill = new StoreFill(join(this.frontEnd, 'store.db'))
    try {
      for await (const rows of lists) fill.add(rows)
    } catch (error) {
      fill.abandon()
      throw error
    }
    fill.finish(upTo)
  }

  async configuration(name: string, bytes: Buffer): Promise<void> {
    this.#configuration = name
    await writeSynced(join(this.folder, `restored-${name}`), [bytes])
  }

  /** Everything that was read is durable when this resolves. */
  async finish(): Promise<void> {
    await this.#endSegment()
    await this.#tiles.flush(this.#partial)
    await this.#tiles.sync()
    for (const each of ['boundary/journal', 'boundary/snapshot', 'boundary', 'front-end', ''])
      await syncFolder(join(this.folder, each))
  }

  /** Puts a file into the boundary's folder. */
  async put(name: string, bytes: Uint8Array): Promise<void> {
    await writeSynced(join(this.boundary, name), [bytes])
    await syncFolder(this.boundary)
  }

  /** The log's name, where a configuration leaves it to the service: a log keeps it for ever. */
  async name(origin: string): Promise<void> {
    await writeSynced(join(this.folder, ORIGIN), [Buffer.from(`${origin}\n`)])
  }

  /** Moves all of it into an empty data folder. The boundary's folder last: without it nothing is there. */
  async moveInto(data: string): Promise<void> {
    await this.#moveBeside(data)
    await rename(this.frontEnd, join(data, 'front-end'))
    await rename(this.boundary, join(data, 'boundary'))
    await this.#end(data)
  }

  /**
   * Moves it into a folder whose boundary has lost its journal. In this order a start in between is refused: a root without its journal has had more than it
   * holds, and a journal without its root is none.
   */
  async moveBeside(data: string): Promise<void> {
    await this.#moveBeside(data)
    const frontEnd = join(data, 'front-end')
    await mkdir(frontEnd, { recursive: true, mode: 0o700 })
    for (const end of ['', '-wal', '-shm'])
      await rename(join(frontEnd, `store.db${end}`), join(frontEnd, `store.db.replaced${end}`)).catch(ifThere)
    await rename(join(this.frontEnd, 'store.db'), join(frontEnd, 'store.db')).catch(ifThere)
    await syncFolder(frontEnd)
    const boundary = join(data, 'boundary')
    for (const each of ['tile', 'snapshot', 'checkpoint', 'journal', 'root']) {
      const from = join(this.boundary, each)
      if (each === 'root' && (await readdir(boundary)).includes('root')) continue
      if (each !== 'checkpoint' && each !== 'root') await rm(join(boundary, each), { recursive: true, force: true })
      await rename(from, join(boundary, each)).catch(ifThere)
      await syncFolder(boundary)
    }
    await this.#end(data)
  }

  /** What lies beside the two folders. */
  async #moveBeside(data: string): Promise<void> {
    if (!(await readdir(data)).includes(ORIGIN)) await rename(join(this.folder, ORIGIN), join(data, ORIGIN))
    if (this.#configuration === undefined) return
    const name = `restored-${this.#configuration}`
    await rename(join(this.folder, name), join(data, name))
  }

  async #end(data: string): Promise<void> {
    await rm(this.folder, { recursive: true, force: true })
    await syncFolder(data)
  }

  async abandon(): Promise<void> {
    await this.#segment?.handle.close()
    await rm(this.folder, { recursive: true, force: true })
  }
}

function ifThere(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error
}
