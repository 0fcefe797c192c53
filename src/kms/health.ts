/**
 * The operator's listener, on loopback: `/health/live` for what restarts processes, `/health/ready` with what the boundary says of itself, and
 * `/metrics` for Prometheus.
 */
import { Counter, Gauge, Registry } from 'prom-client'
import type { BoundaryStatus, BoundaryUse } from '../boundary/client/api.ts'
import type { Handler, HttpErrorKind, Reply } from '../http/types.ts'
import type { Replica } from '../store/replica.ts'

const STATUS: Readonly<Record<HttpErrorKind, number>> = {
  BadRequest: 400,
  TooLarge: 413,
  Timeout: 408,
  Overloaded: 503,
  Unavailable: 503,
  Internal: 500,
}

const empty = (status: number): Reply => ({ status, headers: {}, body: '' })
const json = (status: number, body: object): Reply => ({
  status,
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(body),
})

export interface Health {
  readonly ready: boolean
  /** One sentence for the operator. */
  readonly detail: string
  /** What could not be done to protect the boundary's process, and other sentences for the operator. */
  readonly warnings: readonly string[]
}

async function healthOf(boundary: Pick<BoundaryUse, 'status'>, replica: Pick<Replica, 'ready'>): Promise<Health> {
  let status: BoundaryStatus
  try {
    status = await boundary.status()
  } catch {
    return { ready: false, detail: 'The boundary does not answer.', warnings: [] }
  }
  const { locked, warnings } = status
  if (locked) return { ready: false, detail: 'The boundary is locked: run holdfast unlock.', warnings }
  if (!replica.ready) return { ready: false, detail: 'The store is catching up with the boundary.', warnings }
  return { ready: true, detail: 'Requests are answered.', warnings }
}

/** Counted as requests are answered; a plain map, so that counting costs nothing on the hot path. */
export class Requests {
  readonly #counts = new Map<string, Map<string, number>>()
  refused = new Map<string, number>()

  /** `error` is empty where it succeeded. Both words come from tables of ours. */
  answered(operation: string, error: string): void {
    let byError = this.#counts.get(operation)
    if (byError === undefined) {
      byError = new Map()
      this.#counts.set(operation, byError)
    }
    byError.set(error, (byError.get(error) ?? 0) + 1)
  }

  stranger(reason: string): void {
    this.refused.set(reason, (this.refused.get(reason) ?? 0) + 1)
  }

  *entries(): Iterable<readonly [operation: string, error: string, count: number]> {
    for (const [operation, byError] of this.#counts)
      for (const [error, count] of byError) yield [operation, error, count]
  }
}

interface Parts {
  readonly boundary: Pick<BoundaryUse, 'status'>
  readonly replica: Pick<Replica, 'ready' | 'cached' | 'appliedUpTo'>
  readonly requests: Requests
  readonly inFlight: () => number
  readonly connections: () => number
}

/** Numbers are taken when somebody asks for them. */
function metricsOf({ replica, requests, inFlight, connections }: Parts): Registry {
  const registry = new Registry()
  const registers = [registry]
  new Counter({
    name: 'holdfast_kms_requests_total',
    help: 'Authenticated requests, by operation and error (empty: succeeded).',
    labelNames: ['operation', 'error'],
    registers,
    collect() {
      this.reset()
      for (const [operation, error, count] of requests.entries()) this.inc({ operation, error }, count)
    },
  })
  new Counter({
    name: 'holdfast_kms_unauthenticated_total',
    help: 'Requests and connections refused before anybody was known, by reason.',
    labelNames: ['reason'],
    registers,
    collect() {
      this.reset()
      for (const [reason, count] of requests.refused) this.inc({ reason }, count)
    },
  })
  const gauge = (name: string, help: string, value: () => number): void => {
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(value())
      },
    })
  }
  gauge('holdfast_kms_ready', 'Whether requests are answered.', () => (replica.ready ? 1 : 0))
  gauge('holdfast_kms_in_flight', 'Requests under way.', inFlight)
  gauge('holdfast_kms_connections', 'Open connections.', connections)
  gauge('holdfast_kms_cached_rows', 'Verified rows in memory.', () => replica.cached.rows)
  gauge('holdfast_kms_cached_bytes', 'Memory of verified rows.', () => replica.cached.bytes)
  gauge('holdfast_kms_write_set', 'Number of the last write set in the store.', () => replica.appliedUpTo)
  gauge('holdfast_kms_resident_bytes', 'Memory of the front end.', () => process.memoryUsage.rss())
  return registry
}

export function operationsHandler(parts: Parts): { handler: Handler; errors: (kind: HttpErrorKind) => Reply } {
  const metrics = metricsOf(parts)
  const routes: Readonly<Record<string, () => Promise<Reply>>> = {
    '/health/live': async () => empty(200),
    '/health/ready': async () => {
      const health = await healthOf(parts.boundary, parts.replica)
      return json(health.ready ? 200 : 503, health)
    },
    '/metrics': async () => ({
      status: 200,
      headers: { 'content-type': metrics.contentType },
      body: await metrics.metrics(),
    }),
  }
  return {
    handler: request => {
      const route = Object.hasOwn(routes, request.rawPath) ? routes[request.rawPath] : undefined
      if (route === undefined) return empty(404)
      return request.method === 'GET' || request.method === 'HEAD' ? route() : empty(405)
    },
    errors: kind => empty(STATUS[kind]),
  }
}
