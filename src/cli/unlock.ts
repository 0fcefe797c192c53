/** `holdfast unlock`: gives a boundary whose root is under a passphrase its passphrase. It is read from the terminal without echo, or from standard input. */
import { join } from 'node:path'
import type { Command } from 'commander'
import { connectControl } from '../boundary/client/control.ts'
import { BoundaryError } from '../boundary/words.ts'

const EXIT = { refused: 1, unavailable: 69 } as const
const MAX_PASSPHRASE_BYTES = 1024
const ENTER = [0x0a, 0x0d]
const [CTRL_C, CTRL_D, BACKSPACE, DELETE] = [0x03, 0x04, 0x08, 0x7f]

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
        const passphrase = await readPassphrase()
        try {
          await control.unlock(passphrase)
        } finally {
          passphrase.fill(0)
        }
        process.stdout.write('Unlocked.\n')
      } catch (error) {
        if (!(error instanceof BoundaryError)) throw error
        const away = error.code === 'Unavailable'
        process.exitCode = away ? EXIT.unavailable : EXIT.refused
        const why = error.code === 'WrongPassphrase' ? 'that is not the passphrase' : error.message
        process.stderr.write(`holdfast: ${away ? `no service answers on ${data} (${error.detail})` : why}\n`)
      } finally {
        control.close()
      }
    })
}

/** The first line, without its end. On a terminal nothing is shown. The caller wipes it. */
export async function readPassphrase(): Promise<Buffer> {
  const { stdin, stderr } = process
  const terminal = stdin.isTTY === true
  if (terminal) {
    stderr.write('Passphrase: ')
    stdin.setRawMode(true)
  }
  const line = Buffer.alloc(MAX_PASSPHRASE_BYTES)
  let length = 0
  try {
    for await (const chunk of stdin as AsyncIterable<Buffer>) {
      for (const byte of chunk) {
        if (ENTER.includes(byte) || (terminal && byte === CTRL_D)) return Buffer.from(line.subarray(0, length))
        if (terminal && byte === CTRL_C) throw new Error('nothing was unlocked')
        if (terminal && (byte === BACKSPACE || byte === DELETE)) length = Math.max(0, length - 1)
        else if (length === line.length) throw new Error(`a passphrase has at most ${MAX_PASSPHRASE_BYTES} bytes`)
        else line[length++] = byte
      }
      chunk.fill(0)
    }
    return Buffer.from(line.subarray(0, length))
  } finally {
    line.fill(0)
    if (terminal) {
      stdin.setRawMode(false)
      stderr.write('\n')
    }
    stdin.pause()
  }
}
