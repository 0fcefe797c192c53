/** Where work with a token begins and ends: it can be shut, so that no more begins, and tells when none is under way. */
import type { Maybe } from './module.ts'

export class Gate {
  #working = 0
  #opening: PromiseWithResolvers<void> | undefined
  #quiet: PromiseWithResolvers<void> | undefined

  /** Resolves when it is open again; undefined while it is. */
  get opening(): Promise<void> | undefined {
    return this.#opening?.promise
  }

  /** Begins at once, whether the gate is open or not: that is for whoever asks. Counted until it has really ended. */
  during<T>(work: () => Maybe<T>): Maybe<T> {
    this.#working += 1
    let result: Maybe<T>
    try {
      result = work()
    } catch (error) {
      this.#left()
      throw error
    }
    if (result instanceof Promise) return result.finally(() => this.#left())
    this.#left()
    return result
  }

  #left(): void {
    this.#working -= 1
    if (this.#working === 0) this.#quiet?.resolve()
  }

  /** Resolves when no work is under way. */
  shut(): Promise<void> {
    this.#opening ??= Promise.withResolvers()
    this.#quiet = Promise.withResolvers()
    if (this.#working === 0) this.#quiet.resolve()
    return this.#quiet.promise
  }

  open(): void {
    const opening = this.#opening
    this.#opening = undefined
    this.#quiet = undefined
    opening?.resolve()
  }
}
