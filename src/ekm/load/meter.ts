/**
 * What each tenant, protocol and key was answered, and how much was turned away, for Prometheus. Tenants and keys have lines of their own up to a bound;
 * what comes after it shares one, so that nothing grows. A request costs a few look-ups and additions.
 */
import type { Metric } from 'prom-client'
import type { LoadReason, Who } from './admission.ts'

export interface MeterLimits {
  /** Tenants that are told apart. */
  readonly tenants: number
  /** Keys that are told apart, each counted once a protocol. */
  readonly keys: number
}

/** In place of a name beyond the bounds; no tenant or key can be called so. */
export const OTHERS = '(other)'
/** Upper bounds in seconds: what the protocols' deadlines are compared with. */
const BUCKETS: readonly number[] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.25, 1, 5, 30]

interface Cell {
  count: number
}
type Counts<K extends string> = Map<K, Cell>

/** Of one tenant over one protocol. */
class Series {
  readonly buckets = new Float64Array(BUCKETS.length + 1)
  sum = 0
  /** By key and outcome. */
  readonly keys = new Map<string, Counts<string>>()
  readonly load: Counts<LoadReason> = new Map()
}

type Values = { metricName?: string; labels: Record<string, string | number>; value: number }[]

export class EkmMeter {
  readonly #limits: MeterLimits
  readonly #tenants = new Map<string, Map<string, Series>>()
  #keys = 0

  constructor(limits: MeterLimits) {
    this.#limits = limits
  }

  /** `key`: the id of one that exists, or empty. `outcome`: `ok` or the protocol's error name. */
  answered(who: Who, key: string, outcome: string, seconds: number): void {
    const series = this.#series(who)
    let at = 0
    while (at < BUCKETS.length && seconds > (BUCKETS[at] ?? 0)) at++
    series.buckets[at] = (series.buckets[at] ?? 0) + 1
    series.sum += seconds
    one(series.keys.get(key) ?? this.#addKey(series, key), outcome)
  }

  load(who: Who, reason: LoadReason): void {
    one(this.#series(who).load, reason)
  }

  /** The name under which a tenant is told apart. */
  nameOf(tenant: string): string {
    return this.#tenants.has(tenant) ? tenant : OTHERS
  }

  #series({ tenant, protocol }: Who): Series {
    const protocols = this.#tenants.get(tenant) ?? this.#addTenant(tenant)
    let series = protocols.get(protocol)
    if (series === undefined) {
      series = new Series()
      protocols.set(protocol, series)
    }
    return series
  }

  #addTenant(tenant: string): Map<string, Series> {
    const named = this.#tenants.size - (this.#tenants.has(OTHERS) ? 1 : 0)
    const name = named < this.#limits.tenants ? tenant : OTHERS
    const protocols = this.#tenants.get(name) ?? new Map<string, Series>()
    this.#tenants.set(name, protocols)
    return protocols
  }

  #addKey({ keys }: Series, key: string): Counts<string> {
    let name = key
    if (key !== '') {
      if (this.#keys < this.#limits.keys) this.#keys++
      else name = OTHERS
    }
    const counts = keys.get(name) ?? new Map<string, Cell>()
    keys.set(name, counts)
    return counts
  }

  *#all(): Generator<readonly [labels: { tenant: string; protocol: string }, series: Series]> {
    for (const [tenant, protocols] of this.#tenants)
      for (const [protocol, series] of protocols) yield [{ tenant, protocol }, series]
  }

  #answers(): Values {
    const values: Values = []
    for (const [labels, { keys }] of this.#all())
      for (const [key, outcomes] of keys)
        for (const [outcome, { count }] of outcomes) values.push({ labels: { ...labels, key, outcome }, value: count })
    return values
  }

  #loads(): Values {
    const values: Values = []
    for (const [labels, { load }] of this.#all())
      for (const [reason, { count }] of load) values.push({ labels: { ...labels, reason }, value: count })
    return values
  }

  #durations(): Values {
    const values: Values = []
    const name = NAMES.durations
    for (const [labels, { buckets, sum }] of this.#all()) {
      let count = 0
      for (const [at, le] of [...BUCKETS, '+Inf'].entries()) {
        count += buckets[at] ?? 0
        values.push({ metricName: `${name}_bucket`, labels: { ...labels, le }, value: count })
      }
      values.push({ metricName: `${name}_sum`, labels, value: sum })
      values.push({ metricName: `${name}_count`, labels, value: count })
    }
    return values
  }

  /** What a registry of prom-client asks of metrics. */
  asMetrics(underWay: () => Iterable<readonly [tenant: string, inFlight: number]>): Metric[] {
    return [
      metric(NAMES.answers, 'counter', 'Requests of known callers, by what they were answered', () => this.#answers()),
      metric(NAMES.durations, 'histogram', 'How long they took, in seconds', () => this.#durations()),
      metric(NAMES.loads, 'counter', 'Requests that load left unanswered: turned away, or told that time is over', () =>
        this.#loads(),
      ),
      metric(NAMES.inFlight, 'gauge', 'Requests under way, those of which the caller was told otherwise too', () => {
        const sums = new Map<string, number>()
        for (const [tenant, count] of underWay()) {
          const name = this.nameOf(tenant)
          sums.set(name, (sums.get(name) ?? 0) + count)
        }
        return [...sums].map(([tenant, value]) => ({ labels: { tenant }, value }))
      }),
    ]
  }
}

const NAMES = {
  answers: 'holdfast_ekm_requests_total',
  durations: 'holdfast_ekm_request_seconds',
  loads: 'holdfast_ekm_load_total',
  inFlight: 'holdfast_ekm_in_flight',
} as const

function one<K extends string>(counts: Counts<K>, name: K): void {
  const cell = counts.get(name)
  if (cell === undefined) counts.set(name, { count: 1 })
  else cell.count++
}

function metric(name: string, type: string, help: string, values: () => Values): Metric {
  const get = async () => ({ name, help, type, values: values(), aggregator: 'sum' })
  return { name, get } as unknown as Metric
}
