import assert from 'node:assert/strict'
import { test } from 'node:test'
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
