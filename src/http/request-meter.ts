/**
 * Counts and durations of requests, kept in plain numbers so that a request costs a map's look-up and an addition, and made into a Prometheus
 * histogram when someone asks.
 */
import type { Metric } from 'prom-client'

/** Upper bounds in seconds. */
export const DURATION_BUCKETS: readonly number[] = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10,
]
const NAME = 'holdfast_request_seconds'
/** Operations and error names come from tables; this bounds what a mistake could do. */
const MAX_SERIES = 2000

interface Series {
  readonly labels: Readonly<Record<string, string>>
  /** One more than there are bounds: the last is for everything above. */
  readonly buckets: Float64Array
  sum: number
}

export class RequestMeter {
  readonly #protocols = new Map<string, Map<string, Map<string, Series>>>()
  #size = 0

  /** `outcome`: `ok` or the protocol's error name. `protocol`: where a service speaks several. */
  observe(operation: string, outcome: string, seconds: number, protocol = ''): void {
    const series =
      this.#protocols.get(protocol)?.get(operation)?.get(outcome) ?? this.#add(protocol, operation, outcome)
    if (series === undefined) return
    let at = 0
    while (at < DURATION_BUCKETS.length && seconds > (DURATION_BUCKETS[at] ?? 0)) at++
    series.buckets[at] = (series.buckets[at] ?? 0) + 1
    series.sum += seconds
  }

  #add(protocol: string, operation: string, outcome: string): Series | undefined {
    if (this.#size >= MAX_SERIES) return undefined
    this.#size++
    const labels = { ...(protocol === '' ? {} : { protocol }), operation, outcome }
    const series = { labels, buckets: new Float64Array(DURATION_BUCKETS.length + 1), sum: 0 }
    const operations = this.#protocols.get(protocol) ?? new Map<string, Map<string, Series>>()
    const outcomes = operations.get(operation) ?? new Map<string, Series>()
    this.#protocols.set(protocol, operations.set(operation, outcomes.set(outcome, series)))
    return series
  }

  #values(): { metricName: string; labels: Record<string, string | number>; value: number }[] {
    const operations = [...this.#protocols.values()].flatMap(each => [...each.values()])
    const all = operations.flatMap(outcomes => [...outcomes.values()])
    return all.flatMap(({ labels, buckets, sum }) => {
      let count = 0
      const bounds = [...DURATION_BUCKETS, '+Inf'].map((le, i) => {
        count += buckets[i] ?? 0
        return { metricName: `${NAME}_bucket`, labels: { ...labels, le }, value: count }
      })
      return [
        ...bounds,
        { metricName: `${NAME}_sum`, labels, value: sum },
        { metricName: `${NAME}_count`, labels, value: count },
      ]
    })
  }

  /** What a registry of prom-client asks of a metric. */
  asMetric(): Metric {
    const help = 'Requests by operation and outcome: how many, and how long they took'
    const get = async () => ({ name: NAME, help, type: 'histogram', values: this.#values(), aggregator: 'sum' })
    return { name: NAME, get } as unknown as Metric
  }
}
