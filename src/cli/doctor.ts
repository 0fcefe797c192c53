/** `holdfast doctor`: a service on this machine, looked at from inside. Parses and prints; what is looked at is in `src/setup/doctor`. */
import type { Command } from 'commander'
import { ConfigError } from '../config/problems.ts'
import { examine } from '../setup/doctor/doctor.ts'
import type { Finding } from '../setup/doctor/findings.ts'
import { type Asked, subjectOf } from '../setup/doctor/subject.ts'
import { EXIT_CONFIG, EXIT_REFUSED } from './exit-codes.ts'

interface Options {
  readonly data?: string
  readonly config?: string
  readonly backup?: string
  readonly full?: boolean
  readonly json?: boolean
}

const HELP = `
Looks at permissions, isolation, clock, disk, entropy, certificates, root, log, backups and limits, of a service that runs or not. Run it as root, or as the
user of the boundary: others see less. It changes nothing, logs in to no token, and tells no secret. (How a cloud sees a key manager from outside:
holdfast ekm doctor.)

A finding is ok, a note, a warning (works, and will hurt one day) or a PROBLEM (broken, or unsafe), and says what to do.

Examples:
  holdfast doctor --config /etc/holdfast/kms.yaml
  holdfast doctor --data /var/lib/holdfast-kms --backup /mnt/backup/holdfast --full --json

Exit codes: 0 nothing is wrong, warnings at most; 1 at least one problem, or wrong use; 78 the configuration is wrong.`

/** Adds the command. */
export function registerDoctor(program: Command): void {
  program
    .command('doctor')
    .description('look at a service on this machine: what is wrong with it, and what to do')
    .option('--data <dir>', 'its data folder; default: that of the configuration')
    .option('--config <file>', 'its configuration: certificates, users and limits are looked at too')
    .option('--backup <dir>', 'where its backups go')
    .option('--full', 'verify the whole log, however long')
    .option('--json', 'print JSON')
    .addHelpText('after', HELP)
    .action(async ({ data, config, backup, full, json }: Options) => {
      process.exitCode = await doctor({ data, config, backup, full: full === true }, json === true)
    })
}

async function doctor(asked: Asked, json: boolean): Promise<number> {
  let findings: Finding[]
  try {
    findings = await examine(await subjectOf(asked), undefined, progress())
  } catch (error) {
    process.stderr.write(`${error instanceof ConfigError ? '' : 'holdfast doctor: '}${(error as Error).message}\n`)
    return error instanceof ConfigError ? EXIT_CONFIG : EXIT_REFUSED
  }
  process.stdout.write(`${json ? JSON.stringify(findings) : findings.map(lineOf).join('\n')}\n`)
  return findings.some(({ level }) => level === 'problem') ? EXIT_REFUSED : 0
}

const MARKS = { ok: 'ok', note: 'note', warning: 'warning', problem: 'PROBLEM' } as const

const lineOf = ({ check, level, seen, advice }: Finding): string =>
  `${MARKS[level].padEnd(9)}${check.padEnd(15)}${seen}${advice === '' ? '' : `\n${' '.repeat(24)}→ ${advice}`}`

/** On a terminal, while a long log is read. */
function progress(): (share: number) => void {
  if (process.stderr.isTTY !== true) return () => {}
  return share =>
    process.stderr.write(share >= 1 ? '\r\x1b[K' : `\rlog ${String(Math.floor(share * 100)).padStart(3)} %`)
}
