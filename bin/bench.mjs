// `npm run bench`: the benchmarks of bench/, all in one run. Arguments after `--` are theirs.
import { installPackages, root, runNode } from './lib.mjs'

installPackages()
process.exit(await runNode([`${root}/bench/main.ts`, ...process.argv.slice(2)], { cwd: root }))
