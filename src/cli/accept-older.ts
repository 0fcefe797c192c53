/** `holdfast restore accept-older`: an administrator names the newer state that is given up, and the boundary goes on from the older one, with a record of both. */
import { existsSync, readFileSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline/promises'
import { setTimeout as delay } from 'node:timers/promises'
import type { Command } from 'commander'
import { BackupError } from '../backup/errors.ts'
import type { OlderStateAnswer } from '../boundary/client/api.ts'
import { type ControlConnection, connectControl } from '../boundary/client/control.ts'
import type { BoundaryConfig } from '../boundary/config.ts'
import { parseRootFile, type RootFile } from '../boundary/root/rootfile.ts'
import { RootError } from '../boundary/root/types.ts'
import { type Alone, startAlone } from '../boundary/supervisor/boundary-alone.ts'
import { ServiceFailed } from '../boundary/supervisor/supervisor.ts'
import { BoundaryError } from '../boundary/words.ts'
import { boundarySettings } from '../config/boundary.ts'
import { ekmConfig } from '../config/ekm.ts'
import { serviceFolders } from '../config/folders.ts'
import { kmsConfig } from '../config/kms.ts'
import { loadConfig } from '../config/load.ts'
import { ConfigError } from '../config/problems.ts'
import { parseCheckpoint, parseNote } from '../log/note.ts'
import { verifyFolder } from '../log/verify.ts'
import { copyStore } from '../store/sqlite/copy.ts'
import { EXIT_HELP, guarded, number } from './backup-tools.ts'
import { readSecretLine } from './secret-input.ts'

/** Hex digits of a root by which it is named; more may be given. */
const SHORT = 16
const UNLOCKED_EVERY_MS = 200

interface Flags {
  readonly data: string
  readonly config?: string
  readonly givingUp?: string
  readonly json?: true
}

/** Adds the command to `holdfast restore`. */
export function registerAcceptOlder(restore: Command): void {
  restore
    .command('accept-older')
    .description('accept that a boundary goes on from an older state than it has had, and record it')
    .requiredOption('--data <dir>', 'data folder of the service, which must be stopped')
    .option('--config <file>', 'configuration of the service: how its root of trust is opened')
    .option(
      '--giving-up <hash>',
      `the root of the newer state, at least ${SHORT} hex digits; else it is asked for on the terminal`,
    )
    .option('--json', 'what was accepted, as JSON')
    .addHelpText(
      'after',
      `
What was revoked, disabled, deleted or made in the records that are given up is as it was before them: do it again. The boundary's first record after this
says what it had and what it goes on from; a witness that holds a checkpoint of the newer state will see that the log does not go on from there.

Examples:
  holdfast restore accept-older --data /var/lib/holdfast-kms --config /etc/holdfast/kms.yaml
  holdfast restore accept-older --data /var/lib/holdfast-kms --config /etc/holdfast/kms.yaml --giving-up 9f86d081884c7d65

${EXIT_HELP}`,
    )
    .action((flags: Flags) => guarded(() => acceptOlder(flags)))
}

const refused = (message: string) => new BackupError('Refused', message)

async function acceptOlder(flags: Flags): Promise<void> {
  const root = readRootFile(flags.data)
  let alone: Alone
  try {
    alone = await startAlone({ ...boundaryConfig(flags, root), acceptOlderState: true })
  } catch (error) {
    if (error instanceof ServiceFailed || error instanceof ConfigError) throw refused(error.message)
    throw error
  }
  const control = connectControl({ socket: alone.controlSocket })
  let accepted: OlderStateAnswer
  try {
    accepted = await confirmed(control, root, flags)
  } catch (error) {
    if (!(error instanceof BoundaryError)) throw error
    throw refused(error.code === 'WrongPassphrase' ? 'that is not the passphrase' : error.message)
  } finally {
    control.close()
    await alone.stop()
  }
  const store = await putStoreAside(flags.data)
  process.stdout.write(
    flags.json === true ? `${JSON.stringify(asJson(accepted, store))}\n` : text(accepted, store, flags.data),
  )
}

function readRootFile(data: string): RootFile {
  const file = join(serviceFolders(data).boundary, 'root')
  try {
    return parseRootFile(readFileSync(file))
  } catch (error) {
    if (error instanceof RootError) throw refused(`${file}: ${error.message}`)
    const { code } = error as NodeJS.ErrnoException
    throw refused(`${file} cannot be read (${code}): is there a restored service on ${data}?`)
  }
}

/** What the service's configuration makes of its boundary; for a folder of --dev, which has none, what --dev takes. */
function boundaryConfig({ data, config }: Flags, { service, dev }: RootFile): BoundaryConfig {
  const folder = serviceFolders(data).boundary
  if (config === undefined) {
    if (!dev) throw refused('give --config, the configuration of the service: it says how the root of trust is opened')
    const { origin } = parseCheckpoint(parseNote(readFileSync(join(folder, 'checkpoint'))).text)
    return { service, folder, dev, root: { kind: 'keyfile', file: join(data, 'root.key') }, logOrigin: origin }
  }
  const settings = service === 'kms' ? loadConfig(config, kmsConfig) : loadConfig(config, ekmConfig)
  const made = boundarySettings(service, settings, dev)
  if (made.folder !== folder) throw refused(`${config} is for ${settings.data}, not for ${data}`)
  return made
}

/** Opens it, shows what it has had and what it holds, and has the administrator name what is given up. */
async function confirmed(
  control: ControlConnection,
  root: RootFile,
  { data, givingUp }: Flags,
): Promise<OlderStateAnswer> {
  if (root.kind === 'passphrase') {
    const passphrase = await readSecretLine('Passphrase')
    try {
      await control.unlock(passphrase)
    } finally {
      passphrase.fill(0)
    }
  }
  if (root.kind === 'shares') await sharesGiven(control, data)
  const older = await control.acceptOlderState(undefined)
  const { seen, held } = older
  const hash = seen.root.toString('hex')
  process.stderr.write(
    [
      `This boundary has had     ${number.format(seen.size)} records, root ${hash}`,
      `Its journal holds         ${number.format(held.size)} records, root ${held.root.toString('hex')}`,
      ...(held.size === 0 ? [] : [`The last of them is of    ${new Date(held.lastTime).toISOString()}`]),
      `To be given up            ${number.format(seen.size - held.size)} records, with what was revoked, disabled, deleted or made in them`,
      '',
    ].join('\n'),
  )
  if (givingUp !== undefined) {
    if (givingUp.length < SHORT || !hash.startsWith(givingUp.toLowerCase()))
      throw refused(
        `--giving-up does not name what this boundary has had; its root begins with ${hash.slice(0, SHORT)}`,
      )
  } else await ask(seen.size, hash)
  return control.acceptOlderState({ size: seen.size, root: seen.root })
}

/** Holders give their shares from terminals of their own, to this boundary as to one that serves. */
async function sharesGiven(control: ControlConnection, data: string): Promise<void> {
  process.stderr.write(
    `Its root of trust is in shares. This waits until their holders have come, one after another, each from a terminal of their own:\n  holdfast unlock --data ${data}\n`,
  )
  while ((await control.status()).locked) await delay(UNLOCKED_EVERY_MS)
}

async function ask(size: number, hash: string): Promise<void> {
  if (process.stdin.isTTY !== true)
    throw refused(`nobody can be asked here: repeat the command with --giving-up ${hash.slice(0, SHORT)}`)
  const lines = createInterface({ input: process.stdin, output: process.stderr })
  try {
    const wanted = `${size} ${hash.slice(0, SHORT)}`
    const said = await lines.question(
      `Give them up for good? Type their number and the short root of what is given up, "${wanted}": `,
    )
    if (said.trim() !== wanted) throw refused('that is not what is to be given up: nothing was changed')
  } finally {
    lines.close()
  }
}

/** A store that is ahead of what was accepted is derived from what was given up: it is put aside, and the start makes another. */
async function putStoreAside(data: string): Promise<string | undefined> {
  const file = join(serviceFolders(data).frontEnd, 'store.db')
  if (!existsSync(file)) return undefined
  const copy = copyStore(file)
  copy.close()
  const { writeSets } = await verifyFolder(serviceFolders(data).boundary)
  if (copy.appliedUpTo <= writeSets) return undefined
  for (const end of ['', '-wal', '-shm'])
    if (existsSync(`${file}${end}`)) renameSync(`${file}${end}`, `${file}.given-up${end}`)
  return `${file}.given-up`
}

function asJson({ seen, held, note }: OlderStateAnswer, store: string | undefined): object {
  const told = (head: { readonly size: number; readonly root: Buffer }) => ({
    records: head.size,
    root: head.root.toString('hex'),
  })
  return { gaveUp: told(seen), goesOnFrom: told(held), checkpoint: note, storePutAside: store }
}

function text({ seen, held }: OlderStateAnswer, store: string | undefined, data: string): string {
  return [
    `accepted  the boundary goes on from ${number.format(held.size)} records; ${number.format(seen.size - held.size)} are given up. Its log says so.`,
    ...(store === undefined ? [] : [`store     it was ahead: it lies at ${store} now, and the start makes another`]),
    '',
    'Next:',
    '  1. start the service, and do again what must not be undone: revoke, disable, delete',
    `  2. tell whoever keeps checkpoints of this log that it goes on from record ${held.size}`,
    `  3. make a backup, and save the root's kit again: holdfast root save FILE --data ${data}`,
    '',
  ].join('\n')
}
