/** What waits for one write and one fdatasync: frames, laid one after another into one buffer as they are appended. */
import { type FrameContext, frameBytes, LEAF_BYTES, layFrame, putLeaf, saltedOf, sealFrame } from './frame.ts'
import { leafHash, type Tree } from './merkle.ts'
import { type Appended, MAX_RECORD_BYTES, MAX_WRITE_SET_BYTES } from './types.ts'

const FIRST_BYTES = 64 * 1024
/** A buffer that had to grow beyond this is not kept. */
const KEPT_BYTES = 1024 * 1024

export interface Waiting {
  readonly seq: number
  readonly time: number
  /** 0 for none. */
  readonly writeSet: number
  /** Where its frame begins in the batch. */
  readonly at: number
  readonly resolve: (appended: Appended) => void
  readonly reject: (error: Error) => void
}

/** Throws RangeError. */
export function checkSizes(record: Buffer, writeSetRows: Buffer | undefined): void {
  if (record.length < 1 || record.length > MAX_RECORD_BYTES)
    throw new RangeError(`a record is 1 to ${MAX_RECORD_BYTES} bytes`)
  if (writeSetRows !== undefined && writeSetRows.length > MAX_WRITE_SET_BYTES)
    throw new RangeError(`a write set is at most ${MAX_WRITE_SET_BYTES} bytes`)
}

export class Batch {
  waiting: Waiting[] = []
  #buffer = Buffer.allocUnsafeSlow(FIRST_BYTES)
  #used = 0
  #leaves = Buffer.allocUnsafeSlow(64 * LEAF_BYTES)
  #hashes: Buffer[] = []

  /** The frames. Sealed by `seal`. */
  get bytes(): Buffer {
    return this.#buffer.subarray(0, this.#used)
  }

  /** Lays a frame behind the others; returns where it begins. Copies what it is given. */
  lay(seq: number, time: number, record: Buffer, writeSet: number, rows: Buffer | undefined): number {
    const at = this.#used
    const needed = at + frameBytes(record.length, rows?.length)
    if (needed > this.#buffer.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.#buffer.length * 2))
      larger.set(this.bytes)
      this.#buffer = larger
    }
    const sealed = rows === undefined ? undefined : { number: writeSet, rows }
    layFrame(this.#buffer, at, { seq, time, record, writeSet: sealed }, this.waiting[0]?.seq ?? seq)
    this.#used = needed
    return at
  }

  /** Seals write sets and closes the chain of crcs from `previousCrc` on; returns the last one. */
  seal(previousCrc: number, context: FrameContext): number {
    let crc = previousCrc
    for (const one of this.waiting) crc = sealFrame(this.#buffer, one.at, one.seq, crc, context)
    return crc
  }

  /** Computes the leaves and their hashes: for the time in which the disk is at work. */
  hash(): void {
    const { waiting } = this
    if (this.#leaves.length < waiting.length * LEAF_BYTES)
      this.#leaves = Buffer.allocUnsafeSlow(waiting.length * 2 * LEAF_BYTES)
    for (let index = 0; index < waiting.length; index++) {
      const { seq, time, at } = waiting[index] as Waiting
      putLeaf(this.#leaves, index * LEAF_BYTES, seq, time, saltedOf(this.#buffer, at))
      this.#hashes.push(leafHash(this.#leaf(index)))
    }
  }

  #leaf(index: number): Buffer {
    return this.#leaves.subarray(index * LEAF_BYTES, (index + 1) * LEAF_BYTES)
  }

  /** Gives the leaves to the tree, once they are durable. */
  grow(tree: Tree): void {
    for (let index = 0; index < this.#hashes.length; index++)
      tree.push(this.#leaf(index), this.#hashes[index] as Buffer)
  }

  /** Empties it for the next frames. */
  clear(): void {
    this.waiting = []
    this.#hashes = []
    this.#used = 0
    if (this.#buffer.length > KEPT_BYTES) this.#buffer = Buffer.allocUnsafeSlow(FIRST_BYTES)
  }
}
