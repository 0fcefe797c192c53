// `npm run lint`: biome, then the rule of imports between rooms. `--write` formats.
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { fail, pinnedNode, root } from './lib.mjs'

const biome = join(root, 'node_modules', '@biomejs', `cli-${process.platform}-${process.arch}`, 'biome')
for (const [command, args] of [
  [biome, ['check', ...process.argv.slice(2), '.']],
  [pinnedNode(), ['scripts/check-imports.ts']],
]) {
  const result = spawnSync(command, args, { cwd: root, stdio: 'inherit' })
  if (result.status !== 0) fail(`lint failed${result.error ? `: ${result.error.message}` : ''}`)
}
