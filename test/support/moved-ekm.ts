/**
 * The front end of `holdfast ekm` with clocks that a test sets: the file that HOLDFAST_TEST_CLOCK names is read at every look at a clock, so that what is
 * written there holds for the next request. Everything else is the real front end.
 */
import { readFileSync } from 'node:fs'

/** What the file holds, as JSON. */
export interface Clock {
  /** What `performance.now()` answers, in milliseconds. */
  readonly monotonic: number
  /** Milliseconds that are added to the wall clock. */
  readonly wallOffset: number
}

const file = process.env.HOLDFAST_TEST_CLOCK ?? ''
const clock = (): Clock => JSON.parse(readFileSync(file, 'utf8'))
const wall = Date.now
performance.now = () => clock().monotonic
Date.now = () => wall() + clock().wallOffset

await import('../../src/ekm/main.ts')
