/** What `docs/google.md` says of errors, reasons, commands and settings is what the program says of itself. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { REASONS } from '../src/ekm/access/reasons.ts'
import { GOOGLE_ERRORS } from '../src/ekm/protocols/google/errors.ts'
import { commandsAreThere, configurationIsOne, errorsAreTold, linesOf } from './support/docs.ts'

const lines = linesOf('google.md')

test('every error with its status, and no other', () => errorsAreTold(lines, GOOGLE_ERRORS))
test('every command of holdfast ekm that it names is there', () => commandsAreThere(lines, 5))
test('its configuration is one', () => configurationIsOne(lines))
test('every reason with its number, and no other', () => {
  const told = lines.flatMap(line => {
    const [, number, code] = /^\| (\d{1,2}) \| `([A-Z_]+)` \|/.exec(line) ?? []
    return code === undefined ? [] : [[code, Number(number)]]
  })
  const known = Object.entries(REASONS).flatMap(([code, { number }]) => (number === undefined ? [] : [[code, number]]))
  assert.deepEqual(told, known)
})
