/** The holdfast command: one file a subcommand. This one only puts them together, and loads no more than the command at hand needs. */
import { Command } from 'commander'
import pkg from '../../package.json' with { type: 'json' }

/** Each command's file, loaded when it is called; for help, all of them. */
const COMMANDS: Readonly<Record<string, (program: Command) => Promise<void>>> = {
  demo: async program => (await import('./demo.ts')).registerDemo(program),
  custody: async program => (await import('./custody.ts')).registerCustody(program),
  kms: async program => (await import('./kms.ts')).registerKms(program),
  ekm: async program => (await import('./ekm.ts')).registerEkm(program),
  log: async program => (await import('./log.ts')).registerLog(program),
  backup: async program => (await import('./backup.ts')).registerBackup(program),
  restore: async program => (await import('./restore.ts')).registerRestore(program),
  unlock: async program => (await import('./unlock.ts')).registerUnlock(program),
  dev: async program => (await import('./dev.ts')).registerDev(program),
  'check-config': async program => (await import('./check-config.ts')).registerCheckConfig(program),
}

const program = new Command('holdfast')
  .description('A key management service in which who can decrypt is a fact that anyone can test.')
  .version(pkg.version)
  // An option after a command is that command's: `holdfast ekm key list --data DIR`.
  .enablePositionalOptions()
  .showHelpAfterError('(holdfast --help lists the commands)')

const wanted = COMMANDS[process.argv[2] ?? '']
for (const register of wanted === undefined ? Object.values(COMMANDS) : [wanted]) await register(program)

try {
  await program.parseAsync()
} catch (error) {
  console.error(`holdfast: ${error instanceof Error ? error.message : String(error)}`)
  process.exitCode = 1
}
