import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Breaker } from './breaker.ts'

const SETTINGS = { threshold: 3, openMs: 100, maxOpenMs: 350 }

function made() {
  let now = 1000
  const breaker = new Breaker(SETTINGS, () => now)
  return {
    breaker,
    pass: (ms: number) => {
      now += ms
    },
    fail: (times: number) => {
      for (let time = 0; time < times; time += 1) breaker.unanswered(breaker.admit())
    },
  }
}

test('it opens after a run of silence, and only after a run', () => {
  const { breaker, fail } = made()
  fail(2)
  breaker.answered()
  fail(2)
  assert.equal(breaker.state, 'closed')
  fail(1)
  assert.equal(breaker.state, 'open')
  assert.equal(breaker.admit(), 'refused')
})

test('after a while one probe goes through; an answer closes it', () => {
  const { breaker, fail, pass } = made()
  fail(3)
  pass(99)
  assert.equal(breaker.admit(), 'refused')
  pass(1)
  assert.equal(breaker.admit(), 'probe')
  assert.equal(breaker.admit(), 'refused')
  breaker.answered()
  assert.equal(breaker.state, 'closed')
  assert.equal(breaker.admit(), 'free')
})

test('a probe without an answer opens it for longer, up to a bound', () => {
  const { breaker, fail, pass } = made()
  fail(3)
  for (const ms of [100, 200, 350, 350]) {
    pass(ms - 1)
    assert.equal(breaker.admit(), 'refused')
    pass(1)
    const probe = breaker.admit()
    assert.equal(probe, 'probe')
    breaker.unanswered(probe)
  }
})

test('what was under way when it opened decides nothing about the probe', () => {
  const { breaker, fail, pass } = made()
  const late = breaker.admit()
  fail(3)
  pass(100)
  const probe = breaker.admit()
  breaker.unanswered(late)
  assert.equal(breaker.admit(), 'refused')
  breaker.undecided(probe)
  assert.equal(breaker.admit(), 'probe')
})
