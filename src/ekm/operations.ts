/**
 * The operator's listener, on loopback: `GET /ping` for load balancers (200 while this front end can serve, else 503; without a body, so that it
 * costs nothing), `/health/live` for what restarts processes, and `/health/ready` with what the last check found.
 */
import type { Handler, HttpErrorKind, Reply } from '../http/types.ts'
import type { Replica } from '../store/replica.ts'
import type { HealthMonitor } from './health.ts'

const json = (status: number, body: object): Reply => ({
  status,
  headers: { 'Content-Type': 'application/json' },
  body: JSON.stringify(body),
})
const empty = (status: number): Reply => ({ status, headers: {}, body: '' })

const STATUS: Readonly<Record<HttpErrorKind, number>> = {
  BadRequest: 400,
  TooLarge: 413,
  Timeout: 408,
  Overloaded: 503,
  Unavailable: 503,
  Internal: 500,
}

export function operationsHandler(
  health: HealthMonitor,
  replica: Pick<Replica, 'ready'>,
): { handler: Handler; errors: (kind: HttpErrorKind) => Reply } {
  const routes: Readonly<Record<string, () => Promise<Reply>>> = {
    '/ping': async () => empty(replica.ready && (await health.current()).ok ? 200 : 503),
    '/health/live': async () => empty(200),
    '/health/ready': async () => {
      const { ok, detail, boundaryId, version, rootKind, warnings } = await health.current()
      const ready = ok && replica.ready
      return json(ready ? 200 : 503, { ready, detail, boundary: { id: boundaryId, version, rootKind, warnings } })
    },
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
