import assert from 'node:assert/strict'
import { test } from 'node:test'
import { text } from './mutate.ts'
import { fuzz } from './runner.ts'
import type { Running } from './target.ts'

const of = <Input>(running: Running<Input>) => ({ name: 'one', about: '', start: () => running })

test('what is found is found again by seed and number, with its input', async () => {
  const target = of<string>({
    make: text,
    run: input => {
      if (input.includes('\0')) throw new Error('a NUL')
      return input === '' ? 'nothing' : 'something'
    },
  })
  const { failure, runs, outcomes } = await fuzz(target, { seed: 7, runs: 10_000 })
  assert.ok(failure !== undefined && String(failure.input).includes('\0'))
  assert.equal(failure.at, runs - 1)
  assert.equal((outcomes.get('nothing') ?? 0) + (outcomes.get('something') ?? 0), failure.at)
  const again = await fuzz(target, { seed: 7, first: failure.at, runs: 1 })
  assert.deepEqual([again.failure?.at, again.failure?.input], [failure.at, failure.input])
  const error = again.failure?.error
  assert.ok(error instanceof Error && error.stack?.includes('runner.test.ts'))
})

test('what grows is found', async () => {
  const kept: Buffer[] = []
  const run = () => {
    kept.push(Buffer.alloc(100_000, 1))
    return 'kept'
  }
  assert.match(String((await fuzz(of({ make: () => 0, run }), { seed: 1, runs: 500 })).failure?.error), /has grown/)
})

test('what takes its time is found, and what took it once is not', async () => {
  let calls = 0
  const busy = (ms: number): string => {
    for (const end = performance.now() + ms; performance.now() < end; );
    return 'done'
  }
  const once = of({ make: () => 0, run: () => busy(calls++ === 0 ? 150 : 0) })
  assert.equal((await fuzz(once, { seed: 1, runs: 5 })).failure, undefined)
  const always = of({ make: () => 0, run: () => busy(101) })
  assert.match(String((await fuzz(always, { seed: 1, runs: 5 })).failure?.error), /it took \d+ ms/)
})
