/**
 * Health of the key manager behind this front end: real cryptography on the boundary's own test key, in the background, so that an answer takes no
 * time and is never older than a minute ("GetHealthStatus").
 */
import type { BoundaryUse } from '../boundary/client/api.ts'
import type { Health as Readiness } from '../http/metrics.ts'
import type { Replica } from '../store/replica.ts'
import { within } from './load/within.ts'

/** Real milliseconds above which a result is not given any more. */
export const MAX_AGE_MS = 60_000
/** A failure is asked about again much sooner: it may have been over a moment later. */
export const MAX_FAILURE_AGE_MS = 1000
/** A boundary that needs longer for a check does not answer. */
export const CHECK_DEADLINE_MS = 2000

export interface Health {
  readonly ok: boolean
  /** For the operator; never sent to callers. */
  readonly detail: string
  /** Of the boundary; empty while it was never reached. */
  readonly boundaryId: string
  readonly version: string
  readonly rootKind: string
  /** What could not be done to protect the boundary's process. */
  readonly warnings: readonly string[]
}

export class HealthMonitor {
  readonly #boundary: Pick<BoundaryUse, 'selfTest' | 'status'>
  readonly #monotonic: () => number
  #last: { readonly health: Health; readonly at: number } | undefined
  #running: Promise<Health> | undefined
  #asking: Promise<Health> | undefined
  #timer: NodeJS.Timeout | undefined

  constructor(boundary: Pick<BoundaryUse, 'selfTest' | 'status'>, monotonic: () => number = () => performance.now()) {
    this.#boundary = boundary
    this.#monotonic = monotonic
  }

  /** `everyMs`: real milliseconds between two checks, below `MAX_AGE_MS`. */
  start(everyMs: number): void {
    this.#timer = setInterval(() => void this.check(), everyMs)
    this.#timer.unref()
    void this.check()
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  /** The latest result, however old. */
  get last(): Health | undefined {
    return this.#last?.health
  }

  /** Seconds since the latest result; none yet: infinite. */
  get age(): number {
    return this.#last === undefined ? Number.POSITIVE_INFINITY : (this.#monotonic() - this.#last.at) / 1000
  }

  /** The latest result that is not older than a minute; a fresh one where there is none. Never rejects. */
  current(): Promise<Health> {
    const last = this.#last
    if (last !== undefined) {
      const maxAge = last.health.ok ? MAX_AGE_MS : MAX_FAILURE_AGE_MS
      if (this.#monotonic() - last.at <= maxAge) return Promise.resolve(last.health)
    }
    return this.check()
  }

  /** Checks now; those who ask at the same time share one check. Never rejects. */
  check(): Promise<Health> {
    this.#running ??= this.#check().finally(() => {
      this.#running = undefined
    })
    return this.#running
  }

  async #check(): Promise<Health> {
    let at = this.#monotonic()
    let health: Health
    try {
      // Where the last question is not answered yet, another one would only wait behind it.
      this.#asking ??= this.#ask().finally(() => {
        this.#asking = undefined
      })
      health = await within(CHECK_DEADLINE_MS, this.#asking)
    } catch (error) {
      const detail = error instanceof Error ? error.message : 'the boundary does not answer'
      const { boundaryId = '', version = '', rootKind = '' } = this.#last?.health ?? {}
      health = { ok: false, detail, boundaryId, version, rootKind, warnings: [] }
      at = this.#monotonic()
    }
    this.#last = { health, at }
    return health
  }

  async #ask(): Promise<Health> {
    const { boundaryId, version, rootKind, warnings, locked } = await this.#boundary.status()
    const known = { boundaryId, version, rootKind, warnings }
    if (locked) return { ...known, ok: false, detail: 'The boundary is locked: run holdfast unlock.' }
    return { ...known, ...(await this.#boundary.selfTest()) }
  }
}

/** Whether this front end can serve, and what the boundary says of itself, for the operator. Never rejects. */
export async function readiness(
  health: HealthMonitor,
  replica: Pick<Replica, 'ready' | 'failure'>,
): Promise<Readiness> {
  const { ok, detail, boundaryId: id, version, rootKind, warnings } = await health.current()
  const boundary = { id, version, rootKind, warnings }
  // A connection on which the store cannot be brought up to date is given up, and tried again.
  if (replica.failure !== '') return { ready: false, detail: { reason: replica.failure, boundary } }
  if (!ok) return { ready: false, detail: { reason: detail, boundary } }
  if (!replica.ready) return { ready: false, detail: { reason: 'catching up with the boundary', boundary } }
  return { ready: true, detail: { boundary } }
}
