/** Something that is done soon after it was asked for, and at most once in a time. It holds up no process that ends. */
export class Spaced {
  readonly #everyMs: number
  readonly #work: () => void
  #lastAt = performance.now()
  #timer: NodeJS.Timeout | undefined

  constructor(everyMs: number, work: () => void) {
    this.#everyMs = everyMs
    this.#work = work
  }

  soon(): void {
    if (this.#timer !== undefined) return
    const wait = Math.max(0, this.#lastAt + this.#everyMs - performance.now())
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      this.#lastAt = performance.now()
      this.#work()
    }, wait)
    this.#timer.unref()
  }

  /** What was asked for is not done any more. */
  stop(): void {
    clearTimeout(this.#timer)
  }
}
