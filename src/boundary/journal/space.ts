/**
 * Free space: asked of the file system every second, also while nothing is appended, and the reserve that is given back to it when it runs low. Others may need
 * that more than the journal does: a front end whose store is full asks for nothing that would be appended.
 */
import path from 'node:path'
import { isNoRoom } from './derived.ts'
import { type Disk, isCode, writeNew } from './disk.ts'

const EVERY_MS = 1000

export interface SpaceParts {
  readonly disk: Disk
  readonly dir: string
  readonly floorBytes: number
  readonly reserveBytes: number
  /** Asking failed, and not for want of room. */
  readonly onError: (error: unknown) => void
}

/** Bytes at once: memory that is written for the first time costs a page fault for each page, which one piece that is written again and again saves. */
const PIECE = 1 << 20

function zeros(bytes: number): Uint8Array[] {
  const piece = Buffer.alloc(Math.min(PIECE, bytes))
  return Array.from({ length: Math.ceil(bytes / PIECE) }, (_, n) => piece.subarray(0, bytes - n * PIECE))
}

export class Space {
  readonly #parts: SpaceParts
  #asking: Promise<void> | undefined
  #timer: NodeJS.Timeout | undefined
  #stopped = false
  #low = false
  /** Whether the reserve is there; undefined before the folder was looked at. */
  #reserved: boolean | undefined

  constructor(parts: SpaceParts) {
    this.#parts = parts
  }

  get low(): boolean {
    return this.#low
  }

  /** And goes on by itself in the background. Rejects with the error of the operating system. */
  ask(): Promise<void> {
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = undefined
      clearTimeout(this.#timer)
      if (!this.#stopped) this.#timer = setTimeout(() => this.ask().catch(this.#parts.onError), EVERY_MS).unref()
    })
    return this.#asking
  }

  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
  }

  async #ask(): Promise<void> {
    const { disk, dir, floorBytes, reserveBytes } = this.#parts
    this.#reserved ??= (await disk.readdir(dir)).includes('reserve')
    // Once the reserve was given back there must be room for it above the floor: else it would come and go.
    const needed = floorBytes + (this.#reserved ? 0 : reserveBytes)
    const low = (await disk.freeSpace(dir)) < needed
    if (low && this.#reserved) await this.#giveBack()
    else if (!low && !this.#reserved) await this.#take()
    this.#low = low
  }

  async #giveBack(): Promise<void> {
    const { disk, dir } = this.#parts
    await disk.unlink(path.join(dir, 'reserve')).catch((error: unknown) => {
      if (!isCode(error, 'ENOENT')) throw error
    })
    this.#reserved = false
  }

  /** What another took in this very moment is no reason to stop: the next look finds that space is low. */
  async #take(): Promise<void> {
    const { disk, dir, reserveBytes } = this.#parts
    this.#reserved = true
    await writeNew(disk, path.join(dir, 'reserve'), zeros(reserveBytes), false).catch((error: unknown) =>
      isNoRoom(error) ? this.#giveBack() : Promise.reject(error),
    )
  }
}
