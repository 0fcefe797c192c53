import assert from 'node:assert/strict'
import { mock, test } from 'node:test'
import { Lane } from './slow.ts'
import { fails } from './testing/in-process.ts'

test('a lane does so much at once, in order, and a failure lets the next one in', async () => {
  const lane = new Lane(2)
  const order: string[] = []
  const gates = [0, 1, 2, 3].map(() => Promise.withResolvers<void>())
  const works = gates.map((gate, number) =>
    lane.run(async () => {
      order.push(`+${number}`)
      await gate.promise
      order.push(`-${number}`)
    }),
  )
  const all = Promise.allSettled(works)
  await Promise.resolve()
  assert.deepEqual(order, ['+0', '+1'])
  gates[1]?.reject(new Error('no luck'))
  await assert.rejects(works[1] as Promise<void>)
  gates[0]?.resolve()
  await works[0]
  gates[3]?.resolve()
  gates[2]?.resolve()
  const ends = (await all).map(result => result.status)
  assert.deepEqual(ends, ['fulfilled', 'rejected', 'fulfilled', 'fulfilled'])
  assert.deepEqual(order.slice(2, 4).sort(), ['+2', '-0'])
  assert.deepEqual([...order].sort(), ['+0', '+1', '+2', '+3', '-0', '-2', '-3'])
})

test('what waits too long a queue is refused, and nothing of it is begun', async () => {
  const lane = new Lane(1)
  const gate = Promise.withResolvers<void>()
  let begun = 0
  const work = async (): Promise<void> => {
    begun++
    await gate.promise
  }
  const waiting = Array.from({ length: 1025 }, () => lane.run(work))
  await assert.rejects(lane.run(work), fails('Busy'))
  assert.equal(begun, 1)
  gate.resolve()
  await Promise.all(waiting)
  assert.equal(begun, 1025)
  await lane.run(work)
})

test('a busy lane tells results together, and all of them when nothing waits any more', async () => {
  const lane = new Lane(1, true)
  const told: number[] = []
  const gates = Array.from({ length: 11 }, () => Promise.withResolvers<void>())
  let begun = 0
  const works = gates.map((gate, number) =>
    lane
      .run(() => {
        begun++
        return gate.promise
      })
      .catch(() => {})
      .finally(() => told.push(number)),
  )
  const turn = () => new Promise(resolve => setImmediate(resolve))
  const done = async (number: number) => {
    if (number === 2) gates[number]?.reject(new Error('no luck'))
    else gates[number]?.resolve()
    await turn()
  }
  mock.timers.enable({ apis: ['setTimeout'] })
  try {
    for (let number = 0; number < 7; number++) await done(number)
    assert.deepEqual([begun, told], [8, []], 'the next one has begun')
    await done(7)
    assert.deepEqual(told, [0, 1, 2, 3, 4, 5, 6, 7])
    await done(8)
    mock.timers.tick(2)
    await turn()
    assert.equal(told.length, 8)
    mock.timers.tick(1)
    await turn()
    assert.deepEqual(told.slice(8), [8])
    await done(9)
    await done(10)
    assert.deepEqual(told.slice(9), [9, 10])
    await lane.run(async () => {})
  } finally {
    mock.timers.reset()
  }
  await Promise.all(works)
})
