/**
 * Encryptions under each version of an external key, counted in blocks that are reserved durably before one of their numbers is used: after a crash the
 * rest of a block is passed over, so that the count is never too low (SP 800-38D: at most 2^32 with random IVs; here 2^31).
 */
import { Reader, Writer } from '../../bytes.ts'

export const MAX_ENCRYPTIONS = 2 ** 31
export const BLOCK = 1 << 16

export const counterId = (keyId: string, version: number): string => `${keyId}#${version}`

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

export class Counters {
  readonly #counters = new Map<string, Counter>()
  /** Reserves numbers up to `to` durably. */
  readonly #reserve: (id: string, to: number) => Promise<void>
  readonly #reservedNow: (id: string) => number

  /** `reservedNow` reads the durable row, 0 where there is none; `reserve` writes it. */
  constructor(reservedNow: (id: string) => number, reserve: (id: string, to: number) => Promise<void>) {
    this.#reservedNow = reservedNow
    this.#reserve = reserve
  }

  /** Counts one encryption. Resolves at once but at the end of a block; false where the version has had all that it may. */
  take(id: string): boolean | Promise<boolean> {
    let counter = this.#counters.get(id)
    if (counter === undefined) {
      // Whatever was reserved before this process may have been used.
      const reserved = this.#reservedNow(id)
      counter = { next: reserved, reserved, reserving: undefined }
      this.#counters.set(id, counter)
    }
    if (counter.next >= MAX_ENCRYPTIONS) return false
    if (counter.reserved - counter.next <= BLOCK / 2 && counter.reserved < MAX_ENCRYPTIONS) this.#ahead(id, counter)
    if (counter.next < counter.reserved) {
      counter.next++
      return true
    }
    return (counter.reserving ?? Promise.resolve()).then(() => this.take(id))
  }

  #ahead(id: string, counter: Counter): void {
    if (counter.reserving !== undefined) return
    const to = Math.min(counter.reserved + BLOCK, MAX_ENCRYPTIONS)
    counter.reserving = this.#reserve(id, to).then(
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
