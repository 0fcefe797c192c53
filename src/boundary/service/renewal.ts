/**
 * Versions of external keys that have encrypted so often that it is time for the next one: made once, beside the uses, which go on under the old version
 * until the new one is there. Where none can be made the operator is told, long before uses are refused (decision 0037).
 */
import { BoundaryError } from '../words.ts'
import type { Core } from './core.ts'
import { decodeCounter, readCounterId } from './keys/counters.ts'
import { type Log, placeOf } from './log.ts'
import { renewExternalKey } from './operations/external-rotation.ts'

/** Milliseconds of real time between two attempts for one key; without uses there is none. */
export const RETRY_MS = 30_000
/** Keys that a status names; of the others it has the number. */
const NAMED = 16

interface Failure {
  readonly version: number
  readonly at: number
  readonly reason: string
}

export class Renewal {
  readonly #core: Core
  readonly #log: Log
  readonly #trying = new Map<string, Promise<void>>()
  readonly #failed = new Map<string, Failure>()
  #stopping = false

  constructor(core: Core, log: Log) {
    this.#core = core
    this.#log = log
  }

  /** Looks at all counters once, so that what was not done before is told of without a use. */
  start(): void {
    const { book, counters } = this.#core
    const newest = new Map<string, number>()
    const ids = book.pinnedIds('counter')
    for (const id of ids) {
      const { keyId, version } = readCounterId(id)
      newest.set(keyId, Math.max(version, newest.get(keyId) ?? 0))
    }
    for (const id of ids) {
      const { keyId, version } = readCounterId(id)
      const body = book.pinned('counter', id)
      if (body === undefined || newest.get(keyId) !== version) continue
      if (decodeCounter(body) >= counters.limits.renewAfter) this.worn(id)
    }
  }

  /** A counter has come to where the next version is due. Cheap, and without effect while an attempt is under way or has just failed. */
  worn(counter: string): void {
    const { keyId, version } = readCounterId(counter)
    if (this.#stopping || this.#trying.has(keyId) || this.#core.book.journal.lowOnSpace) return
    const failed = this.#failed.get(keyId)
    if (failed !== undefined && this.#core.clocks.real() - failed.at < RETRY_MS) return
    const attempt = this.#renew(keyId, version).finally(() => this.#trying.delete(keyId))
    this.#trying.set(keyId, attempt)
  }

  async #renew(keyId: string, version: number): Promise<void> {
    try {
      if (!(await renewExternalKey(this.#core, keyId, version))) return
      this.#log('info', 'a key has a new version, because the last one was used so often', {
        key: keyId,
        version: version + 1,
      })
    } catch (error) {
      const known = error instanceof BoundaryError
      // Its owner was faster.
      if (known && error.code === 'Conflict') return
      const reason = known ? error.detail || error.code : 'for a reason of ours'
      const told = this.#failed.get(keyId)?.reason === reason
      this.#failed.set(keyId, { version, at: this.#core.clocks.real(), reason })
      if (told) return
      const cause = known ? {} : placeOf(error)
      const fields = { key: keyId, version, reason, ...cause }
      this.#log('warn', 'a key has been used so often that it needs a new version, and none could be made', fields)
    }
  }

  /** The row of a key has changed: whatever stood in the way is looked at anew. */
  forget(keyId: string): void {
    this.#failed.delete(keyId)
  }

  /** A sentence for each key that needs a new version and has none. */
  warnings(): string[] {
    const all = [...this.#failed]
    const { most } = this.#core.counters.limits
    const named = all.slice(0, NAMED).map(([keyId, { version, reason }]) => {
      const used = this.#core.counters.used(`${keyId}#${version}`)
      return `the key ${keyId} needs a new version, and none could be made (${reason}): its version ${version} has been used ${used} times of at most ${most}`
    })
    return all.length > NAMED ? [...named, `and ${all.length - NAMED} more keys need a new version`] : named
  }

  /** Ends what is under way. */
  async stop(): Promise<void> {
    this.#stopping = true
    await Promise.all(this.#trying.values())
  }
}
