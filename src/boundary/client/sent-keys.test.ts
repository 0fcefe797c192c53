import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import test from 'node:test'
import { SentKeys } from './sent-keys.ts'

test('a revision of a key is remembered once it was added, and forgotten with the connection', () => {
  const sent = new SentKeys()
  const ids = Array.from({ length: 1000 }, () => `eu-north-1/${randomUUID()}`)
  const wrong = ids.filter(id => sent.add(id, 1))
  assert.ok(wrong.length < 10, `${wrong.length} of 1000 ids share a bit with another`)
  assert.ok(ids.every(id => sent.add(id, 1)))
  assert.ok(ids.filter(id => sent.add(id, 2)).length < 20, 'another revision was not sent yet')
  sent.clear()
  assert.ok(ids.filter(id => sent.add(id, 1)).length < 10)
})
