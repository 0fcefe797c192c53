/**
 * Attempts to unlock: one at a time, and after a wrong passphrase, or shares that do not open, not before a time that doubles with each.
 */
import { BoundaryError, type BoundaryErrorCode } from '../words.ts'

const FIRST = 1000
const LAST = 60_000
const WRONG: ReadonlySet<BoundaryErrorCode> = new Set(['WrongPassphrase', 'WrongShares'])

export class UnlockLimit {
  #busy = false
  #wrong = 0
  #notBefore = 0

  /** Throws LimitExceeded, with the seconds to wait, where no attempt may be made now. Monotonic time. */
  ready(): void {
    const now = performance.now()
    if (this.#busy) throw new BoundaryError('LimitExceeded', 'another attempt is under way')
    if (now < this.#notBefore) {
      throw new BoundaryError('LimitExceeded', `wait ${Math.ceil((this.#notBefore - now) / 1000)} s`)
    }
  }

  /** Runs one attempt, or rejects as `ready`. */
  async attempt(work: () => Promise<void>): Promise<void> {
    this.ready()
    this.#busy = true
    try {
      await work()
      this.#wrong = 0
    } catch (error) {
      if (error instanceof BoundaryError && WRONG.has(error.code)) {
        this.#notBefore = performance.now() + Math.min(FIRST * 2 ** this.#wrong, LAST)
        this.#wrong++
      }
      throw error
    } finally {
      this.#busy = false
    }
  }
}
