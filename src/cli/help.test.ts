/** Every command explains itself in the same way; the page of all of them is what the program says. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { cliPage } from './cli-page.ts'
import { doctorPage } from './doctor-page.ts'
import { ALL_EXIT_CODES } from './exit-codes.ts'
import { describeTree } from './help.ts'
import { wholeProgram } from './program.ts'

const program = await wholeProgram()
const tree = describeTree(program)

/** Commands without `--json`, each with the reason. */
const WITHOUT_JSON: Readonly<Record<string, string>> = {
  'holdfast completion': 'prints a script',
  'holdfast kms': 'its one line is JSON',
  'holdfast ekm': 'its one line is JSON',
  'holdfast ekm kubernetes-plugin': 'its one line is JSON',
  'holdfast ekm policy schema': 'prints a schema of Cedar, which is text',
  'holdfast log prove': 'prints a proof, in the format of C2SP',
  'holdfast kms boundary': 'prints nothing: it is a process of a service',
  'holdfast kms front-end': 'its one line is JSON',
  'holdfast ekm boundary': 'prints nothing: it is a process of a service',
  'holdfast ekm front-end': 'its one line is JSON',
  'holdfast ekm admin-api': 'its one line is JSON',
  'holdfast kms seed schema': 'prints a JSON Schema, which is JSON',
  'holdfast demo': 'its data is evidence.json, and custody report --json',
}

for (const { path, command, acts, notes, exits } of tree) {
  test(`${path} explains itself`, () => {
    assert.notEqual(command.description(), '')
    for (const argument of command.registeredArguments) assert.notEqual(argument.description, '', argument.name())
    for (const option of command.options) assert.notEqual(option.description, '', option.flags)
    for (const line of notes.split('\n')) assert.ok(line.length <= 220, `a line of ${line.length} letters: ${line}`)
    if (!acts) return
    assert.match(notes, /(?:^|\n)(?:Examples?\b|Start a service)[^\n]*:\n/, 'no example')
    assert.ok(
      notes.split('\n').some(line => line.includes(path)),
      'an example is of the command itself',
    )
    assert.ok(exits.length > 0, 'no exit codes')
    assert.equal(exits[0]?.code, 0)
    for (const { code } of exits)
      assert.ok(
        ALL_EXIT_CODES.some(each => each.code === code),
        `exit code ${code} is not in the table of all`,
      )
    const json = command.options.some(({ long }) => long === '--json')
    assert.equal(json, WITHOUT_JSON[path] === undefined, json ? 'it has --json after all' : 'no --json, and no reason')
  })
}

test('no reason is given for a command that is not there', () => {
  const paths = tree.map(({ path }) => path)
  assert.deepEqual(
    Object.keys(WITHOUT_JSON).filter(path => !paths.includes(path)),
    [],
  )
})

test('examples name commands and options that are there', () => {
  const byPath = new Map(tree.map(({ path, command }) => [path, command]))
  let looked = 0
  for (const { path, notes } of tree)
    for (const line of notes
      .replaceAll(' \\\n', ' ')
      .split('\n')
      .filter(each => /^ {2}holdfast /.test(each))) {
      let at = 'holdfast'
      const words = line.trim().split(/\s+/)
      for (const word of words.slice(1)) {
        if (!byPath.has(`${at} ${word}`)) break
        at = `${at} ${word}`
      }
      const long = byPath.get(at)?.options.map(option => option.long)
      for (const word of words.filter(each => each.startsWith('--')))
        assert.ok(long?.includes(word) || word === '--help', `${path}: ${line.trim()}: ${at} has no ${word}`)
      assert.notEqual(at, 'holdfast', `${path}: ${line.trim()} names no command`)
      looked++
    }
  assert.ok(looked > 60, `${looked} examples`)
})

const PAGES = { 'cli.md': () => cliPage(program), 'doctor.md': doctorPage }

for (const [page, print] of Object.entries(PAGES))
  test(`docs/${page} is what the program says`, () => {
    const text = readFileSync(join(import.meta.dirname, '..', '..', 'docs', page), 'utf8')
    assert.equal(print(), text, 'run: node scripts/print-cli.ts')
  })
