/**
 * Requests of known callers that are turned away before anything of them is looked at are counted, as those of strangers are: one record an interval for
 * each tenant, protocol and reason, so that whoever asks too much fills neither the disk nor the boundary's time, and is still seen.
 */
import type { BoundaryUse } from '../../boundary/client/api.ts'
import type { Log } from '../../http/logging.ts'
import { asserted } from '../access/claims.ts'
import type { LoadReason, TurnedAway, Who } from './admission.ts'

/** Real milliseconds between two records of one kind. */
export const TURNED_AWAY_INTERVAL_MS = 10_000

interface Count {
  readonly who: Who
  readonly reason: LoadReason
  count: number
  /** Of them: what the operator's log has said already. */
  logged: number
}

export class LoadLog {
  readonly #record: BoundaryUse['record']
  readonly #log: Log
  #counts = new Map<string, Map<LoadReason, Count>>()
  #timer: NodeJS.Timeout | undefined

  constructor(record: BoundaryUse['record'], log: Log) {
    this.#record = record
    this.#log = log
  }

  count(who: Who, reason: LoadReason): void {
    this.#add(who, reason, 1, 0)
  }

  #add(who: Who, reason: LoadReason, count: number, logged: number): void {
    const key = `${who.protocol} ${who.tenant}`
    let reasons = this.#counts.get(key)
    if (reasons === undefined) {
      reasons = new Map()
      this.#counts.set(key, reasons)
    }
    const known = reasons.get(reason)
    if (known === undefined) reasons.set(reason, { who, reason, count, logged })
    else {
      known.count += count
      known.logged += logged
    }
  }

  start(): void {
    this.#timer = setInterval(() => void this.flush(), TURNED_AWAY_INTERVAL_MS)
    this.#timer.unref()
  }

  /** Stops the interval and writes what was counted. */
  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await this.flush()
  }

  /** Writes a line and a record of each. What cannot be recorded now is counted on. */
  async flush(): Promise<void> {
    const counts = [...this.#counts.values()].flatMap(reasons => [...reasons.values()])
    this.#counts = new Map()
    for (const { who, reason, count, logged } of counts) {
      const { tenant, protocol } = who
      if (count > logged) this.#log('warn', MEANING[reason], { tenant, protocol, reason, count: count - logged })
    }
    await Promise.all(counts.map(each => this.#write(each)))
  }

  async #write({ who, reason, count }: Count): Promise<void> {
    // The boundary records what it did of these, or the core that it was not asked.
    if (reason === 'deadline') return
    try {
      await this.#record({
        outcome: 'failed',
        error: RECORDED[reason],
        keyId: '',
        asserted: asserted({ operation: who.protocol, account: who.tenant }),
        count,
      })
    } catch {
      this.#add(who, reason, count, count)
    }
  }
}

/** What stands in the records. */
const RECORDED: Readonly<Record<TurnedAway, string>> = {
  rate: 'RateExceeded',
  in_flight: 'TooManyInFlight',
  share: 'ShareExceeded',
  late: 'AnswersLate',
  away: 'NoAnswers',
}

const MEANING: Readonly<Record<LoadReason, string>> = {
  rate: 'requests of a tenant were turned away: more than its quota a second',
  in_flight: 'requests of a tenant were turned away: more under way than its quota',
  share: 'requests of a tenant were turned away: more under way than its share, and the service is half full',
  late: 'requests of a tenant were turned away: those before them are answered late',
  away: 'requests of a tenant were turned away: those before them were not answered in time',
  deadline: 'callers of a tenant were told that there is no answer: the boundary took too long',
}
