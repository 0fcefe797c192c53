/**
 * Memory for many small byte strings that live and die at different times: copied one after another into slabs of 256 KiB, so that none pins the page
 * that it came from, and moved together once half of a slab is dead.
 */
const SLAB_BYTES = 256 * 1024

/** Something whose bytes lie in a slab. `slab` and `offset` change when it is moved; after `free` they stay, for whoever still holds the object. */
export interface Held {
  slab: Slab
  offset: number
  readonly size: number
  /** Between `put` and `free`. */
  alive: boolean
}

export interface Slab {
  readonly buffer: Buffer
  used: number
  live: number
  held: Held[]
}

function newSlab(bytes: number): Slab {
  return { buffer: Buffer.allocUnsafeSlow(bytes), used: 0, live: 0, held: [] }
}

/** For objects that hold nothing yet. */
export const NO_SLAB: Slab = newSlab(0)

export class Slabs {
  #current = newSlab(SLAB_BYTES)
  #bytes = SLAB_BYTES

  /** Bytes of all slabs that hold something, dead bytes included. */
  get bytes(): number {
    return this.#bytes
  }

  /** Copies `parts` one after another into memory for `holder`, whose size is their sum. */
  put(holder: Held, parts: readonly Uint8Array[]): void {
    const slab = this.#room(holder.size)
    let at = slab.used
    holder.slab = slab
    holder.offset = at
    for (const part of parts) {
      slab.buffer.set(part, at)
      at += part.length
    }
    slab.used = at
    slab.live += holder.size
    holder.alive = true
    slab.held.push(holder)
  }

  /** Gives the holder's memory back. The bytes stay readable for as long as someone holds the object. */
  free(holder: Held): void {
    const { slab } = holder
    slab.live -= holder.size
    holder.alive = false
    if (slab === this.#current) return
    if (slab.live === 0) this.#bytes -= slab.buffer.length
    else if (slab.live * 2 < slab.buffer.length) this.#empty(slab)
  }

  #room(size: number): Slab {
    if (size > SLAB_BYTES / 4) {
      this.#bytes += size
      return newSlab(size)
    }
    if (this.#current.used + size > SLAB_BYTES) {
      const full = this.#current
      this.#current = newSlab(SLAB_BYTES)
      this.#bytes += SLAB_BYTES
      if (full.live === 0) this.#bytes -= SLAB_BYTES
      else if (full.live * 2 < SLAB_BYTES) this.#empty(full)
    }
    return this.#current
  }

  /** Moves what still lives. Views that were handed out keep the old memory, which is written no more. */
  #empty(slab: Slab): void {
    this.#bytes -= slab.buffer.length
    const held = slab.held
    slab.held = []
    for (const holder of held) {
      if (holder.alive && holder.slab === slab)
        this.put(holder, [slab.buffer.subarray(holder.offset, holder.offset + holder.size)])
    }
  }
}
