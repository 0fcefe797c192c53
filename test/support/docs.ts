/** What pages for owners say of errors and commands, held against the program. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Command } from 'commander'
import { parse } from 'yaml'
import { registerEkm } from '../../src/cli/ekm.ts'
import { ekmConfig } from '../../src/config/ekm.ts'
import { parseConfig } from '../../src/config/load.ts'
import { ROOT } from './ekm.ts'

export function linesOf(page: string): string[] {
  return readFileSync(join(ROOT, 'docs', page), 'utf8').split('\n')
}

/** Every error with its status has a row, and no row is of another. */
export function errorsAreTold(lines: readonly string[], errors: Readonly<Record<string, number>>): void {
  const told = lines.flatMap(line => {
    const [, status, name] = /^\| (\d{3}) \| `(\w+)` \|/.exec(line) ?? []
    return name === undefined ? [] : [`${status} ${name}`]
  })
  assert.deepEqual(
    told.sort(),
    Object.entries(errors)
      .map(([name, status]) => `${status} ${name}`)
      .sort(),
  )
}

/** Every command of `holdfast ekm` on the page is there, with the options that it names. */
export function commandsAreThere(lines: readonly string[], atLeast: number): void {
  const program = new Command()
  registerEkm(program)
  const commands = lines.filter(line => line.startsWith('./bin/holdfast ekm '))
  assert.ok(commands.length >= atLeast)
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
}

/** The configuration on the page is one, but for files that are not on this machine. */
export function configurationIsOne(lines: readonly string[]): void {
  const from = lines.indexOf('# ekm.yaml')
  const text = lines.slice(from, lines.indexOf('```', from)).join('\n')
  parseConfig(ekmConfig, parse(text), { files: false })
}
