/** Writes docs/cli.md, every command, and docs/doctor.md, every finding, as the program has them. Run it when a command, its help or a finding has changed. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { cliPage } from '../src/cli/cli-page.ts'
import { doctorPage } from '../src/cli/doctor-page.ts'
import { wholeProgram } from '../src/cli/program.ts'

const docs = join(import.meta.dirname, '..', 'docs')
writeFileSync(join(docs, 'cli.md'), cliPage(await wholeProgram()))
writeFileSync(join(docs, 'doctor.md'), doctorPage())
