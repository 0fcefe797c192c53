/** The figures as text. */
import type { Compared } from './algorithms.ts'
import type { Row } from './measure.ts'

const number = (value: number | undefined, width: number, digits = 1): string =>
  (value === undefined ? '' : value.toFixed(digits)).padStart(width)

const WIDTH = 54

export interface Report {
  /** The first is the unit. */
  readonly rows: readonly Row[]
  readonly algorithms: readonly Compared[]
  /** Megabytes resident, by what was measured. */
  readonly memoryMB: Readonly<Record<string, number>>
  /** Milliseconds until the line of JSON. */
  readonly startMs: Readonly<Record<string, number>>
}

export function print({ rows, algorithms, memoryMB, startMs }: Report): void {
  const unit = rows[0]?.cpu ?? 1
  console.log(`${' '.repeat(WIDTH)}   µs CPU a request                    latency, ms`)
  console.log(`${' '.repeat(WIDTH)}total  × nginx  front end  boundary    p50     p99`)
  for (const { name, cpu, frontEnd, boundary, p50, p99 } of rows) {
    const parts = number(cpu, 5) + number(cpu / unit, 9) + number(frontEnd, 11)
    const ofBoundary = boundary === 0 ? ' '.repeat(10) : number(boundary, 10)
    console.log(`${name.padEnd(WIDTH)}${parts}${ofBoundary}${number(p50, 7, 2)}${number(p99, 8, 2)}`)
  }
  if (algorithms.length > 0) {
    console.log(`\nµs CPU${' '.repeat(WIDTH - 6)}algorithm  whole path  difference  Encrypt's whole path`)
    for (const { name, algorithm, wholePath, difference, encrypt } of algorithms)
      console.log(
        `${name.padEnd(WIDTH)}${number(algorithm, 9)}${number(wholePath, 12)}${number(difference, 12)}${number(encrypt, 22)}`,
      )
  }
  console.log('')
  for (const [name, megabytes] of Object.entries(memoryMB))
    console.log(`${name.padEnd(WIDTH)}${number(megabytes, 5, 0)} MB`)
  for (const [name, ms] of Object.entries(startMs))
    console.log(`${`${name}, until its line of JSON`.padEnd(WIDTH)}${number(ms, 5, 0)} ms`)
}
