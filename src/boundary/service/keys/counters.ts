/**
 * Encryptions under each version of an external key, counted in blocks that are reserved durably before one of their numbers is used: after a crash the
 * rest of a block is passed over, so that the count is never too low (SP 800-38D: at most 2^32 with random IVs; here 2^31). A version that has been used so
 * often that it is time for the next one is told of, well before it is refused.
 */
import { Reader, Writer } from '../../bytes.ts'

export const MAX_ENCRYPTIONS = 2 ** 31
const MAX_BLOCK = 1 << 16
/** A start passes over the rest of a block: with blocks of a sixteenth that costs little of what a version may do. */
const BLOCKS_BEFORE_RENEWAL = 16

export interface CounterLimits {
  /** Encryptions that a version may do. */
  readonly most: number
  /** From so many on it is told of. */
  readonly renewAfter: number
}

/** A half: time enough for an owner who has to do something. */
export function counterLimits(
  most: number = MAX_ENCRYPTIONS,
  renewAfter: number = Math.floor(most / 2),
): CounterLimits {
  return { most, renewAfter }
}

export const counterId = (keyId: string, version: number): string => `${keyId}#${version}`

export function readCounterId(id: string): { readonly keyId: string; readonly version: number } {
  const at = id.lastIndexOf('#')
  return { keyId: id.slice(0, at), version: Number(id.slice(at + 1)) }
}

/** Body of a counter row: u64, numbers below it are reserved. */
export const encodeCounter = (reserved: number): Buffer => new Writer(8).u64(reserved).done()

export function decodeCounter(body: Buffer): number {
  const reader = new Reader(body)
  const reserved = reader.u64()
  reader.end()
  return reserved
}

interface Counter {
  next: number
  /** Durably reserved up to here. */
  reserved: number
  /** The next block, on its way. */
  reserving: Promise<void> | undefined
}

export interface CounterParts {
  readonly limits: CounterLimits
  /** Reads the durable row, 0 where there is none. */
  readonly reservedNow: (id: string) => number
  /** Reserves numbers up to `to` durably. */
  readonly reserve: (id: string, to: number) => Promise<void>
  /** It is time for the next version; told at each use until then. */
  readonly onWorn: (id: string) => void
}

export class Counters {
  readonly limits: CounterLimits
  /** Numbers in a block. */
  readonly block: number
  readonly #parts: CounterParts
  readonly #counters = new Map<string, Counter>()

  constructor(parts: CounterParts) {
    this.#parts = parts
    this.limits = parts.limits
    this.block = Math.max(1, Math.min(MAX_BLOCK, Math.floor(parts.limits.renewAfter / BLOCKS_BEFORE_RENEWAL)))
  }

  /** Encryptions of a version: at least as many as there were. */
  used(id: string): number {
    return this.#counters.get(id)?.next ?? this.#parts.reservedNow(id)
  }

  /** Counts one encryption. Resolves at once but at the end of a block; false where the version has had all that it may. */
  take(id: string): boolean | Promise<boolean> {
    let counter = this.#counters.get(id)
    if (counter === undefined) {
      // Whatever was reserved before this process may have been used. Of a new version nothing is.
      const reserved = this.#parts.reservedNow(id)
      counter = { next: reserved, reserved, reserving: undefined }
      this.#counters.set(id, counter)
    }
    const { most, renewAfter } = this.limits
    if (counter.next >= renewAfter) this.#parts.onWorn(id)
    if (counter.next >= most) return false
    if (counter.reserved - counter.next <= this.block / 2 && counter.reserved < most) this.#ahead(id, counter)
    if (counter.next < counter.reserved) {
      counter.next++
      return true
    }
    return (counter.reserving ?? Promise.resolve()).then(() => this.take(id))
  }

  #ahead(id: string, counter: Counter): void {
    if (counter.reserving !== undefined) return
    const to = Math.min(counter.reserved + this.block, this.limits.most)
    counter.reserving = this.#parts.reserve(id, to).then(
      () => {
        counter.reserved = to
        counter.reserving = undefined
      },
      error => {
        counter.reserving = undefined
        throw error
      },
    )
    // Whoever needs the block awaits it and hears of the failure; nobody may.
    counter.reserving.catch(() => {})
  }
}
