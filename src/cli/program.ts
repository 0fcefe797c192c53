/**
 * The tree of commands: which there are, in which groups help shows them, and the file of each, which is loaded when it is called. Help, completion and
 * docs/cli.md walk the whole of it.
 */
import { Command } from 'commander'
import pkg from '../../package.json' with { type: 'json' }

interface Entry {
  /** Heading in the list of `holdfast --help`. */
  readonly group: string
  readonly register: (program: Command) => Promise<void>
}

const SET_UP = 'Set up:'
const SERVE = 'Serve and administer:'
const LOOK = 'Look and prove:'
const TRY = 'Try and develop:'

const COMMANDS: Readonly<Record<string, Entry>> = {
  init: { group: SET_UP, register: async program => (await import('./init.ts')).registerInit(program) },
  'check-config': {
    group: SET_UP,
    register: async program => (await import('./check-config.ts')).registerCheckConfig(program),
  },
  completion: {
    group: SET_UP,
    register: async program => (await import('./completion.ts')).registerCompletion(program, wholeProgram),
  },
  kms: { group: SERVE, register: async program => (await import('./kms.ts')).registerKms(program) },
  ekm: { group: SERVE, register: async program => (await import('./ekm.ts')).registerEkm(program) },
  root: { group: SERVE, register: async program => (await import('./root.ts')).registerRoot(program) },
  backup: { group: SERVE, register: async program => (await import('./backup.ts')).registerBackup(program) },
  restore: { group: SERVE, register: async program => (await import('./restore.ts')).registerRestore(program) },
  unlock: { group: SERVE, register: async program => (await import('./unlock.ts')).registerUnlock(program) },
  health: { group: LOOK, register: async program => (await import('./health.ts')).registerHealth(program) },
  doctor: { group: LOOK, register: async program => (await import('./doctor.ts')).registerDoctor(program) },
  log: { group: LOOK, register: async program => (await import('./log.ts')).registerLog(program) },
  custody: { group: LOOK, register: async program => (await import('./custody.ts')).registerCustody(program) },
  demo: { group: TRY, register: async program => (await import('./demo.ts')).registerDemo(program) },
  dev: { group: TRY, register: async program => (await import('./dev.ts')).registerDev(program) },
}

const HELP = `
holdfast COMMAND --help explains a command, with examples and its exit codes. All of them on one page: docs/cli.md

Exit codes of all commands:
`

function newProgram(): Command {
  return (
    new Command('holdfast')
      .description('A key management service in which who can decrypt is a fact that anyone can test.')
      .version(pkg.version)
      // An option after a command is that command's: `holdfast ekm key list --data DIR`.
      .enablePositionalOptions()
      .showHelpAfterError('(holdfast --help lists the commands)')
  )
}

/** With the command that `name` names; with all of them where it names none, and without any for the version alone. */
export async function programFor(name: string | undefined): Promise<Command> {
  if (name === '--version' || name === '-V') return newProgram()
  const wanted = COMMANDS[name ?? '']
  return wanted === undefined ? wholeProgram() : withEntries(newProgram(), [wanted])
}

export async function wholeProgram(): Promise<Command> {
  const { exitCodesText } = await import('./exit-codes.ts')
  return withEntries(newProgram().addHelpText('after', `${HELP}${exitCodesText()}`), Object.values(COMMANDS))
}

async function withEntries(program: Command, entries: readonly Entry[]): Promise<Command> {
  for (const { group, register } of entries) {
    program.commandsGroup(group)
    await register(program)
  }
  return program
}
