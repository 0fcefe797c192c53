// `npm run check`: types, lint, import rule and unit tests, in under half a minute. Tests that take seconds, `*.slow.test.ts`, and those with real
// services and clients are for `npm test`.
import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { environment, fail, installPackages, pinnedNode, root } from './lib.mjs'

installPackages()
// Each file of tests is a process of its own, and most of them read the same modules.
const env = { ...environment(), NODE_COMPILE_CACHE: join(root, 'node_modules', '.cache', 'compiled') }

const quick = ['src', 'fuzz'].flatMap(folder =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter(file => file.endsWith('.test.ts') && !file.endsWith('.slow.test.ts'))
    .map(file => join(folder, file))
    .sort(),
)

const steps = [
  ['types', 'tsc', ['--noEmit']],
  ['lint', process.execPath, ['bin/lint.mjs']],
  // By default one core would be left idle. What hangs is named.
  [
    'unit tests',
    pinnedNode(),
    ['--test', `--test-concurrency=${availableParallelism()}`, '--test-timeout=60000', '--test-reporter=dot', ...quick],
  ],
]

for (const [name, command, args] of steps) {
  const started = Date.now()
  const result = spawnSync(command, args, { cwd: root, env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
  const seconds = ((Date.now() - started) / 1000).toFixed(1)
  if (result.status !== 0) {
    console.error(result.stdout ?? '', result.stderr ?? '')
    fail(`${name} failed (${result.error?.message ?? `exit code ${result.status}`})`)
  }
  console.log(`${name}: ok (${seconds} s)`)
}
