/** What `docs/google.md` says of errors, commands and settings is what the program says of itself. */
import { test } from 'node:test'
import { GOOGLE_ERRORS } from '../src/ekm/protocols/google/errors.ts'
import { commandsAreThere, configurationIsOne, errorsAreTold, linesOf } from './support/docs.ts'

const lines = linesOf('google.md')

test('every error with its status, and no other', () => errorsAreTold(lines, GOOGLE_ERRORS))
test('every command of holdfast ekm that it names is there', () => commandsAreThere(lines, 5))
test('its configuration is one', () => configurationIsOne(lines))
