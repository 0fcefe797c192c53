// `npm run fuzz`: inputs by the million for every parser. Arguments after `--` are its own.
import { installPackages, root, runNode } from './lib.mjs'

installPackages()
process.exit(await runNode([`${root}/fuzz/main.ts`, ...process.argv.slice(2)], { cwd: root }))
