// `npm start`: installs what is missing and runs the demo. Arguments after `--` are the demo's.
import { installPackages, root, runNode } from './lib.mjs'

installPackages()
process.exit(await runNode([`${root}/src/cli/main.ts`, 'demo', ...process.argv.slice(2)]))
