/**
 * What snapshots say of the journal, against the journal. Their caller's state and their MAC need the boundary's key: the boundary checks those itself,
 * at every start.
 */
import { type FileHandle, open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { encodeSnapshotHead, SNAPSHOT_MAC_BYTES, type SnapshotPoint } from '../boundary/journal/snapshot.ts'
import { Bad } from './bad.ts'

const NAME = /^(\d{20})\.snap$/

export class SnapshotHeads {
  readonly #folder: string
  /** Snapshots that have not agreed yet: file, and where it first differs. */
  readonly #open = new Map<number, { readonly file: string; differs: number | undefined }>()
  readonly #begins: number
  compared = 0

  /** `begins`: the entry with which the journal begins. Of snapshots of what stands before, nothing is left to compare. */
  constructor(boundary: string, begins: number) {
    this.#folder = join(boundary, 'snapshot')
    this.#begins = begins
  }

  async list(): Promise<void> {
    const names = await readdir(this.#folder).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return []
      throw error
    })
    for (const name of names) {
      const size = NAME.exec(name)?.[1]
      if (size !== undefined && (this.#begins === 0 || Number(size) > this.#begins))
        this.#open.set(Number(size), { file: join(this.#folder, name), differs: undefined })
    }
    this.#newest = Math.max(0, ...this.#open.keys())
  }
  #newest = 0

  /** Entries that the newest one covers. */
  get newest(): number {
    return this.#newest
  }

  has(size: number): boolean {
    return this.#open.has(size)
  }

  /** Compares the snapshot of this size with what it must say. One that was made just before a new segment says the same in another way, so the end decides. */
  async check(boundaryId: Buffer, point: SnapshotPoint): Promise<void> {
    const snapshot = this.#open.get(point.tree.size)
    if (snapshot === undefined) return
    let handle: FileHandle
    try {
      handle = await open(snapshot.file, 'r')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
      // Newer ones have replaced it meanwhile.
      this.#open.delete(point.tree.size)
      return
    }
    try {
      const { size } = await handle.stat()
      const bytes = encodeSnapshotHead(boundaryId, point, 0).length
      const head = encodeSnapshotHead(boundaryId, point, Math.max(0, size - bytes - SNAPSHOT_MAC_BYTES))
      const found = Buffer.alloc(head.length)
      await handle.read(found, 0, found.length, 0)
      if (found.equals(head)) {
        this.#open.delete(point.tree.size)
        this.compared++
        return
      }
      let at = 0
      while (found[at] === head[at]) at++
      snapshot.differs = Math.max(at, snapshot.differs ?? 0)
    } finally {
      await handle.close()
    }
  }

  /** All entries have been read. Throws `Bad` for the first snapshot that did not agree. */
  end(size: number): void {
    for (const [covers, { file, differs }] of [...this.#open].sort(([a], [b]) => a - b)) {
      if (covers > size) throw new Bad(file, 0, covers, `the journal has ${size} entries, and the snapshot covers more`)
      throw new Bad(file, differs ?? 0, covers, 'the snapshot does not say what the journal says')
    }
  }
}
