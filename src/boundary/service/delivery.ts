/**
 * Write sets on their way to the front ends: pushed to every connection of the use socket in their order, counted as delivered when acknowledged. What
 * an administrator does waits for that, but a front end that does not answer is cut off and holds up nothing.
 */
export interface Receiver {
  /** Number of the last write set that this front end has handled. */
  readonly delivered: number
  push(number: number, rows: Buffer): void
  /** Ends the connection: at the next one the front end fetches what it lacks before it serves. */
  cut(reason: string): void
}

/** Milliseconds that a front end may take to handle a write set that someone waits for. */
export const DELIVERY_DEADLINE = 2000

export class Delivery {
  readonly #receivers = new Set<Receiver>()
  readonly #waiting = new Set<() => void>()

  add(receiver: Receiver): void {
    this.#receivers.add(receiver)
  }

  remove(receiver: Receiver): void {
    this.#receivers.delete(receiver)
    this.progress()
  }

  push(number: number, rows: Buffer): void {
    for (const receiver of this.#receivers) receiver.push(number, rows)
  }

  /** To be called when a receiver has handled a set or has gone. */
  progress(): void {
    for (const check of [...this.#waiting]) check()
  }

  /** Resolves when every front end that is connected now has handled the set of this number, or has gone. */
  async wait(number: number): Promise<void> {
    const behind = new Set([...this.#receivers].filter(receiver => receiver.delivered < number))
    if (behind.size === 0) return
    await new Promise<void>(resolve => {
      const check = (): void => {
        for (const receiver of behind) {
          if (!this.#receivers.has(receiver) || receiver.delivered >= number) behind.delete(receiver)
        }
        if (behind.size > 0) return
        clearTimeout(deadline)
        this.#waiting.delete(check)
        resolve()
      }
      const deadline = setTimeout(() => {
        for (const receiver of [...behind]) receiver.cut('it did not take a write set in time')
      }, DELIVERY_DEADLINE)
      this.#waiting.add(check)
      check()
    })
  }
}
