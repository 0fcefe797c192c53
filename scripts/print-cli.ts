/** Writes docs/cli.md: every command, as the program has it. Run it when a command or its help has changed. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { cliPage } from '../src/cli/cli-page.ts'
import { wholeProgram } from '../src/cli/program.ts'

writeFileSync(join(import.meta.dirname, '..', 'docs', 'cli.md'), cliPage(await wholeProgram()))
