/** What `docs/policy.md` says of commands and words is what the program says of itself, and its examples are policies. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { Command } from 'commander'
import { registerEkm } from '../src/cli/ekm.ts'
import { checkPolicy } from '../src/ekm/access/cedar/check.ts'
import { CONTEXT_FIELDS, KEY, PEER } from '../src/ekm/access/cedar/input.ts'
import { ACTIONS } from '../src/ekm/access/policy.ts'
import { ROOT } from './support/ekm.ts'

const text = readFileSync(join(ROOT, 'docs', 'policy.md'), 'utf8')

test('every example is a policy that may be set', () => {
  const examples = [...text.matchAll(/```cedar\n(.*?)```/gs)].map(([, example = '']) => example)
  assert.ok(examples.length >= 2)
  for (const example of examples) assert.deepEqual(checkPolicy(Buffer.from(example), 'tenant'), [], example)
})

test('every command that it names is there, with the options that it names', () => {
  const program = new Command()
  registerEkm(program)
  const commands = text.split('\n').filter(line => line.startsWith('./bin/holdfast ekm '))
  assert.ok(commands.length >= 6)
  for (const line of commands) {
    const words = line.split(' ').slice(1)
    let command = program
    for (const word of words) command = command.commands.find(each => each.name() === word) ?? command
    assert.equal(command.parent?.name(), 'policy', line)
    for (const option of words.filter(word => word.startsWith('--')))
      assert.ok(
        command.options.some(each => each.long === option),
        `${line}: ${option}`,
      )
  }
})

test('every word of the schema that has no `claimed` before it is explained', () => {
  const words = [
    ...ACTIONS,
    ...Object.keys(PEER),
    ...Object.keys(KEY),
    ...CONTEXT_FIELDS.filter(name => !name.startsWith('claimed')),
  ]
  for (const word of words) assert.ok(text.includes(`\`${word}\``) || text.includes(`"${word}"`), word)
})
