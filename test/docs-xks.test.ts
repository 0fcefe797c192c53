/** What `docs/xks.md` and `docs/ekm-settings.md` say of settings, errors, metrics and commands is what the program says of itself. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { Command } from 'commander'
import { registerEkm } from '../src/cli/ekm.ts'
import { settingsPage } from '../src/cli/settings-page.ts'
import { ekmConfig } from '../src/config/ekm.ts'
import { XKS_ERRORS } from '../src/ekm/protocols/xks/errors.ts'
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
  const program = new Command()
  registerEkm(program)
  const commands = lines.filter(line => line.startsWith('./bin/holdfast ekm '))
  assert.ok(commands.length > 12)
  for (const line of commands) {
    const words = line.split(' ').slice(1)
    let command = program
    for (const word of words) command = command.commands.find(each => each.name() === word) ?? command
    for (const option of words.filter(word => word.startsWith('--')))
      assert.ok(
        command.options.some(each => each.long === option),
        `${line}: ${option}`,
      )
  }
})
