import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ClockWatch } from './clock-watch.ts'

const HOUR = 3_600_000
const DAY = 24 * HOUR
const START = Date.UTC(2031, 0, 1)

/** A machine whose clock and uptime the test moves. */
function machine(lastTime: number) {
  const at = { now: START, uptime: 5 * HOUR, lastTime }
  const watch = new ClockWatch({ now: () => at.now, lastTime: () => at.lastTime, uptime: () => at.uptime })
  const pass = (milliseconds: number): void => {
    at.now += milliseconds
    at.uptime += milliseconds
  }
  return { at, watch, pass }
}

test('time that passes is no leap, whether the machine slept or not; what the clock gains beyond an hour is, until it is back', () => {
  const { at, watch, pass } = machine(START - HOUR)
  pass(300 * DAY)
  at.now += HOUR
  assert.equal(watch.doubtful, false)
  assert.deepEqual(watch.warnings(), [])
  at.now += 1
  assert.equal(watch.doubtful, true)
  assert.match(watch.warnings().join(), /leapt ahead/)
  at.now -= HOUR
  assert.equal(watch.doubtful, false)
})

test('after a start that finds no record of the last week what cannot be undone waits for an hour', () => {
  for (const [old, waits] of [
    [7 * DAY, false],
    [7 * DAY + 1, true],
    [4000 * DAY, true],
  ] as const) {
    const { watch, pass } = machine(START - old)
    assert.equal(watch.doubtful, waits)
    assert.equal(watch.warnings().length, waits ? 1 : 0)
    pass(HOUR - 1)
    assert.equal(watch.doubtful, waits)
    pass(1)
    assert.equal(watch.doubtful, false)
  }
  assert.equal(machine(0).watch.doubtful, false, 'a new log')
})

test('a clock behind the last record is told once, and again when it comes back', () => {
  const { at, watch } = machine(START)
  const told: string[] = []
  const look = (): void => watch.look((_level, message) => told.push(message))
  at.now = START - 1000
  assert.equal(watch.behind, false)
  look()
  at.now -= 1
  assert.equal(watch.behind, true)
  look()
  look()
  at.now = START
  look()
  at.now = START - HOUR
  look()
  assert.equal(told.length, 2)
})
