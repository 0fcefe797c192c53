/**
 * `holdfast unlock`: gives a boundary that starts locked its passphrase, or one of the shares that open it together. Either is read from the terminal without
 * echo, or from standard input.
 */
import { type Command, InvalidArgumentError } from 'commander'
import type { ControlConnection } from '../boundary/client/control.ts'
import { readSecretLine } from './secret-input.ts'
import { ceremonyText, print, refused, withControl, withShare } from './share-tools.ts'

interface Options {
  readonly data: string
  readonly ceremony?: string
  readonly cancel?: true
  readonly status?: true
  readonly json?: true
}

const HELP = `
The passphrase or the share is asked for on the terminal, or is the first line of standard input. It is never taken from the command line.

With shares, holders come one after another, each from a terminal of their own. The first one begins a ceremony and is told its code; the others give the
code with their share, and whoever knows it can cancel. It ends by itself when nobody has come for 15 minutes.

Examples:
  holdfast unlock --data /var/lib/holdfast-kms
  secret-tool lookup holdfast kms | holdfast unlock --data /var/lib/holdfast-kms
  holdfast unlock --data /var/lib/holdfast-kms --ceremony K7QF-M2XD
  holdfast unlock --data /var/lib/holdfast-kms --status --json

Exit codes: 0 done (or it was not locked); 1 refused, with the reason; 69 no service is running on the folder.`

/** Adds `holdfast unlock`. */
export function registerUnlock(program: Command): void {
  program
    .command('unlock')
    .description('unlock a service whose root of trust is a passphrase, or shares')
    .requiredOption('--data <dir>', 'data folder of the service')
    .option('--ceremony <code>', 'code of the ceremony of shares that was begun')
    .option('--cancel', 'end that ceremony')
    .option('--status', 'only tell whether it is locked, and how far a ceremony is')
    .option('--json', 'print JSON')
    .addHelpText('after', HELP)
    .action((options: Options) =>
      withControl(options.data, control => {
        if (options.status === true) return tell(control, options)
        return options.cancel === true ? cancel(control, options) : unlock(control, options)
      }),
    )
}

async function tell(control: ControlConnection, { json }: Options): Promise<void> {
  const [{ locked, rootKind }, ceremony] = await Promise.all([control.status(), control.ceremony()])
  const text = `${locked ? 'It is locked' : 'It is not locked'}; its root of trust is of kind ${rootKind}. ${ceremonyText(ceremony)}`
  print(json, { locked, rootKind, ceremony: ceremony ?? null }, text)
}

async function cancel(control: ControlConnection, { ceremony, json }: Options): Promise<void> {
  if (ceremony === undefined) throw new InvalidArgumentError('--cancel needs --ceremony CODE.')
  await control.cancelCeremony(ceremony)
  print(json, { cancelled: true }, 'Cancelled: the shares that were given are forgotten.')
}

async function unlock(control: ControlConnection, options: Options): Promise<void> {
  const { json, ceremony } = options
  const { locked, rootKind } = await control.status()
  if (!locked) print(json, { unlocked: true }, 'It is not locked.')
  else if (rootKind === 'shares') await unlockByShare(control, options)
  else {
    if (ceremony !== undefined) throw refused('a passphrase opens it: there is no ceremony')
    const passphrase = await readSecretLine('Passphrase')
    await control.unlock(passphrase).finally(() => passphrase.fill(0))
    print(json, { unlocked: true }, 'Unlocked.')
  }
}

async function unlockByShare(control: ControlConnection, { data, ceremony: code, json }: Options): Promise<void> {
  const under = await control.ceremony()
  // Told before anybody types a share.
  if (under !== undefined && code === undefined) {
    throw refused(`${ceremonyText(under)} Whoever began it was told its code: give it with --ceremony CODE`)
  }
  if (under === undefined && code !== undefined) throw refused('no ceremony with this code is under way')
  const { ceremony, given, needed, done } = await withShare(share => control.giveShare(code ?? '', share))
  const next = `${given} of ${needed} shares. The next holder, from a terminal of their own:\n  holdfast unlock --data ${data} --ceremony ${ceremony}`
  print(json, { unlocked: done, ceremony, given, needed }, done ? 'Unlocked.' : next)
}
