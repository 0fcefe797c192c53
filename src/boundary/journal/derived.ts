/**
 * What is derived from durable frames: tiles, checkpoints, snapshots. One piece of work at a time, none of it in the way of a commit. When the file
 * system is full, it waits for better times: nothing that was acknowledged depends on it.
 */
import path from 'node:path'
import type { CheckpointSigner } from './checkpoint.ts'
import { isCode, replaceFile } from './disk.ts'
import type { JournalKeys } from './keys.ts'
import type { Tree } from './merkle.ts'
import { type SnapshotPoint, writeSnapshot } from './snapshot.ts'
import type { TileWriter } from './tiles.ts'
import type { JournalOptions } from './types.ts'

export interface DerivedParts {
  readonly options: Pick<JournalOptions, 'disk' | 'dir' | 'boundaryId'>
  readonly keys: JournalKeys
  /** Holds durable records only. */
  readonly tree: Tree
  readonly tiles: TileWriter
  readonly signer: CheckpointSigner
  /** Size of the newest snapshot that is there. */
  readonly snapshotSize: number
}

export class Derived {
  readonly #parts: DerivedParts
  #work: Promise<unknown> = Promise.resolve()
  #checkpointSize = -1
  #snapshotSize: number
  #snapshotting = false
  /** The partial tiles that earlier processes have left were looked at. */
  #mended = false

  constructor(parts: DerivedParts) {
    this.#parts = parts
    this.#snapshotSize = parts.snapshotSize
  }

  /** Size of the newest snapshot, the one that is being written included. */
  get snapshotSize(): number {
    return this.#snapshotSize
  }

  /** A snapshot is being written: no other can be taken meanwhile. */
  get snapshotting(): boolean {
    return this.#snapshotting
  }

  #then<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#work.then(work)
    this.#work = done.catch(() => {})
    return done
  }

  /** Resolves when everything that was asked for so far is done, or has failed. */
  async settled(): Promise<void> {
    await this.#work
  }

  /** Signs and writes a checkpoint of what is durable when its turn has come, after the tiles of that size. `onSign` is called in that turn. */
  checkpoint(onSign: () => void = () => {}): Promise<string> {
    return this.#then(async () => {
      const { options, tree, tiles, signer } = this.#parts
      const { size } = tree
      onSign()
      const note = signer.sign({ size, root: tree.root() })
      if (size === this.#checkpointSize) return note
      await tiles.flush(tree.partial())
      await replaceFile(options.disk, path.join(options.dir, 'checkpoint'), Buffer.from(note))
      this.#checkpointSize = size
      if (!this.#mended) await tiles.mend(tree.partial())
      this.#mended = true
      return note
    })
  }

  /** Makes durable all that the tree needs of the records before `seq` once they are gone, now and from now on. */
  keep(seq: number): Promise<void> {
    return this.#then(async () => {
      const { tree, tiles } = this.#parts
      tiles.keep(seq)
      await tiles.flush(tree.partial())
      await tiles.sync()
    })
  }

  /** Writes a snapshot of the place and the state given, after making the tiles that it relies on durable. `kept`: of how many there are then; two without it. */
  async snapshot(point: SnapshotPoint, state: Buffer, kept?: number): Promise<void> {
    const before = this.#snapshotSize
    this.#snapshotting = true
    this.#snapshotSize = point.tree.size
    try {
      await this.#then(async () => {
        const { options, keys, tiles } = this.#parts
        const { disk, dir, boundaryId } = options
        await tiles.flush([])
        await tiles.sync()
        const folder = path.join(dir, 'snapshot')
        await writeSnapshot(disk, folder, boundaryId, keys.newest.snapshot, point, state, kept)
      })
    } catch (error) {
      this.#snapshotSize = before
      throw error
    } finally {
      this.#snapshotting = false
    }
  }
}

/** Whether an error says that there is no room, and nothing worse. */
export function isNoRoom(error: unknown): boolean {
  return isCode(error, 'ENOSPC') || isCode(error, 'EDQUOT')
}
