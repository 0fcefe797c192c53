/** The figures as text. */
import type { Compared } from './algorithms.ts'
import { DEADLINE_MS, type Offered } from './ekm/xks-load.ts'
import type { LargeFigures } from './large.ts'
import type { Row } from './measure.ts'

const number = (value: number | undefined, width: number, digits = 1): string =>
  (value === undefined ? '' : value.toFixed(digits)).padStart(width)

const WIDTH = 54

export interface Report {
  /** The first is the unit. */
  readonly rows: readonly Row[]
  readonly algorithms: readonly Compared[]
  readonly offered: readonly Offered[]
  /** Megabytes resident, by what was measured. */
  readonly memoryMB: Readonly<Record<string, number>>
  /** Milliseconds until the line of JSON. */
  readonly startMs: Readonly<Record<string, number>>
}

export function print({ rows, algorithms, offered, memoryMB, startMs }: Report): void {
  const unit = rows[0]?.cpu ?? 1
  console.log(`${' '.repeat(WIDTH)}   µs CPU a request                    latency, ms`)
  console.log(`${' '.repeat(WIDTH)}total  × nginx  front end  boundary    p50     p99`)
  for (const { name, cpu, frontEnd, boundary, p50, p99 } of rows) {
    const parts = number(cpu, 5) + number(cpu / unit, 9) + number(frontEnd, 11)
    const ofBoundary = boundary === 0 ? ' '.repeat(10) : number(boundary, 10)
    console.log(`${name.padEnd(WIDTH)}${parts}${ofBoundary}${number(p50, 7, 2)}${number(p99, 8, 2)}`)
  }
  if (algorithms.length > 0) {
    console.log(
      `\nµs CPU${' '.repeat(WIDTH - 6)}algorithm  whole path  difference  Encrypt's whole path  Encrypt, 2000 a second`,
    )
    for (const { name, algorithm, wholePath, difference, encrypt, seldom } of algorithms)
      console.log(
        `${name.padEnd(WIDTH)}${number(algorithm, 9)}${number(wholePath, 12)}${number(difference, 12)}${number(encrypt, 22)}${number(seldom, 24)}`,
      )
  }
  printOffered(offered)
  console.log('')
  printState(memoryMB, startMs)
}

function printState(memoryMB: Report['memoryMB'], startMs: Report['startMs']): void {
  for (const [name, megabytes] of Object.entries(memoryMB))
    console.log(`${name.padEnd(WIDTH)}${number(megabytes, 5, 0)} MB`)
  for (const [name, ms] of Object.entries(startMs))
    console.log(`${`${name}, until its line of JSON`.padEnd(WIDTH)}${number(ms, 5, 0)} ms`)
}

/** Of a service that has grown for years. */
export function printLarge({ startMs, healthyMs, memoryMB, backup }: LargeFigures): void {
  printState(memoryMB, startMs)
  for (const [name, ms] of Object.entries(healthyMs))
    console.log(`${`${name}, until it is healthy`.padEnd(WIDTH)}${number(ms, 5, 0)} ms`)
  for (const [name, seconds] of Object.entries(backup))
    console.log(`${`backup, ${name}`.padEnd(WIDTH)}${number(seconds, 5)} s`)
}

/** A load at a fixed rate: what became of it. */
export function printOffered(offered: readonly Offered[]): void {
  if (offered.length === 0) return
  const head = (text: string): string => `${' '.repeat(WIDTH)}${text}`
  console.log(head('                      turned          latency, ms                   µs CPU a request'))
  console.log(
    head(`  sent    200   away  other    p50     p99   worst  > ${DEADLINE_MS}  front end  boundary  sender, late ms`),
  )
  for (const each of offered) {
    const counts = number(each.sent, 6, 0) + number(each.answered, 7, 0) + number(each.turnedAway, 7, 0)
    const times = number(each.p50, 7, 2) + number(each.p99, 8, 2) + number(each.worst, 8, 1)
    const costs = number(each.frontEnd, 11) + number(each.boundary, 10) + number(each.sender, 8)
    const late = number(each.sentLate, 9)
    console.log(
      `${each.name.padEnd(WIDTH)}${counts}${number(each.failed, 7, 0)}${times}${number(each.overDeadline, 7, 0)}${costs}${late}`,
    )
  }
}
