/**
 * Which sealed keys were sent to the boundary on this connection, as a filter of bits: a hint that saves the boundary's question for a key that it
 * cannot have opened yet. Where it is wrong (two ids with one bit, a key that the boundary let go of) the boundary asks, and nothing else happens.
 */

const BITS = 1 << 22
/** With more keys than this the filter would be wrong too often: it starts anew. */
const MAX_KEYS = BITS >>> 2

export class SentKeys {
  readonly #words = new Uint32Array(BITS / 32)
  #count = 0

  /** Remembers this revision of a key; says whether it was remembered already. */
  add(id: string, revision: number): boolean {
    // FNV-1a, with its upper bits folded into those that count.
    let hash = 0x811c9dc5 ^ revision
    for (let at = 0; at < id.length; at++) hash = Math.imul(hash ^ id.charCodeAt(at), 0x01000193)
    const bit = (hash ^ (hash >>> 15)) & (BITS - 1)
    const word = this.#words[bit >>> 5] ?? 0
    const mask = 1 << (bit & 31)
    if ((word & mask) !== 0) return true
    if (this.#count === MAX_KEYS) this.clear()
    this.#words[bit >>> 5] = (this.#words[bit >>> 5] ?? 0) | mask
    this.#count++
    return false
  }

  clear(): void {
    this.#words.fill(0)
    this.#count = 0
  }
}
