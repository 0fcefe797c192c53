/** The suite's share of `npm run fuzz`: some hundred inputs for each target, from another seed each time. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { fuzz } from './runner.ts'
import { TARGETS } from './targets/index.ts'

const RUNS = 400
const seed = Number(process.env.HOLDFAST_SEED ?? Math.floor(Math.random() * 1e9))

for (const target of TARGETS) {
  test(`promise 11: ${target.about} (--target ${target.name} --seed ${seed})`, async () => {
    const { failure, outcomes, runs } = await fuzz(target, { seed, runs: RUNS })
    assert.equal(failure, undefined, inspect(failure, { depth: 8 }))
    assert.equal(runs, RUNS)
    // What is good is taken, and what is bad is refused in more than one way.
    assert.ok(outcomes.size >= 3, inspect(outcomes))
  })
}
