/** What `docs/azure.md` says of errors, commands and settings is what the program says of itself. */
import { test } from 'node:test'
import { AZURE_ERRORS } from '../src/ekm/protocols/azure/errors.ts'
import { commandsAreThere, configurationIsOne, errorsAreTold, linesOf } from './support/docs.ts'

const lines = linesOf('azure.md')

test('every error with its status, and no other', () => errorsAreTold(lines, AZURE_ERRORS))
test('every command of holdfast ekm that it names is there', () => commandsAreThere(lines, 8))
test('its configuration is one', () => configurationIsOne(lines))
