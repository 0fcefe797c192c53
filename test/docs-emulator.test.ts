/** docs/emulator.md as written: the seed is right, the members are all told, the workflow's steps and the two examples run, with the package of this tree. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { after, before, test } from 'node:test'
import { parse } from 'yaml'
import { seedJsonSchema } from '../src/kms/seed/schema.ts'
import { path } from './support/clients.ts'
import { freePort, gone, ROOT } from './support/kms.ts'

const page = readFileSync(join(ROOT, 'docs', 'emulator.md'), 'utf8')

/** The block of the page that begins with this comment. */
function block(first: string): string {
  const found = page.split('```').find(each => each.slice(each.indexOf('\n') + 1).startsWith(first))
  assert.ok(found, first)
  return found.slice(found.indexOf('\n') + 1)
}

/** A project that has holdfast among its packages. */
const project = mkdtempSync(join(tmpdir(), 'holdfast-project-'))
after(() => rmSync(project, { recursive: true, force: true }))
before(() => {
  mkdirSync(join(project, 'node_modules', '.bin'), { recursive: true })
  symlinkSync(join(ROOT, 'bin', 'holdfast'), join(project, 'node_modules', '.bin', 'holdfast'))
  symlinkSync(join(ROOT, 'node_modules', '@aws-sdk'), join(project, 'node_modules', '@aws-sdk'))
  writeFileSync(join(project, 'package.json'), JSON.stringify({ name: 'project', private: true }))
  for (const [name, first] of [
    ['seed.yaml', '# seed.yaml'],
    ['kms.test.mjs', '// kms.test.mjs'],
    ['test_kms.py', '# test_kms.py'],
  ] as const)
    writeFileSync(join(project, name), block(first))
})

const PATH = [dirname(process.execPath), dirname(path('aws')), process.env.PATH].join(delimiter)
// Told nothing of the tests that this is one of.
const ENV = { PATH, HOME: process.env.HOME, LANG: 'C.UTF-8', AWS_EC2_METADATA_DISABLED: 'true', AWS_PAGER: '' }

function shell(script: string, env: NodeJS.ProcessEnv = {}): string {
  const { status, stdout, stderr } = spawnSync('bash', ['-e', '-c', script], {
    cwd: project,
    env: { ...ENV, ...env },
    encoding: 'utf8',
  })
  assert.equal(status, 0, `${script}\n${stdout}\n${stderr}`)
  return stdout
}

test('every member of a key has its row, in the words of the schema, and no row is of another', () => {
  const { properties } = JSON.parse(seedJsonSchema()).properties.Keys.items as {
    properties: Record<string, { description: string }>
  }
  const rows = Object.entries(properties).map(([name, { description }]) => `| \`${name}\` | ${description} |`)
  const from = page.indexOf('| member | meaning |')
  const told = page.slice(from, page.indexOf('\n\n', from)).split('\n').slice(2)
  assert.deepEqual(told, rows)
})

test('the commands that look at a seed', () => {
  assert.match(shell('npx holdfast kms seed check seed.yaml'), /^seed\.yaml: 6 keys$/m)
  assert.equal(shell('npx holdfast kms seed schema'), seedJsonSchema())
})

test('the example in Python', () => {
  shell(`${path('python')} -m unittest`)
})

interface Step {
  readonly uses?: string
  readonly run?: string
  readonly env?: Readonly<Record<string, string>>
}

/** The variables of a step with the job's in place of `${{ env.NAME }}`. */
const withJob = (step: Step, job: Readonly<Record<string, string>>): Record<string, string> => ({
  ...job,
  ...Object.fromEntries(
    Object.entries(step.env ?? {}).map(([name, text]) => [
      name,
      text.replaceAll(/\$\{\{ env\.(\w+) \}\}/g, (_, of: string) => job[of] ?? assert.fail(of)),
    ]),
  ),
})

test('the workflow: its steps one after the other, on another port, and with the packages that are here', async () => {
  const port = String(await freePort())
  const { jobs } = parse(block('# .github/workflows/test.yml').replaceAll('4599', port)) as {
    jobs: { test: { env: Record<string, string>; steps: Step[] } }
  }
  const { env, steps } = jobs.test
  assert.deepEqual(
    steps.flatMap(({ uses }) => uses ?? []),
    ['actions/checkout@v4', 'actions/setup-node@v4'],
  )
  const scripts = steps.filter(({ run }) => run !== undefined && run !== 'npm ci')
  assert.equal(scripts.length, 3)
  try {
    const told = scripts.map(step => shell(step.run ?? '', withJob(step, env)))
    assert.equal(told[1]?.trim(), 'Enabled')
    assert.match(told[2] ?? '', /pass 1/)
  } finally {
    const line = join(project, 'kms.json')
    if (existsSync(line)) {
      const { pid } = JSON.parse(readFileSync(line, 'utf8')) as { pid: number }
      process.kill(pid, 'SIGTERM')
      await gone(pid)
    }
  }
})
