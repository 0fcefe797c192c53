/** Proofs of inclusion and consistency (RFC 6962 §2.1.1 and §2.1.2): made from the hashes of perfect subtrees, verified with nothing but themselves (RFC 9162 §2.1.3.2, §2.1.4.2). */
import { EMPTY_ROOT, nodeHash } from '../boundary/journal/merkle.ts'

/** The hash of the perfect subtree of 2^height leaves that begins with leaf index × 2^height. Only asked for what the tree's size has. */
export type SubtreeHash = (height: number, index: number) => Buffer

/** Largest power of two below `size`, which is at least 2. */
function splitOf(size: number): number {
  let split = 1
  while (split * 2 < size) split *= 2
  return split
}

/** MTH(D[from:to]) of RFC 6962; `from` is a multiple of a power of two that is not below `to - from`. */
function rangeHash(subtree: SubtreeHash, from: number, to: number): Buffer {
  const size = to - from
  if (size === 0) return EMPTY_ROOT
  const split = size === 1 ? 1 : splitOf(size)
  if (size === 1 || split * 2 === size) return subtree(Math.round(Math.log2(size)), from / size)
  return nodeHash(rangeHash(subtree, from, from + split), rangeHash(subtree, from + split, to))
}

/** Root of the tree of the first `size` leaves. */
export function rootOf(subtree: SubtreeHash, size: number): Buffer {
  return rangeHash(subtree, 0, size)
}

/** Audit path of a leaf, from its sibling up (RFC 6962 §2.1.1). Throws RangeError where `index` is not below `size`. */
export function proveInclusion(subtree: SubtreeHash, index: number, size: number): Buffer[] {
  if (!(index >= 0 && index < size)) throw new RangeError(`entry ${index} is not in a tree of ${size}`)
  const path: Buffer[] = []
  let from = 0
  let to = size
  while (to - from > 1) {
    const middle = from + splitOf(to - from)
    if (index < middle) {
      path.unshift(rangeHash(subtree, middle, to))
      to = middle
    } else {
      path.unshift(rangeHash(subtree, from, middle))
      from = middle
    }
  }
  return path
}

/** Consistency proof between two sizes (RFC 6962 §2.1.2); empty where they are the same or the old one is 0. Throws RangeError. */
export function proveConsistency(subtree: SubtreeHash, old: number, size: number): Buffer[] {
  if (!(old >= 0 && old <= size)) throw new RangeError(`a tree of ${size} is not after one of ${old}`)
  if (old === 0 || old === size) return []
  const path: Buffer[] = []
  let from = 0
  let to = size
  /** Whether the subtree in hand is one whose root the verifier has: the old tree's. */
  let known = true
  while (old !== to) {
    const middle = from + splitOf(to - from)
    if (old <= middle) {
      path.unshift(rangeHash(subtree, middle, to))
      to = middle
    } else {
      path.unshift(rangeHash(subtree, from, middle))
      from = middle
      known = false
    }
  }
  return known ? path : [rangeHash(subtree, from, to), ...path]
}

const odd = (value: number): boolean => value % 2 === 1
const half = (value: number): number => Math.floor(value / 2)

/** Whether a leaf with this hash stands at `index` of the tree with this size and root. */
export function verifyInclusion(
  index: number,
  size: number,
  leafHash: Buffer,
  proof: readonly Buffer[],
  root: Buffer,
): boolean {
  if (!Number.isSafeInteger(index) || !Number.isSafeInteger(size) || index < 0 || index >= size) return false
  let here = index
  let last = size - 1
  let hash = leafHash
  for (const sibling of proof) {
    if (last === 0) return false
    if (odd(here) || here === last) {
      hash = nodeHash(sibling, hash)
      while (!odd(here) && here !== 0) {
        here = half(here)
        last = half(last)
      }
    } else {
      hash = nodeHash(hash, sibling)
    }
    here = half(here)
    last = half(last)
  }
  return last === 0 && hash.equals(root)
}

/** Whether the tree of `size` with `root` begins with the tree of `old` with `oldRoot`. */
export function verifyConsistency(
  old: number,
  size: number,
  oldRoot: Buffer,
  root: Buffer,
  proof: readonly Buffer[],
): boolean {
  if (!Number.isSafeInteger(old) || !Number.isSafeInteger(size) || old < 0 || old > size) return false
  if (old === size) return proof.length === 0 && oldRoot.equals(root)
  if (old === 0) return proof.length === 0 && oldRoot.equals(EMPTY_ROOT)
  let here = old - 1
  let last = size - 1
  while (odd(here)) {
    here = half(here)
    last = half(last)
  }
  // An old tree that is perfect is its own first hash.
  const rest = here === 0 ? [oldRoot, ...proof] : [...proof]
  const first = rest.shift()
  if (first === undefined) return false
  let oldHash = first
  let hash = first
  for (const sibling of rest) {
    if (last === 0) return false
    if (odd(here) || here === last) {
      oldHash = nodeHash(sibling, oldHash)
      hash = nodeHash(sibling, hash)
      while (!odd(here) && here !== 0) {
        here = half(here)
        last = half(last)
      }
    } else {
      hash = nodeHash(hash, sibling)
    }
    here = half(here)
    last = half(last)
  }
  return last === 0 && oldHash.equals(oldRoot) && hash.equals(root)
}
