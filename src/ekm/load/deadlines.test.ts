import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import fc from 'fast-check'
import { Deadline } from './deadlines.ts'

function setup(t: TestContext, lateMs = 150, overMs = 200) {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const told: string[] = []
  let now = 0
  const deadline = new Deadline(lateMs, overMs, () => now)
  const add = (name: string) =>
    deadline.add({ late: () => told.push(`${name} late ${now}`), over: () => told.push(`${name} over ${now}`) }, now)
  const pass = (milliseconds: number) => {
    for (let i = 0; i < milliseconds; i++) {
      now++
      t.mock.timers.tick(1)
    }
  }
  return { deadline, told, add, pass }
}

test('each is told when it is late and when its time is over, in their order', t => {
  const { told, add, pass, deadline } = setup(t)
  add('a')
  pass(10)
  add('b')
  pass(300)
  assert.deepEqual(told, ['a late 150', 'b late 160', 'a over 200', 'b over 210'])
  assert.equal(deadline.size, 0)
})

test('what has been taken out is told nothing, wherever it stood', t => {
  const { told, add, pass, deadline } = setup(t)
  const [a, b, c] = [add('a'), add('b'), add('c')]
  deadline.remove(b)
  assert.equal(deadline.size, 3)
  pass(160)
  deadline.remove(a)
  assert.equal(deadline.size, 1)
  deadline.remove(a)
  pass(100)
  assert.deepEqual(told, ['a late 150', 'c late 150', 'c over 200'])
  deadline.remove(c)
  assert.equal(deadline.size, 0)
})

test('a queue that never empties does not grow', t => {
  const { add, pass, deadline, told } = setup(t)
  let before = add('first')
  for (let i = 0; i < 10_000; i++) {
    const next = add(`n${i}`)
    deadline.remove(before)
    before = next
    assert.equal(deadline.size, 1)
  }
  pass(200)
  assert.deepEqual(told, ['n9999 late 150', 'n9999 over 200'])
})

test('property: whatever comes and goes, each that stays is told once of each, neither early nor more than a grain late', () => {
  const step = fc.record({ wait: fc.integer({ min: 0, max: 40 }), stays: fc.option(fc.integer({ min: 0, max: 260 })) })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), steps => {
      let now = 0
      const timers: { at: number; run: () => void }[] = []
      const original = globalThis.setTimeout
      globalThis.setTimeout = ((run: () => void, ms: number) => {
        timers.push({ at: now + ms, run })
        return { unref: () => {} }
      }) as never
      try {
        const deadline = new Deadline(150, 200, () => now)
        const all: { added: number; gone: number; late: number[]; over: number[]; number: number }[] = []
        const pass = (ms: number) => {
          for (let i = 0; i < ms; i++) {
            now++
            for (const one of all) if (one.gone === now) deadline.remove(one.number)
            for (const timer of timers.splice(0))
              if (timer.at <= now) timer.run()
              else timers.push(timer)
          }
        }
        for (const { wait, stays } of steps) {
          pass(wait)
          const one = { added: now, gone: stays === null ? Infinity : now + stays, late: [], over: [], number: 0 }
          const told: { late: number[]; over: number[] } = one
          one.number = deadline.add({ late: () => told.late.push(now), over: () => told.over.push(now) }, now)
          all.push(one)
        }
        pass(400)
        assert.equal(deadline.size, 0)
        for (const { added, gone, late, over } of all) {
          const expect = (told: number[], ms: number) => {
            if (gone > added + ms + 5) assert.equal(told.length, 1)
            if (gone <= added + ms && gone > added) assert.equal(told.length, 0)
            for (const at of told) assert.ok(at >= added + ms && at <= added + ms + 5, `${at - added} for ${ms}`)
          }
          expect(late, 150)
          expect(over, 200)
        }
      } finally {
        globalThis.setTimeout = original
      }
    }),
    { numRuns: 200 },
  )
})
