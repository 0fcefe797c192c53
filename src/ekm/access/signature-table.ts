/**
 * A set of signatures in flat memory: 24 bytes each, no object a request. 128 of a signature's 256 bits are kept, which is as good as all of
 * them: it is the output of a keyed hash that whoever lacks the key cannot steer.
 */

const FIRST_SLOTS = 256
/** Words a slot: four of the signature, a hash of the peer, and the state. */
const WORDS = 6
const PEER = 4
const STATE = 5
/** Of the state: when it was first seen, whether its repetition is spent, and that the slot is taken. */
const TIME_MASK = (1 << 20) - 1
const SPENT = 1 << 20
const TAKEN = 1 << 21

export class SignatureTable {
  readonly #epoch: number
  #words = new Uint32Array(FIRST_SLOTS * WORDS)
  #slots = FIRST_SLOTS
  #size = 0

  /** `epoch`: monotonic milliseconds now. A table lives for less than 2^20 ms (17 minutes). */
  constructor(epoch: number) {
    this.#epoch = epoch
  }

  get size(): number {
    return this.#size
  }

  /** Where the signature stands, or undefined. Valid until the next `add`. */
  find(signature: string): number | undefined {
    const at = this.#probe(parse(signature))
    return this.#words[at + STATE] === 0 ? undefined : at
  }

  /** The signature must not be in yet. */
  add(signature: string, monotonic: number, peer: string): void {
    if ((this.#size + 1) * 4 > this.#slots * 3) this.#grow()
    const words = parse(signature)
    const at = this.#probe(words)
    this.#words.set(words, at)
    const time = Math.min(TIME_MASK, Math.max(0, Math.round(monotonic - this.#epoch)))
    this.#words[at + PEER] = peerHash(peer)
    this.#words[at + STATE] = TAKEN | time
    this.#size++
  }

  /** Monotonic milliseconds. */
  firstSeen(at: number): number {
    return this.#epoch + ((this.#words[at + STATE] as number) & TIME_MASK)
  }

  /** Uses up the one repetition; false where it was used, or where another peer asks. */
  spend(at: number, peer: string): boolean {
    const state = this.#words[at + STATE] as number
    if ((state & SPENT) !== 0 || this.#words[at + PEER] !== peerHash(peer)) return false
    this.#words[at + STATE] = state | SPENT
    return true
  }

  /** Index of the slot that holds these words, or of the free one where they belong. */
  #probe(words: Words): number {
    const table = this.#words
    for (let slot = words[0] & (this.#slots - 1); ; slot = (slot + 1) & (this.#slots - 1)) {
      const at = slot * WORDS
      if (table[at + STATE] === 0) return at
      if (
        table[at] === words[0] &&
        table[at + 1] === words[1] &&
        table[at + 2] === words[2] &&
        table[at + 3] === words[3]
      )
        return at
    }
  }

  #grow(): void {
    const old = this.#words
    this.#slots *= 2
    this.#words = new Uint32Array(this.#slots * WORDS)
    for (let from = 0; from < old.length; from += WORDS) {
      if (old[from + STATE] === 0) continue
      const slot = old.subarray(from, from + WORDS)
      this.#words.set(slot, this.#probe([slot[0] as number, slot[1] as number, slot[2] as number, slot[3] as number]))
    }
  }
}

type Words = [number, number, number, number]

function parse(signature: string): Words {
  const word = (at: number) => Number.parseInt(signature.slice(at, at + 8), 16) >>> 0
  return [word(0), word(8), word(16), word(24)]
}

/** FNV-1a: it tells the peers of one installation apart, and is no secret. */
function peerHash(peer: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < peer.length; i++) hash = Math.imul(hash ^ peer.charCodeAt(i), 0x01000193)
  return hash >>> 0
}
