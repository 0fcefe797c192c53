/**
 * What follows the commits: checkpoints and snapshots, when each is due, and what becomes of one that fails. Without room it is tried again later; any other
 * failure is the journal's end.
 */
import { type Derived, isNoRoom } from './derived.ts'
import type { Tree } from './merkle.ts'
import type { Space } from './space.ts'
import { Spaced } from './spaced.ts'
import type { Place } from './types.ts'

export interface FollowingParts {
  readonly derived: Derived
  readonly tree: Tree
  readonly space: Space
  readonly checkpointEveryMs: number
  /** Records from one snapshot to the next. */
  readonly snapshotFrames: number
  /** The caller's state, as of the last durable record. */
  readonly state: () => Buffer
  /** Where the last durable record ends. */
  readonly place: () => Place
  /** Why the journal is at its end, once it is. */
  readonly dead: () => Error | undefined
  readonly die: (error: unknown) => void
  /** A snapshot has been written. */
  readonly onSnapshot: () => void
}

export class Following {
  readonly #parts: FollowingParts
  readonly #checkpoints: Spaced
  #due = false
  #ending = false

  constructor(parts: FollowingParts) {
    this.#parts = parts
    this.#checkpoints = new Spaced(parts.checkpointEveryMs, () => {
      if (!parts.dead()) parts.derived.checkpoint().catch(error => this.failed(error))
    })
  }

  /** Whether a snapshot is to be taken as soon as nothing is being written. */
  get due(): boolean {
    return this.#due
  }

  get snapshotting(): boolean {
    return this.#parts.derived.snapshotting
  }

  /** To be called when there are more durable records. */
  look(): void {
    const { tree, derived, snapshotFrames } = this.#parts
    if (tree.size - derived.snapshotSize >= snapshotFrames) this.#due = true
  }

  checkpointSoon(): void {
    if (!this.#ending) this.#checkpoints.soon()
  }

  /** The first one of a folder. */
  firstCheckpoint(): Promise<unknown> {
    return this.#parts.derived.checkpoint().catch(error => this.failed(error))
  }

  checkpoint(onSign?: () => void): Promise<string> {
    return this.orFail(this.#parts.derived.checkpoint(onSign))
  }

  /** Takes the state now, and has it written. Not while space is low: it would eat what revoking needs. */
  snapshot(): void {
    const { derived, space, tree, onSnapshot } = this.#parts
    this.#due = derived.snapshotting
    if (this.#due || space.low || tree.size === derived.snapshotSize) return
    this.takeSnapshot().then(onSnapshot, error => this.failed(error))
  }

  async takeSnapshot(kept?: number): Promise<void> {
    const { derived, tree, state, place } = this.#parts
    await derived.snapshot({ ...place(), tree: tree.state() }, state(), kept)
  }

  failed(error: unknown): void {
    if (isNoRoom(error)) this.checkpointSoon()
    else this.#parts.die(error)
  }

  /** Work that somebody waits for: what is asked of it may be out of range, anything else has failed. */
  async orFail<T>(work: Promise<T>): Promise<T> {
    try {
      return await work
    } catch (error) {
      if (!(error instanceof RangeError)) this.failed(error)
      throw error
    }
  }

  /** Nothing follows by itself any more. */
  end(): void {
    this.#ending = true
    this.#checkpoints.stop()
  }

  /** The last checkpoint and snapshot. Without room for them the next start does what they would have spared it. */
  async last(): Promise<void> {
    const { derived, tree, space, dead, die } = this.#parts
    try {
      await derived.checkpoint()
      await derived.settled()
      const died = dead()
      if (died) throw died
      if (tree.size !== derived.snapshotSize && !space.low) await this.takeSnapshot()
    } catch (error) {
      if (isNoRoom(error)) return
      die(error)
      throw error
    }
  }
}
