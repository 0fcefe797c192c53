/**
 * Requests of which nobody knows who sent them are counted, not recorded one by one: one record an interval and reason, so that strangers cannot
 * fill a disk, and are still seen.
 */
import type { BoundaryUse } from '../boundary/client/api.ts'

/** Real milliseconds between two records of one reason. */
export const STRANGERS_INTERVAL_MS = 60_000
/** Reasons come from tables; this only bounds what a mistake could do. */
const MAX_REASONS = 64

interface Count {
  count: number
  /** Of the latest one: a place to start looking. */
  sourceIp: string
}

export class Strangers {
  readonly #record: BoundaryUse['record']
  readonly #operation: string
  #counts = new Map<string, Count>()
  #timer: NodeJS.Timeout | undefined

  /** `operation` stands in the records, for example `xks`. */
  constructor(record: BoundaryUse['record'], operation: string) {
    this.#record = record
    this.#operation = operation
  }

  count(reason: string, sourceIp: string): void {
    const known = this.#counts.get(reason)
    if (known !== undefined) {
      known.count++
      known.sourceIp = sourceIp
    } else if (this.#counts.size < MAX_REASONS) {
      this.#counts.set(reason, { count: 1, sourceIp })
    }
  }

  start(): void {
    this.#timer = setInterval(() => void this.flush(), STRANGERS_INTERVAL_MS)
    this.#timer.unref()
  }

  /** Stops the interval and writes what was counted. */
  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await this.flush()
  }

  /** Writes one record for each reason. What cannot be written now is counted on. */
  async flush(): Promise<void> {
    const counts = this.#counts
    this.#counts = new Map()
    await Promise.all([...counts].map(([reason, seen]) => this.#write(reason, seen)))
  }

  async #write(reason: string, { count, sourceIp }: Count): Promise<void> {
    try {
      await this.#record({
        outcome: 'denied',
        error: reason,
        keyId: '',
        asserted: { operation: this.#operation, sourceIp: sourceIp.slice(0, 64) },
        count,
      })
    } catch {
      const since = this.#counts.get(reason)
      this.#counts.set(reason, { count: count + (since?.count ?? 0), sourceIp: since?.sourceIp ?? sourceIp })
    }
  }
}
