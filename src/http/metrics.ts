/**
 * Metrics and health of a front end, on a loopback listener of their own: `/metrics` for Prometheus, `/health/live` for what restarts processes,
 * `/health/ready` for what sends it requests.
 */
import { Counter, collectDefaultMetrics, Gauge, type Metric, Registry } from 'prom-client'
import { isLoopback } from '../config/loopback.ts'
import { startListener } from './listener.ts'
import { RequestMeter } from './request-meter.ts'
import type { HttpErrorKind, Listener, Reply } from './types.ts'

export class Metrics {
  readonly registry = new Registry()
  /** Requests that reached a protocol. */
  readonly requests: RequestMeter
  readonly #refused: Counter<'listener' | 'reason'>

  /** `service` becomes a label of everything: `kms`, `ekm`. */
  constructor(service: string) {
    this.registry.setDefaultLabels({ service })
    collectDefaultMetrics({ register: this.registry })
    this.requests = new RequestMeter()
    this.registry.registerMetric(this.requests.asMetric())
    this.#refused = new Counter({
      name: 'holdfast_refused_total',
      help: 'Connections and requests that never reached a protocol, by reason',
      labelNames: ['listener', 'reason'],
      registers: [this.registry],
    })
  }

  /** For `onUnauthenticated` of a listener. `reason` comes from a table. */
  refused(listener: string, reason: string): void {
    this.#refused.inc({ listener, reason })
  }

  /** A value that is read when someone asks. `name` without the prefix `holdfast_`. */
  gauge(name: string, help: string, read: () => number): void {
    const gauge: Gauge = new Gauge({
      name: `holdfast_${name}`,
      help,
      registers: [this.registry],
      collect: () => gauge.set(read()),
    })
  }

  /** Metrics that are kept elsewhere. */
  add(metrics: readonly Metric[]): void {
    for (const metric of metrics) this.registry.registerMetric(metric)
  }

  /** Requests in flight and open connections of a listener, and the end of its certificate. */
  watch(listener: Pick<Listener, 'name' | 'inFlight' | 'connections' | 'validTo'>): void {
    this.gauge(`${listener.name}_in_flight`, 'Requests being read or handled', () => listener.inFlight)
    this.gauge(`${listener.name}_connections`, 'Open connections', () => listener.connections)
    if (listener.validTo === undefined) return
    const help = 'When its certificate ends, in seconds since 1970'
    this.gauge(`${listener.name}_certificate_expires`, help, () => (listener.validTo ?? 0) / 1000)
  }
}

export interface Health {
  /** False takes the service out of rotation: 503. */
  readonly ready: boolean
  /** For the operator, as JSON; no secrets, and nothing of callers. */
  readonly detail: Readonly<Record<string, unknown>>
}

export interface OperationsOptions {
  /** Loopback. Default 127.0.0.1. */
  readonly host?: string
  /** 0 takes a free one. */
  readonly port: number
  readonly metrics?: Metrics
  readonly health: () => Health | Promise<Health>
  /** Further GET routes by path, for example what a kind of load balancer insists on. */
  readonly routes?: Readonly<Record<string, () => Reply | Promise<Reply>>>
  readonly onDefect?: (error: unknown) => void
}

/** For listeners whose answers have no form of their own. */
export const ERROR_STATUS: Readonly<Record<HttpErrorKind, number>> = {
  BadRequest: 400,
  TooLarge: 413,
  Timeout: 408,
  Overloaded: 503,
  Unavailable: 503,
  Internal: 500,
}

/** Starts the operator's listener. Rejects for a host that is not loopback: it has no authentication. */
export async function startOperations(options: OperationsOptions): Promise<Listener> {
  const { host = '127.0.0.1', port, metrics, health, routes = {}, onDefect } = options
  if (!isLoopback(host))
    throw new Error(`operations listens on ${host}: only loopback will do, it asks nobody who they are`)
  const all = new Map<string, () => Reply | Promise<Reply>>(Object.entries(routes))
  all.set('/health/live', () => text(200, 'live\n'))
  all.set('/health/ready', async () => {
    const { ready, detail } = await health()
    return json(ready ? 200 : 503, { ready, ...detail })
  })
  if (metrics) {
    const { registry } = metrics
    all.set('/metrics', async () => {
      return { status: 200, headers: { 'Content-Type': registry.contentType }, body: await registry.metrics() }
    })
  }
  return startListener({
    name: 'operations',
    host,
    port,
    limits: { bodyBytes: 1024, connections: 64, inFlight: 16 },
    errors: kind => text(ERROR_STATUS[kind], `${kind}\n`),
    handler: ({ method, rawPath }) => {
      const route = all.get(rawPath)
      if (route === undefined) return text(404, 'no such path\n')
      if (method === 'GET' || method === 'HEAD') return route()
      return { ...text(405, 'only GET\n'), headers: { Allow: 'GET, HEAD' } }
    },
    ...(onDefect ? { onDefect } : {}),
  })
}

function text(status: number, body: string): Reply {
  return { status, headers: { 'Content-Type': 'text/plain; charset=utf-8' }, body }
}

function json(status: number, body: object): Reply {
  return { status, headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) }
}
