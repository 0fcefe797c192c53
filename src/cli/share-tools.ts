/** What the commands of shares have in common: the connection, asking for a share and showing one, and a ceremony in words. */
import { join } from 'node:path'
import type { Command } from 'commander'
import type { CeremonyStatus } from '../boundary/client/api.ts'
import { type ControlConnection, connectControl } from '../boundary/client/control.ts'
import { BoundaryError } from '../boundary/words.ts'
import { readSecretLine } from './secret-input.ts'

export const EXIT = { refused: 1, unavailable: 69 } as const
/** Enters and leaves the screen that a terminal does not keep. */
const [ASIDE, BACK] = ['\x1b[?1049h\x1b[2J\x1b[H', '\x1b[?1049l']
/** Enter, Ctrl-C, Ctrl-D. */
const ENDS = [0x0a, 0x0d, 0x03, 0x04]
const ON_STDOUT = '--insecure-share-on-stdout'

/** What must be different before the command is given again. */
class Refused extends Error {}
export const refused = (message: string): Error => new Refused(message)

/** Asks the boundary of a data folder; what it refuses goes to standard error, and the exit code says so. */
export async function withControl(data: string, ask: (control: ControlConnection) => Promise<void>): Promise<void> {
  const control = connectControl({ socket: join(data, 'boundary', 'control.sock') })
  try {
    await ask(control)
  } catch (error) {
    if (!(error instanceof BoundaryError || error instanceof Refused)) throw error
    const [text, code] = error instanceof BoundaryError ? explain(error, data) : [error.message, EXIT.refused]
    process.stderr.write(`holdfast: ${text}\n`)
    process.exitCode = code
  } finally {
    control.close()
  }
}

function explain({ code, detail }: BoundaryError, data: string): [text: string, exitCode: number] {
  if (code === 'Unavailable') return [`no service answers on ${data} (${detail})`, EXIT.unavailable]
  if (code === 'Locked') return [`the boundary is locked: holdfast unlock --data ${data}`, EXIT.unavailable]
  if (code === 'WrongPassphrase') return ['that is not the passphrase', EXIT.refused]
  return [detail || code, EXIT.refused]
}

/** Gives a share that is asked for to `take`, and wipes it. */
export async function withShare<T>(take: (share: Buffer) => Promise<T>): Promise<T> {
  const share = await readSecretLine('Share')
  try {
    return await take(share)
  } finally {
    share.fill(0)
  }
}

/** To a command that hands out a share. */
export const showsShare = (command: Command): Command =>
  command.option(ON_STDOUT, 'print the share to standard output, wherever that goes and whoever keeps it')

interface Showing {
  readonly json?: true
  readonly insecureShareOnStdout?: true
}

/** Before a share is handed out, which happens once: is there a terminal to show it on? */
export function checkTerminal({ insecureShareOnStdout }: Showing): void {
  if (insecureShareOnStdout === true || (process.stdin.isTTY === true && process.stdout.isTTY === true)) return
  throw refused(
    `a share is shown on a terminal only, and this is none. Run it in the holder's own terminal; ${ON_STDOUT} prints it all the same`,
  )
}

/** Shows a share to its holder, or prints it where that was asked for, and then says what comes next. The share is wiped. */
export async function handOut(
  { json, insecureShareOnStdout }: Showing,
  {
    share,
    ...more
  }: { readonly share: Buffer; readonly ceremony: string; readonly handedOut: number; readonly shares: number },
  next: string,
): Promise<void> {
  if (insecureShareOnStdout === true) {
    if (json === true) print(json, { ...more, share: share.toString('latin1') }, '')
    else {
      process.stdout.write(`${share.toString('latin1')}\n`)
      process.stderr.write(`${next}\n`)
    }
    share.fill(0)
    return
  }
  await showAside(share)
  print(json, more, next)
}

/** Shows a share until Enter, where the terminal does not keep it. */
async function showAside(share: Buffer): Promise<void> {
  const { stdin, stdout } = process
  const written = (chunk: Buffer | string) => new Promise<void>(resolve => stdout.write(chunk, () => resolve()))
  try {
    stdin.setRawMode(true)
    await written(`${ASIDE}Your share. Keep it where nobody else comes, and apart from the others:\n\n`)
    await written(share)
    share.fill(0)
    await written('\n\nIt is not shown again. When you have it, press Enter.\n')
    for await (const chunk of stdin as AsyncIterable<Buffer>) if (ENDS.some(byte => chunk.includes(byte))) break
  } finally {
    stdin.setRawMode(false)
    stdin.pause()
    await written(BACK)
  }
}

/** One sentence. */
export function ceremonyText(status: CeremonyStatus | undefined): string {
  if (status === undefined) return 'No ceremony is under way.'
  const { kind, handedOut, given, needed, shares, secondsLeft } = status
  const until = `It ends in ${Math.ceil(secondsLeft / 60)} min unless somebody comes.`
  if (kind === 'unlock') return `Unlocking: ${given} of ${needed} shares were given. ${until}`
  if (handedOut < shares) return `New shares: ${handedOut} of ${shares} were taken. ${until}`
  return `New shares: all ${shares} were taken, and ${given} of ${needed} were given back for trial. ${until}`
}

export function print(json: boolean | undefined, value: unknown, text: string): void {
  process.stdout.write(`${json === true ? JSON.stringify(value) : text}\n`)
}
