// `npm run build`: what is published, JavaScript with types and source maps, from src/ into dist/. `npm pack` runs it first.
// tsc makes a file of each module; scripts/bundle.ts then puts together what one process runs (docs/decisions/0046).
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { environment, fail, installPackages, pinnedNode, root } from './lib.mjs'

installPackages()
const dist = join(root, 'dist')
// What a file of an earlier build left behind would be published too.
rmSync(dist, { recursive: true, force: true })
// Beside src, so that what a source map says of where a source is stays true.
const modules = mkdtempSync(join(root, '.modules-'))
process.on('exit', () => rmSync(modules, { recursive: true, force: true }))

const env = environment()
const tsc = ['-p', 'tsconfig.build.json', '--outDir', modules, '--declarationDir', dist]
for (const [command, args] of [
  ['tsc', tsc],
  [pinnedNode(), ['scripts/bundle.ts', modules, dist]],
]) {
  const { status, error } = spawnSync(command, args, { cwd: root, env, stdio: 'inherit' })
  if (status !== 0) fail(`the build failed${error ? `: ${error.message}` : ''}`)
}
