/**
 * The RFC 6962 Merkle tree as far as a writer needs it: the perfect subtrees of what is there so far, the root that they make, and the tiles
 * (C2SP tlog-tiles) at its right edge. It holds at most 255 hashes a level, whatever its size.
 */
import { hash } from 'node:crypto'
import { LEAF_BYTES } from './frame.ts'

export const HASH_BYTES = 32
/** Hashes, or entries, of a full tile. */
export const TILE_WIDTH = 256
const TILE_HEIGHT = 8
/** An entry in a bundle: its length as u16, then the leaf. */
export const ENTRY_BYTES = 2 + LEAF_BYTES

/** Hashing is synchronous, so one input buffer of each kind serves all. */
const leafInput = Buffer.alloc(1 + LEAF_BYTES)
const nodeInput = Buffer.alloc(1 + 2 * HASH_BYTES, 1)

/** By way of a string of bytes: that costs a third of what a Buffer from the hash costs. */
function sha256(input: Buffer): Buffer {
  return Buffer.from(hash('sha256', input, 'latin1'), 'latin1')
}

/** SHA-256(0x00 ‖ leaf) of a leaf of 48 bytes. */
export function leafHash(leaf: Uint8Array): Buffer {
  leafInput.set(leaf, 1)
  return sha256(leafInput)
}

/** SHA-256(0x01 ‖ left ‖ right). */
export function nodeHash(left: Uint8Array, right: Uint8Array): Buffer {
  nodeInput.set(left, 1)
  nodeInput.set(right, 1 + HASH_BYTES)
  return sha256(nodeInput)
}

/** Root of the tree without leaves: SHA-256 of nothing (RFC 6962 §2.1). */
export const EMPTY_ROOT = hash('sha256', Buffer.alloc(0), 'buffer')

/** One tile: `entries` is a bundle of leaves, and the others are levels from 0. `width` is 256 for a full one. */
export interface Tile {
  readonly level: number | 'entries'
  readonly index: number
  readonly width: number
  readonly bytes: Buffer
}

/** What a snapshot keeps of a tree. */
export interface TreeState {
  readonly size: number
  /** Roots of the perfect subtrees, largest first. */
  readonly peaks: readonly Buffer[]
  /** For each level the hashes of its partial tile, 0 to 255. */
  readonly levels: readonly Buffer[]
  /** The leaves of the partial bundle, 48 bytes each. */
  readonly leaves: Buffer
}

/** Number of one bits. */
function ones(size: number): number {
  let count = 0
  for (let left = size; left > 0; left = Math.floor(left / 2)) count += left % 2
  return count
}

/** Grows by leaves. `onFull` is given each tile when it is full: level 0 and its bundle first, then those above. */
export class Tree {
  readonly #peaks: Buffer[] = []
  readonly #levels: { count: number; readonly hashes: Buffer }[] = []
  readonly #bundle = Buffer.alloc(TILE_WIDTH * ENTRY_BYTES)
  readonly #onFull: (tile: Tile) => void
  #size = 0

  constructor(onFull: (tile: Tile) => void) {
    this.#onFull = onFull
  }

  /** Throws RangeError where the parts do not fit the size. */
  static from(state: TreeState, onFull: (tile: Tile) => void): Tree {
    const tree = new Tree(onFull)
    if (state.peaks.length !== ones(state.size)) throw new RangeError('a tree with peaks that do not fit its size')
    tree.#peaks.push(...state.peaks.map(peak => Buffer.from(peak)))
    let here = state.size
    for (const hashes of state.levels) {
      const count = hashes.length / HASH_BYTES
      if (here === 0 || count !== here % TILE_WIDTH) throw new RangeError('a tree with tiles that do not fit its size')
      const level = { count, hashes: Buffer.alloc(TILE_WIDTH * HASH_BYTES) }
      level.hashes.set(hashes)
      tree.#levels.push(level)
      here = Math.floor(here / TILE_WIDTH)
    }
    if (here !== 0 || state.leaves.length !== (state.size % TILE_WIDTH) * LEAF_BYTES)
      throw new RangeError('a tree with leaves that do not fit its size')
    for (let at = 0; at < state.size % TILE_WIDTH; at++)
      tree.#putLeaf(at, state.leaves.subarray(at * LEAF_BYTES, (at + 1) * LEAF_BYTES))
    tree.#size = state.size
    return tree
  }

