// `npm run check`: types, lint, import rule and unit tests, in under half a minute.
import { spawnSync } from 'node:child_process'
import { environment, fail, installPackages, pinnedNode, root } from './lib.mjs'

installPackages()
const env = environment()

const steps = [
  ['types', 'tsc', ['--noEmit']],
  ['lint', process.execPath, ['bin/lint.mjs']],
  ['unit tests', pinnedNode(), ['--test', '--test-reporter=dot', 'src/**/*.test.ts']],
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
