import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { CHECK_DEADLINE_MS, HealthMonitor, MAX_AGE_MS, MAX_FAILURE_AGE_MS, readiness } from './health.ts'
import { FakeOwner } from './testing.ts'

function setup(t: TestContext) {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  let now = 0
  let asked = 0
  let resume: PromiseWithResolvers<void> | undefined
  const owner = new FakeOwner()
  const boundary = {
    status: async () => {
      asked++
      await resume?.promise
      return owner.boundary.status()
    },
    selfTest: owner.boundary.selfTest,
  }
  const health = new HealthMonitor(boundary, () => now)
  const pass = async (milliseconds: number) => {
    now += milliseconds
    t.mock.timers.tick(milliseconds)
    await new Promise(setImmediate)
  }
  return {
    health,
    owner,
    pass,
    asked: () => asked,
    hang: () => {
      resume = Promise.withResolvers()
    },
    answer: () => {
      resume?.resolve()
      resume = undefined
    },
  }
}

test('an answer is never older than a minute, and a failure never older than a second', async t => {
  const { health, owner, pass, asked } = setup(t)
  assert.equal(health.age, Infinity)
  assert.equal((await health.current()).ok, true)
  await pass(MAX_AGE_MS)
  assert.equal(health.age, 60)
  assert.equal((await health.current()).ok, true)
  assert.equal(asked(), 1)
  owner.healthy = false
  await pass(1)
  assert.equal((await health.current()).ok, false)
  assert.equal(asked(), 2)
  owner.healthy = true
  await pass(MAX_FAILURE_AGE_MS)
  assert.equal((await health.current()).ok, false)
  await pass(1)
  assert.equal((await health.current()).ok, true)
})

test('a boundary that does not answer is found out in time, asked once, and found again when it answers', async t => {
  const { health, pass, hang, answer, asked } = setup(t)
  const replica = { ready: true, failure: '' }
  assert.equal((await readiness(health, replica)).ready, true)
  hang()
  await pass(MAX_AGE_MS + 1)
  const waited = readiness(health, replica)
  await pass(CHECK_DEADLINE_MS)
  const { ready, detail } = await waited
  assert.deepEqual([ready, detail.reason], [false, `Unavailable: no answer within ${CHECK_DEADLINE_MS} ms`])
  for (let i = 0; i < 5; i++) {
    await pass(MAX_FAILURE_AGE_MS + 1)
    const again = health.current()
    await pass(CHECK_DEADLINE_MS)
    assert.equal((await again).ok, false)
  }
  assert.equal(asked(), 2)
  assert.equal(health.age, 0)
  answer()
  await pass(MAX_FAILURE_AGE_MS + 1)
  assert.equal((await health.current()).ok, true)
})