  get size(): number {
    return this.#size
  }

  #putLeaf(at: number, leaf: Uint8Array): void {
    this.#bundle.writeUInt16BE(LEAF_BYTES, at * ENTRY_BYTES)
    this.#bundle.set(leaf, at * ENTRY_BYTES + 2)
  }

  /** Takes the next leaf, and its hash, which is kept. */
  push(leaf: Uint8Array, hashOfLeaf: Buffer): void {
    const within = this.#size % TILE_WIDTH
    this.#putLeaf(within, leaf)
    if (within === TILE_WIDTH - 1)
      this.#onFull({
        level: 'entries',
        index: Math.floor(this.#size / TILE_WIDTH),
        width: TILE_WIDTH,
        bytes: Buffer.from(this.#bundle),
      })
    this.#add(0, hashOfLeaf)
    let merged = hashOfLeaf
    let height = 0
    // One carry of binary addition for each trailing one bit of the size. Sizes pass 2^31, so no shifts.
    for (let size = this.#size; size % 2 === 1; size = (size - 1) / 2) {
      const left = this.#peaks.pop()
      if (left === undefined) throw new RangeError('a tree that does not fit its size')
      merged = nodeHash(left, merged)
      if (++height % TILE_HEIGHT === 0) this.#add(height / TILE_HEIGHT, merged)
    }
    this.#peaks.push(merged)
    this.#size++
  }

  #add(number: number, hashed: Buffer): void {
    let level = this.#levels[number]
    if (level === undefined) {
      level = { count: 0, hashes: Buffer.alloc(TILE_WIDTH * HASH_BYTES) }
      this.#levels[number] = level
    }
    level.hashes.set(hashed, level.count * HASH_BYTES)
    if (++level.count < TILE_WIDTH) return
    level.count = 0
    const index = Math.floor(this.#size / TILE_WIDTH ** (number + 1))
    this.#onFull({ level: number, index, width: TILE_WIDTH, bytes: Buffer.from(level.hashes) })
  }

  root(): Buffer {
    let root: Buffer | undefined
    for (let index = this.#peaks.length - 1; index >= 0; index--) {
      const peak = this.#peaks[index] as Buffer
      root = root === undefined ? peak : nodeHash(peak, root)
    }
    return root ?? EMPTY_ROOT
  }

  /** The partial tiles of this size, as copies. */
  partial(): Tile[] {
    const tiles: Tile[] = []
    const width = this.#size % TILE_WIDTH
    if (width > 0) {
      const bytes = Buffer.from(this.#bundle.subarray(0, width * ENTRY_BYTES))
      tiles.push({ level: 'entries', index: Math.floor(this.#size / TILE_WIDTH), width, bytes })
    }
    for (const [level, { count, hashes }] of this.#levels.entries()) {
      if (count === 0) continue
      const index = Math.floor(this.#size / TILE_WIDTH ** (level + 1))
      tiles.push({ level, index, width: count, bytes: Buffer.from(hashes.subarray(0, count * HASH_BYTES)) })
    }
    return tiles
  }

  /** A copy of all that it is. */
  state(): TreeState {
    const leaves = Buffer.allocUnsafe((this.#size % TILE_WIDTH) * LEAF_BYTES)
    for (let at = 0; at < this.#size % TILE_WIDTH; at++)
      this.#bundle.copy(leaves, at * LEAF_BYTES, at * ENTRY_BYTES + 2, (at + 1) * ENTRY_BYTES)
    return {
      size: this.#size,
      peaks: [...this.#peaks],
      levels: this.#levels.map(({ count, hashes }) => Buffer.from(hashes.subarray(0, count * HASH_BYTES))),
      leaves,
    }
  }
}
