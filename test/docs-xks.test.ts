/** What `docs/xks.md` and `docs/ekm-settings.md` say of settings, errors, metrics and commands is what the program says of itself. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { settingsPage } from '../src/cli/settings-page.ts'
import { ekmConfig } from '../src/config/ekm.ts'
import { XKS_ERRORS } from '../src/ekm/protocols/xks/errors.ts'
import { commandsAreThere } from './support/docs.ts'
import { ROOT } from './support/ekm.ts'

const text = readFileSync(join(ROOT, 'docs', 'xks.md'), 'utf8')
const lines = text.split('\n')

test('docs/ekm-settings.md has every setting as it is (scripts/print-settings.ts writes it)', () => {
  assert.equal(readFileSync(join(ROOT, 'docs', 'ekm-settings.md'), 'utf8'), settingsPage(ekmConfig))
})

test('every error with its status', () => {
  for (const [name, status] of Object.entries(XKS_ERRORS))
    assert.ok(
      lines.some(line => line.startsWith(`| ${status} | \`${name}\` |`)),
      name,
    )
})

test('every command of holdfast ekm that it names is there, with the options that it names', () => {
  commandsAreThere(lines, 13)
})
