/**
 * One process of a service alone, in the foreground, as the user that it is started as: for a service manager that starts each by itself, restricts each as far
 * as it allows, and starts it anew (docs/install.md). Nothing is given to another user here.
 */
import { type Command, CommanderError } from 'commander'
import { EXIT_CODES } from '../boundary/config.ts'
import { become } from '../boundary/supervisor/alone.ts'
import type { AdminSpec, FrontEndSpec } from '../boundary/supervisor/programs.ts'
import { adminProgram, boundaryProgram, frontEndProgram } from '../boundary/supervisor/programs.ts'
import { boundarySettings, type ServiceSettings, type Users, usersOf } from '../config/boundary.ts'
import { ConfigError } from '../config/problems.ts'
import { EXIT_CONFIG } from './exit-codes.ts'

export type Process = keyof Users

export interface Processes<C extends ServiceSettings> {
  readonly service: 'kms' | 'ekm'
  /** Reads the configuration; looks only at the files of the settings that `files` chooses. Throws ConfigError. */
  load(file: string, files: (path: readonly PropertyKey[]) => boolean): Promise<C>
  frontEnd(config: C): FrontEndSpec
  /** Undefined where the service has none, or none is configured. */
  adminApi?(config: C): AdminSpec | undefined
}

/** Command and what it says of itself, by process. */
const COMMANDS: Readonly<Record<Process, { readonly name: string; readonly what: string }>> = {
  boundary: { name: 'boundary', what: 'only the boundary: it holds the keys, and needs no network' },
  frontEnd: { name: 'front-end', what: 'only the front end: it serves clients, and waits for its boundary' },
  admin: { name: 'admin-api', what: 'only the admin API: it waits for its boundary' },
}

/** Whose files a setting names: each process reads its own, and may not be able to read the others'. */
function reader(path: readonly PropertyKey[]): Process {
  if (path[0] === 'boundary' || path.at(-1) === 'pinFile' || path.at(-1) === 'module') return 'boundary'
  return path[0] === 'admin' ? 'admin' : 'frontEnd'
}

/** Adds the commands, which are for service managers and so not in the help of the service. */
export function registerProcesses<C extends ServiceSettings>(service: Command, processes: Processes<C>): void {
  for (const which of [
    'boundary',
    'frontEnd',
    ...(processes.adminApi === undefined ? [] : (['admin'] as const)),
  ] as const) {
    const { name, what } = COMMANDS[which]
    service
      .command(name, { hidden: true })
      .description(`${what}; in the foreground, as the user that it is started as`)
      .requiredOption('--config <file>', 'the service’s configuration')
      .addHelpText(
        'after',
        `
Example, as deploy/systemd has it:
  holdfast ${processes.service} ${name} --config /etc/holdfast/${processes.service}.yaml

Where the configuration names boundary.users, it must be started as that user. Under systemd (Type=notify) it tells when it is ready.

Exit codes: 0 stopped; 143 SIGTERM (boundary); 64 the operator must change something first; 65 the journal is damaged; 75 the folder is in use; 78 the
configuration is wrong.`,
      )
      .action(async ({ config }: { config: string }) => {
        try {
          await run(which, processes, config)
        } catch (error) {
          if (error instanceof CommanderError) throw error
          const wrong = error instanceof ConfigError
          const text = error instanceof Error ? error.message : String(error)
          process.stderr.write(`${wrong ? '' : `holdfast ${processes.service} ${name}: `}${text}\n`)
          process.exitCode = wrong ? EXIT_CONFIG : EXIT_CODES.refused
        }
      })
  }
}

async function run<C extends ServiceSettings>(which: Process, processes: Processes<C>, file: string): Promise<void> {
  // Another user could not read the files, and would be told so instead of this.
  const { users } = (await processes.load(file, () => false)).boundary
  if (users !== undefined) mustBe(which, users[which], usersOf(users)[which])
  const config = await processes.load(file, path => reader(path) === which)
  if (which === 'boundary') {
    const settings = boundarySettings(processes.service, config, false)
    become(boundaryProgram(settings), settings)
  }
  if (which === 'frontEnd') {
    const spec = processes.frontEnd(config)
    become(frontEndProgram(spec), spec.config)
  }
  const spec = processes.adminApi?.(config)
  if (spec === undefined) throw new Error('the configuration has no admin API (admin.listen)')
  become(adminProgram(spec), spec.config)
}

/** Started as another, it would make files that its own user cannot read afterwards. */
function mustBe(which: Process, name: string | undefined, user: Users[Process]): void {
  if (user === undefined) throw new Error(`the configuration names no user for it: set boundary.users.${which}`)
  if (process.geteuid?.() !== user.uid)
    throw new Error(`boundary.users.${which} is ${name}: start it as that user (systemd: User=${name})`)
}
