import assert from 'node:assert/strict'
import test from 'node:test'
import { errorMessage, errorReply, XKS_ERRORS, type XksErrorName } from './errors.ts'
import { ERROR_NAMES, xksListenerError } from './handler.ts'

test('every error has its status, and a message of fewer than 512 printable ASCII characters', () => {
  const long = errorMessage(`\u0000é\n${'x'.repeat(600)}`)
  assert.match(long, /^[\x20-\x7e]{1,511}$/)
  for (const [name, status] of Object.entries(XKS_ERRORS)) {
    const reply = errorReply(name as XksErrorName, 'why')
    assert.equal(reply.status, status)
    assert.deepEqual(JSON.parse(String(reply.body)), { errorName: name, errorMessage: 'why' })
  }
})

test('every failure of the core and of the listener has its error', () => {
  for (const name of Object.values(ERROR_NAMES)) assert.match(name, /Exception$/)
  for (const kind of ['TooLarge', 'Timeout', 'BadRequest', 'Overloaded', 'Unavailable', 'Internal'] as const)
    assert.ok(JSON.parse(String(xksListenerError(kind).body)).errorName)
})
