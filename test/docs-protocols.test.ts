/** What the page of a protocol says of settings, errors and commands is what the program says of itself. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { Command } from 'commander'
import { formOf, neededOf } from '../src/cli/check-config.ts'
import { registerEkm } from '../src/cli/ekm.ts'
import { ekmConfig } from '../src/config/ekm.ts'
import { settings } from '../src/config/tree.ts'
import { DKE_ERRORS } from '../src/ekm/protocols/dke/errors.ts'
import { KACLS_ERRORS } from '../src/ekm/protocols/kacls/errors.ts'
import { ROOT } from './support/ekm.ts'

const PAGES = [
  { section: 'dke', errors: DKE_ERRORS },
  { section: 'kacls', errors: KACLS_ERRORS },
] as const

for (const { section, errors } of PAGES) {
  const lines = readFileSync(join(ROOT, 'docs', `${section}.md`), 'utf8').split('\n')

  test(`docs/${section}.md: every setting, with its form, its default and its meaning, and no other`, () => {
    const own = settings(ekmConfig.schema).filter(({ path }) => path === section || path.startsWith(`${section}.`))
    const rows = own.map(setting => {
      const { path, type, description } = setting
      if (type === 'section') return `| \`${path}\` | | | ${description} |`
      return `| \`${path}\` | ${formOf(setting).replaceAll(' | ', ', ')} | ${neededOf(setting)} | ${description} |`
    })
    const from = lines.indexOf('| setting | form | default | meaning |') + 2
    assert.deepEqual(lines.slice(from, from + rows.length + 1), [...rows, ''])
  })

  test(`docs/${section}.md: every error with its status`, () => {
    for (const [name, status] of Object.entries(errors))
      assert.ok(
        lines.some(line => line.startsWith(`| ${status} | \`${name}\` |`)),
        name,
      )
  })

  test(`docs/${section}.md: every command of holdfast ekm that it names is there, with its options`, () => {
    const program = new Command()
    registerEkm(program)
    const commands = lines.filter(line => line.startsWith('./bin/holdfast ekm '))
    assert.ok(commands.length > 2)
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
}
