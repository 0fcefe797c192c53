/**
 * Attempts to unlock: one at a time, and after a wrong passphrase not before a time that doubles with each.
 */
import { BoundaryError } from '../words.ts'

const FIRST = 1000
const LAST = 60_000

export class UnlockLimit {
  #busy = false
  #wrong = 0
  #notBefore = 0

  /** Runs one attempt, or rejects with LimitExceeded and the seconds to wait. Monotonic time. */
  async attempt(work: () => Promise<void>): Promise<void> {
    const now = performance.now()
    if (this.#busy) throw new BoundaryError('LimitExceeded', 'another attempt is under way')
    if (now < this.#notBefore) {
      throw new BoundaryError('LimitExceeded', `wait ${Math.ceil((this.#notBefore - now) / 1000)} s`)
    }
    this.#busy = true
    try {
      await work()
      this.#wrong = 0
    } catch (error) {
      if (error instanceof BoundaryError && error.code === 'WrongPassphrase') {
        this.#notBefore = performance.now() + Math.min(FIRST * 2 ** this.#wrong, LAST)
        this.#wrong++
      }
      throw error
    } finally {
      this.#busy = false
    }
  }
}
