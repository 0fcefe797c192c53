/** Free space: asked of the file system now and then, and the reserve that is given back to it when it runs low. */
import path from 'node:path'
import { type Disk, isCode, writeNew } from './disk.ts'

const EVERY_MS = 1000

export class Space {
  readonly #disk: Disk
  readonly #dir: string
  readonly #floorBytes: number
  readonly #reserveBytes: number
  #askedAt = Number.NEGATIVE_INFINITY
  #low = false
  /** Whether the reserve is there, as far as this process knows. */
  #reserved: boolean | undefined

  constructor(disk: Disk, dir: string, floorBytes: number, reserveBytes: number) {
    this.#disk = disk
    this.#dir = dir
    this.#floorBytes = floorBytes
    this.#reserveBytes = reserveBytes
  }

  get low(): boolean {
    return this.#low
  }

  /** Whether it is time to ask again. */
  due(now: number): boolean {
    return now - this.#askedAt > EVERY_MS
  }

  async ask(): Promise<void> {
    this.#askedAt = performance.now()
    const file = path.join(this.#dir, 'reserve')
    const low = (await this.#disk.freeSpace(this.#dir)) < this.#floorBytes
    if (low && this.#reserved !== false) {
      await this.#disk.unlink(file).catch((error: unknown) => {
        if (!isCode(error, 'ENOENT')) throw error
      })
      this.#reserved = false
    } else if (!low && this.#reserved !== true) {
      if (!(await this.#disk.readdir(this.#dir)).includes('reserve'))
        await writeNew(this.#disk, file, Buffer.alloc(this.#reserveBytes), false)
      this.#reserved = true
    }
    this.#low = low
  }
}
