/** The shares that have come: different ones of one set, until they are enough. */
import type { KeyObject } from 'node:crypto'
import { readShare, type ShareSet } from '../../root/share-text.ts'
import { keyOf } from '../../root/shares.ts'
import { RootError } from '../../root/types.ts'
import { BoundaryError } from '../../words.ts'

export class Gathered {
  readonly set: ShareSet
  /** By their places. */
  readonly #raw = new Map<number, Buffer>()

  constructor(set: ShareSet) {
    this.set = set
  }

  get given(): number {
    return this.#raw.size
  }

  /** Takes a share's line in. Throws InvalidRequest where it is none of these, AlreadyExists where it has come before. */
  add(line: Buffer): void {
    const raw = this.#read(line)
    const place = raw.at(-1) ?? 0
    if (this.#raw.has(place)) {
      raw.fill(0)
      throw new BoundaryError('AlreadyExists', 'this share has been given already')
    }
    this.#raw.set(place, raw)
  }

  #read(line: Buffer): Buffer {
    try {
      return readShare(this.set, line)
    } catch (error) {
      if (error instanceof RootError) throw new BoundaryError('InvalidRequest', error.message)
      throw error
    }
  }

  /** The key once there are enough; the shares are wiped with it. Undefined before. */
  key(): KeyObject | undefined {
    if (this.given < this.set.threshold) return undefined
    try {
      return keyOf([...this.#raw.values()])
    } finally {
      this.wipe()
    }
  }

  wipe(): void {
    for (const raw of this.#raw.values()) raw.fill(0)
    this.#raw.clear()
  }
}
