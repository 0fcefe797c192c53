/**
 * `holdfast root split` and what belongs to it: M of N shares as root of trust. Each share is shown to its holder once, on a terminal of their own, and they
 * come into force when enough of them were given back.
 */
import { type Command, InvalidArgumentError } from 'commander'
import type { ControlConnection } from '../boundary/client/control.ts'
import {
  ceremonyText,
  checkTerminal,
  handOut,
  print,
  refused,
  showsShare,
  withControl,
  withShare,
} from './share-tools.ts'

interface Options {
  readonly data: string
  readonly json?: true
  readonly insecureShareOnStdout?: true
}
type InCeremony = Options & { readonly ceremony: string }

const EXIT_HELP = `
Exit codes: 0 done; 1 refused, with the reason; 69 no service is running on the folder, or its boundary is locked.`

/** Adds the commands to `holdfast root`. */
export function registerRootSplit(root: Command): void {
  const command = (name: string, description: string, help: string) =>
    root
      .command(name)
      .description(description)
      .requiredOption('--data <dir>', 'data folder of the service')
      .option('--json', 'print JSON')
      .addHelpText('after', `\n${help}\n${EXIT_HELP}`)
  const step = (name: string, description: string, help: string) =>
    command(name, description, help).requiredOption('--ceremony <code>', 'code that split has told')

  showsShare(
    command(
      'split',
      'make new shares, any M of which open the boundary, as its root of trust',
      `Shows the first share and tells the code of the ceremony. Every other holder takes theirs with take-share, and then M of them give theirs back with
confirm-share. Until then the root of trust is what it was, whatever happens. A ceremony to which nobody comes for 15 minutes is over.

Example:
  holdfast root split --data /var/lib/holdfast-kms --threshold 2 --shares 3`,
    ),
  )
    .requiredOption('--threshold <m>', 'so many shares open it: at least 2', number)
    .requiredOption('--shares <n>', 'so many there are: at most 16', number)
    .action((options: Options & { threshold: number; shares: number }) =>
      withControl(options.data, control => split(control, options)),
    )
  showsShare(
    step(
      'take-share',
      'take the share of one more holder: it is shown once',
      'Example:\n  holdfast root take-share --data /var/lib/holdfast-kms --ceremony K7QF-M2XD',
    ),
  ).action((options: InCeremony) => withControl(options.data, control => takeShare(control, options)))
  step(
    'confirm-share',
    'give a share back for trial; with the last that it takes the new shares are in force',
    `The share is asked for on the terminal, or is the first line of standard input.

Example:
  holdfast root confirm-share --data /var/lib/holdfast-kms --ceremony K7QF-M2XD`,
  ).action((options: InCeremony) => withControl(options.data, control => confirmShare(control, options)))
  command(
    'ceremony',
    'tell how far a ceremony of shares is',
    'Example:\n  holdfast root ceremony --data /var/lib/holdfast-kms',
  ).action(({ data, json }: Options) =>
    withControl(data, async control => {
      const ceremony = await control.ceremony()
      print(json, ceremony ?? null, ceremonyText(ceremony))
    }),
  )
  step(
    'cancel-ceremony',
    'end a ceremony of shares: nothing has changed then',
    'Example:\n  holdfast root cancel-ceremony --data /var/lib/holdfast-kms --ceremony K7QF-M2XD',
  ).action(({ data, ceremony, json }: InCeremony) =>
    withControl(data, async control => {
      await control.cancelCeremony(ceremony)
      print(json, { cancelled: true }, 'Cancelled: the shares of this ceremony will never open anything.')
    }),
  )
}

async function split(
  control: ControlConnection,
  options: Options & { readonly threshold: number; readonly shares: number },
): Promise<void> {
  checkTerminal(options)
  const made = await control.splitRoot(options.threshold, options.shares)
  await handOut(options, made, nextStep(options, made))
}

async function takeShare(control: ControlConnection, options: InCeremony): Promise<void> {
  checkTerminal(options)
  const { ceremony } = options
  const taken = { ceremony, ...(await control.takeShare(ceremony)) }
  await handOut(options, taken, nextStep(options, taken))
}

function nextStep(
  { data }: Options,
  { ceremony, handedOut, shares }: { ceremony: string; handedOut: number; shares: number },
): string {
  const how = (command: string) => `  holdfast root ${command} --data ${data} --ceremony ${ceremony}`
  const far = `${handedOut} of ${shares} shares were taken.`
  return handedOut < shares
    ? `${far} Every other holder, from a terminal of their own:\n${how('take-share')}`
    : `${far} Now as many holders as open it give theirs back for trial, each from their own terminal:\n${how('confirm-share')}`
}

async function confirmShare(control: ControlConnection, { data, ceremony: code, json }: InCeremony): Promise<void> {
  const under = await control.ceremony()
  // Told before anybody types a share.
  if (under?.kind !== 'split') throw refused('no ceremony with this code is under way')
  if (under.handedOut < under.shares) throw refused(ceremonyText(under))
  const { given, needed, done } = await withShare(share => control.confirmShare(code, share))
  const next = `${given} of ${needed} shares. The next holder, from a terminal of their own:\n  holdfast root confirm-share --data ${data} --ceremony ${code}`
  print(json, { inForce: done, given, needed }, done ? IN_FORCE : next)
}

const IN_FORCE = `The new shares are in force, and nothing else opens this boundary.
- Write boundary.root: { kind: shares } into the configuration now: the next start is refused with anything else.
- From then on it starts locked, until enough holders have come: holdfast unlock.
- Copies of the root file that were made before still open with what opened them: destroy these copies, or the old key.`

function number(text: string): number {
  if (!/^\d{1,2}$/.test(text)) throw new InvalidArgumentError('Write a number.')
  return Number(text)
}
