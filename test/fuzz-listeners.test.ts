/**
 * The suite's share of `npm run fuzz -- --listeners`: some hundred connections of clients that break the rules, at every listener of a real `holdfast ekm`,
 * from another seed each time.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { fuzzListeners } from '../fuzz/listeners/run.ts'

const CONNECTIONS = 450
const seed = Number(process.env.HOLDFAST_SEED ?? Math.floor(Math.random() * 1e9))

test(`promise 11: no connection makes a listener fail, hang or grow (--listeners --seed ${seed})`, async () => {
  const { failure, connections, outcomes } = await fuzzListeners({ seed, runs: CONNECTIONS })
  assert.equal(failure, undefined, inspect(failure, { depth: 8 }))
  assert.ok(connections >= CONNECTIONS)
  for (const door of ['endpoint', 'azure', 'dke', 'kacls', 'google', 'operations', 'admin'])
    assert.ok(outcomes.has(`${door} 400`), `${door}: ${inspect(outcomes)}`)
  for (const door of ['kubernetes', 'socket', 'boundary'])
    assert.ok(outcomes.has(`${door} answered`), `${door}: ${inspect(outcomes)}`)
})
