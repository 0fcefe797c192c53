import assert from 'node:assert/strict'
import { test } from 'node:test'
import { OPERATION_INPUTS } from '../wire/model/model.ts'
import { OPERATIONS } from './table.ts'

test('every operation of the API is built, and nothing else is', () => {
  assert.equal(OPERATION_INPUTS.size, 56)
  assert.deepEqual(OPERATIONS.map(({ name }) => name).sort(), [...OPERATION_INPUTS.keys()].sort())
})
