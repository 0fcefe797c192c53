// `npm run build`: what is published, JavaScript with types and source maps, from src/ into dist/. `npm pack` runs it first.
import { spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { environment, fail, installPackages, root } from './lib.mjs'

installPackages()
// What a file of an earlier build left behind would be published too.
rmSync(join(root, 'dist'), { recursive: true, force: true })
const { status, error } = spawnSync('tsc', ['-p', 'tsconfig.build.json'], {
  cwd: root,
  env: environment(),
  stdio: 'inherit',
})
if (status !== 0) fail(`the build failed${error ? `: ${error.message}` : ''}`)
