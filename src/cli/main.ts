/** The holdfast command: one file a subcommand. This one only puts them together. */
import { Command } from 'commander'
import pkg from '../../package.json' with { type: 'json' }

const program = new Command('holdfast')
  .description('A key management service in which who can decrypt is a fact that anyone can test.')
  .version(pkg.version)
  .showHelpAfterError('(holdfast --help lists the commands)')

await program.parseAsync()
