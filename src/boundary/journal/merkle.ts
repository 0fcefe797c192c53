/** The RFC 6962 Merkle tree as far as a writer needs it: the perfect subtrees of what is there so far, and the root that they make. */
import { hash } from 'node:crypto'

const LEAF = Buffer.from([0])
const NODE = Buffer.from([1])

/** SHA-256(0x00 ‖ leaf). */
export function leafHash(leaf: Uint8Array): Buffer {
  return hash('sha256', Buffer.concat([LEAF, leaf], leaf.length + 1), 'buffer')
}

/** SHA-256(0x01 ‖ left ‖ right). */
export function nodeHash(left: Uint8Array, right: Uint8Array): Buffer {
  return hash('sha256', Buffer.concat([NODE, left, right], 65), 'buffer')
}

/** Root of the tree without leaves: SHA-256 of nothing (RFC 6962 §2.1). */
export const EMPTY_ROOT = hash('sha256', Buffer.alloc(0), 'buffer')

/** Grows by leaf hashes; holds one hash for each bit that is set in its size. */
export class Frontier {
  /** Roots of the perfect subtrees, largest first. */
  readonly #peaks: Buffer[] = []
  #size = 0

  get size(): number {
    return this.#size
  }

  push(leaf: Buffer): void {
    let merged = leaf
    // One carry of binary addition for each trailing one bit of the size. Sizes pass 2^31, so no shifts.
    for (let size = this.#size; size % 2 === 1; size = (size - 1) / 2) {
      const left = this.#peaks.pop()
      if (left === undefined) throw new RangeError('a frontier that does not fit its size')
      merged = nodeHash(left, merged)
    }
    this.#peaks.push(merged)
    this.#size++
  }

  root(): Buffer {
    let root: Buffer | undefined
    for (let index = this.#peaks.length - 1; index >= 0; index--) {
      const peak = this.#peaks[index] as Buffer
      root = root === undefined ? peak : nodeHash(peak, root)
    }
    return root ?? EMPTY_ROOT
  }
}
