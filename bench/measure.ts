/** What is measured, and the figures of a round of it. */
import { cpuOf } from './cpu.ts'
import type { Where } from './load.ts'
import type { Loader } from './loader.ts'

/** Figures of one request, or of one run of an algorithm. */
export interface Round {
  /** µs of CPU. */
  readonly frontEnd: number
  /** 0 for what has none. */
  readonly boundary: number
  /** Latency in milliseconds; undefined where nobody waits for an answer. */
  readonly p50: number | undefined
  readonly p99: number | undefined
}

export interface Target {
  readonly name: string
  /** Round 0 warms up; the others begin with requests that are not measured. */
  measure(round: number): Promise<Round>
}

export type Served = Where & {
  readonly name: string
  readonly frontEnd: readonly number[]
  readonly boundary: readonly number[]
  /** Requests of a round. */
  readonly count: number
  readonly perSecond?: number
  /** Signed anew for each round; used again from the start where there are fewer than `count`. */
  requests(): Buffer[]
}

export const CONNECTIONS = 64

export function served(loader: Loader, target: Served): Target {
  const { name, frontEnd, boundary, count, perSecond, requests, ...where } = target
  const cpu = (pids: readonly number[]): number => pids.reduce((sum, pid) => sum + cpuOf(pid), 0)
  return {
    name,
    measure: async round => {
      const pace = perSecond === undefined ? {} : { perSecond }
      const job = { ...where, requests: requests(), count, connections: CONNECTIONS, from: 0, ...pace }
      // After a pause the first requests pay for caches and code that are gone; other targets were measured meanwhile.
      if (round > 0) await loader.run({ ...job, requests: requests(), count: Math.ceil(count / 4) })
      let before: readonly [number, number] = [0, 0]
      // When all connections are open: handshakes are no part of it.
      const { failed, firstFailure, p50, p99 } = await loader.run(job, () => {
        before = [cpu(frontEnd), cpu(boundary)]
      })
      if (failed > 0) throw new Error(`${name}: ${failed} requests failed, the first with ${firstFailure}`)
      const each = (after: number, from: number): number => (after - from) / 1000 / count
      return { frontEnd: each(cpu(frontEnd), before[0]), boundary: each(cpu(boundary), before[1]), p50, p99 }
    },
  }
}

export interface Row {
  readonly name: string
  /** µs of CPU of all serving processes. */
  readonly cpu: number
  readonly frontEnd: number
  readonly boundary: number
  readonly p50: number | undefined
  readonly p99: number | undefined
}

function median(numbers: readonly (number | undefined)[]): number | undefined {
  return numbers.toSorted((a = 0, b = 0) => a - b)[Math.floor(numbers.length / 2)]
}

/** Medians of `rounds` rounds, the targets interleaved. */
export async function measureAll(
  targets: readonly Target[],
  rounds: number,
  say: (text: string) => void,
): Promise<Row[]> {
  say('a round to warm up …')
  for (const target of targets) await target.measure(0)
  const all = targets.map(() => [] as Round[])
  for (let round = 1; round <= rounds; round++) {
    say(`round ${round} of ${rounds}`)
    for (const [at, target] of targets.entries()) all[at]?.push(await target.measure(round))
  }
  return targets.map(({ name }, at) => {
    const of = (pick: (round: Round) => number | undefined) => median((all[at] ?? []).map(pick))
    return {
      name,
      cpu: of(one => one.frontEnd + one.boundary) ?? 0,
      frontEnd: of(one => one.frontEnd) ?? 0,
      boundary: of(one => one.boundary) ?? 0,
      p50: of(one => one.p50),
      p99: of(one => one.p99),
    }
  })
}
