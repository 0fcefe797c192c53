/** `holdfast unlock`: gives a boundary whose root is under a passphrase its passphrase. It is read from the terminal without echo, or from standard input. */
import { join } from 'node:path'
import type { Command } from 'commander'
import { connectControl } from '../boundary/client/control.ts'
import { BoundaryError } from '../boundary/words.ts'
import { EXIT_REFUSED, EXIT_UNAVAILABLE } from './exit-codes.ts'
import { readPassphrase } from './passphrase.ts'

/** Adds `holdfast unlock`. */
export function registerUnlock(program: Command): void {
  program
    .command('unlock')
    .description('unlock a service whose root of trust is under a passphrase')
    .requiredOption('--data <dir>', 'data folder of the service')
    .addHelpText(
      'after',
      `
The passphrase is asked for on the terminal, or is the first line of standard input. It is never taken from the command line.

Examples:
  holdfast unlock --data /var/lib/holdfast-kms
  secret-tool lookup holdfast kms | holdfast unlock --data /var/lib/holdfast-kms

Exit codes: 0 unlocked (or was not locked); 1 refused, with the reason; 69 no service is running on the folder.`,
    )
    .action(async ({ data }: { data: string }) => {
      const control = connectControl({ socket: join(data, 'boundary', 'control.sock') })
      try {
        if (!(await control.status()).locked) {
          process.stdout.write('It is not locked.\n')
          return
        }
        const passphrase = await readPassphrase('Passphrase', 'nothing was unlocked')
        try {
          await control.unlock(passphrase)
        } finally {
          passphrase.fill(0)
        }
        process.stdout.write('Unlocked.\n')
      } catch (error) {
        if (!(error instanceof BoundaryError)) throw error
        const away = error.code === 'Unavailable'
        process.exitCode = away ? EXIT_UNAVAILABLE : EXIT_REFUSED
        const why = error.code === 'WrongPassphrase' ? 'that is not the passphrase' : error.message
        process.stderr.write(`holdfast: ${away ? `no service answers on ${data} (${error.detail})` : why}\n`)
      } finally {
        control.close()
      }
    })
}
