/** `holdfast root`: what opens a boundary, its rotation, and a copy of the root file to keep apart from backups. */
import { open, readFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { Command } from 'commander'
import { type ControlConnection, connectControl } from '../boundary/client/control.ts'
import type { NewTrust, RootStatus } from '../boundary/client/root.ts'
import { encodeKit } from '../boundary/root/kit.ts'
import { parseRootFile } from '../boundary/root/rootfile.ts'
import { BoundaryError } from '../boundary/words.ts'
import { ekmConfig } from '../config/ekm.ts'
import { kmsConfig } from '../config/kms.ts'
import { loadConfig } from '../config/load.ts'
import { ConfigError } from '../config/problems.ts'
import { rootConfig } from '../config/shared.ts'
import { EXIT_CONFIG, EXIT_REFUSED, EXIT_UNAVAILABLE } from './exit-codes.ts'
import { readNewPassphrase } from './passphrase.ts'
import { registerRootSplit } from './root-split.ts'

const EXIT_HELP =
  '\nExit codes: 0 done; 1 refused, with the reason; 69 no service is running on the folder, or its boundary is locked; 78 the configuration is wrong.'
const ASK_EVERY_MS = 250

const KINDS = {
  keyfile: 'a key file',
  passphrase: 'a passphrase',
  pkcs11: 'a PKCS#11 token',
  shares: 'shares',
} as const

/** Adds `holdfast root`. */
export function registerRoot(program: Command): void {
  const root = program.command('root').description('what opens the boundary: its state, its rotation, its copies')
  root
    .command('status')
    .description('say which generation of the root is in force, and how far a rotation is')
    .requiredOption('--data <dir>', 'data folder of the service')
    .option('--json', 'print JSON')
    .addHelpText('after', `\nExample:\n  holdfast root status --data /var/lib/holdfast-kms --json\n${EXIT_HELP}`)
    .action(({ data, json }: { data: string; json?: true }) =>
      withControl(data, async control => {
        const status = await control.rootStatus()
        process.stdout.write(`${json ? JSON.stringify(status) : statusText(status)}\n`)
      }),
    )
  root
    .command('rotate')
    .description('make a new generation of the root, seal everything anew, and destroy the old one')
    .requiredOption('--data <dir>', 'data folder of the service')
    .option('--config <file>', 'the service’s configuration, whose boundary.root names the root of trust from now on')
    .option(
      '--token-env <name>',
      'variable of this environment that the module of the new token needs; may be repeated',
      (name: string, before: readonly string[]) => [...before, name],
      [],
    )
    .option('--no-wait', 'return once it has begun; it goes on by itself')
    .option('--json', 'print the status at the end as JSON')
    .addHelpText(
      'after',
      `
The service goes on meanwhile. What was interrupted is gone on with at the next start. Only when it is complete is what was deleted before gone for good, in old copies
of the store too; it ends sessions of temporary credentials, import tokens and page markers that were given out before.

With --config the root of trust changes: the file names the new one in boundary.root. A passphrase is asked for on the terminal, twice, or is the first line of standard input.
From then on a start needs the new root of trust.

Examples:
  holdfast root rotate --data /var/lib/holdfast-kms
  holdfast root rotate --data /var/lib/holdfast-kms --config /etc/holdfast/kms.yaml
${EXIT_HELP}`,
    )
    .action((options: RotateOptions & { data: string }) =>
      withControl(options.data, control => rotate(control, options.data, options)),
    )
  root
    .command('save')
    .description('copy the root file, wrapped as it is, and the newest checkpoint into one file')
    .argument('<file>', 'the file to make, mode 0600')
    .requiredOption('--data <dir>', 'data folder of the service, running or not')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Backups leave the root out. Keep this copy apart from them, and make it anew after each rotation: it is of no use without the root of trust, and backups are of no use without it.

Example:
  holdfast root save /media/safe/holdfast-kms.kit --data /var/lib/holdfast-kms

Exit codes: 0 written; 1 refused, with the reason.`,
    )
    .action((file: string, { data, json }: { data: string; json?: true }) =>
      guarded(data, () => save(file, data, json)),
    )
  registerRootSplit(root)
}

async function guarded(data: string, what: () => Promise<void>): Promise<void> {
  try {
    await what()
  } catch (error) {
    const [text, code] = explain(error, data)
    process.stderr.write(`${text}\n`)
    process.exitCode = code
  }
}

function withControl(data: string, what: (control: ControlConnection) => Promise<void>): Promise<void> {
  const control = connectControl({ socket: join(data, 'boundary', 'control.sock') })
  return guarded(data, () => what(control).finally(() => control.close()))
}

function explain(error: unknown, data: string): [text: string, code: number] {
  if (error instanceof ConfigError) return [error.message, EXIT_CONFIG]
  if (!(error instanceof BoundaryError))
    return [`holdfast: ${error instanceof Error ? error.message : String(error)}`, EXIT_REFUSED]
  if (error.code === 'Unavailable')
    return [`holdfast: no service answers on ${data} (${error.detail})`, EXIT_UNAVAILABLE]
  if (error.code === 'Locked')
    return [`holdfast: the boundary is locked. Open it first: holdfast unlock --data ${data}`, EXIT_UNAVAILABLE]
  return [`holdfast: the boundary refuses it: ${error.detail || error.code}`, EXIT_REFUSED]
}

interface RotateOptions {
  readonly config?: string
  readonly wait: boolean
  readonly json?: true
  readonly tokenEnv: readonly string[]
}

function fromEnvironment(name: string): string {
  const value = process.env[name]
  if (value === undefined) throw new Error(`${name} is not in the environment of this command`)
  return value
}

const time = (at: number): string => new Date(at).toISOString()

function statusText({ kind, generations, destroyed, destroyedAt, done, total, problem }: RootStatus): string {
  const newest = generations.at(-1)
  const lines = [
    `Root of trust: ${KINDS[kind]}`,
    `Generation: ${newest?.generation ?? 0}, made ${time(newest?.createdAt ?? 0)}`,
    destroyed === 0
      ? 'No generation was destroyed yet: what was deleted can be opened out of an old copy of the store.'
      : `Generation ${destroyed} was destroyed ${time(destroyedAt)}: what was deleted before that opens no more.`,
  ]
  if (generations.length > 1) lines.push(`A rotation is under way: ${done} of ${total} rows are sealed anew.`)
  if (problem !== '') lines.push(`It does not go on for the moment: ${problem}`)
  return lines.join('\n')
}

async function rotate(
  control: ControlConnection,
  data: string,
  { config, wait, json, tokenEnv: variables }: RotateOptions,
): Promise<void> {
  const before = await control.rootStatus()
  const trust = config === undefined ? undefined : await trustOf(control, data, config, variables)
  try {
    await control.rotateRoot(trust)
  } finally {
    if (trust?.kind === 'passphrase') trust.passphrase.fill(0)
  }
  const after = wait ? await complete(control) : await control.rootStatus()
  const text = wait
    ? `${statusText(after)}\n${byHand(before, after, data, trust !== undefined)}`
    : `It has begun and goes on by itself: holdfast root status --data ${data}`
  process.stdout.write(`${json ? JSON.stringify(after) : text}\n`)
}

/** The root of trust that a configuration names. */
async function trustOf(
  control: ControlConnection,
  data: string,
  file: string,
  variables: readonly string[],
): Promise<NewTrust> {
  const { service } = await control.status()
  const config = service === 'kms' ? loadConfig(file, kmsConfig) : loadConfig(file, ekmConfig)
  if (resolve(config.data) !== resolve(data)) throw new Error(`${file} is of ${config.data}, not of ${resolve(data)}`)
  const root = rootConfig(config.boundary.root)
  if (root.kind === 'keyfile') return root
  if (root.kind === 'passphrase') return { kind: 'passphrase', passphrase: await readNewPassphrase() }
  if (root.kind === 'shares') throw new Error('shares are made with: holdfast root split')
  const { kind, sessions: _, ...token } = root
  return { kind, token: { ...token, environment: variables.map(name => ({ name, value: fromEnvironment(name) })) } }
}

/** Waits for the end, and tells how far it is. A boundary that is started anew meanwhile goes on with it. */
async function complete(control: ControlConnection): Promise<RootStatus> {
  for (let told = ''; ; await pause(ASK_EVERY_MS)) {
    const status = await control.rootStatus()
    if (status.generations.length === 1) return status
    const line = status.problem === '' ? `${status.done} of ${status.total} rows sealed anew` : status.problem
    if (line !== told) process.stderr.write(`${line}\n`)
    told = line
  }
}

/** What the program cannot destroy itself. */
function byHand(before: RootStatus, { file }: RootStatus, data: string, changed: boolean): string {
  const old = changed && before.kind === 'keyfile' ? ', and the old key file with all its copies' : ''
  const restart = changed
    ? '\nThe configuration must name the new root of trust from now on: the next start needs it.'
    : ''
  return `
What is yours to destroy: every older copy of ${file} (kits, images of the disk, snapshots of the file system)${old}. Whoever has such a copy, what opened it,
and an old backup, can still open what was deleted since.
Make a new copy to keep: holdfast root save FILE --data ${data}${restart}`
}

async function save(file: string, data: string, json: true | undefined): Promise<void> {
  const from = join(data, 'boundary', 'root')
  const rootFile = await readFile(from).catch((error: NodeJS.ErrnoException) => {
    throw new Error(`${from} cannot be read: ${error.code ?? error.message}`)
  })
  const { generations } = parseRootFile(rootFile)
  const checkpoint = await readFile(join(dirname(from), 'checkpoint'))
  const made = await open(file, 'wx', 0o600).catch((error: NodeJS.ErrnoException) => {
    throw new Error(`${file} cannot be made: ${error.code === 'EEXIST' ? 'it is there already' : error.code}`)
  })
  try {
    await made.writeFile(encodeKit({ rootFile, checkpoint }))
    await made.sync()
  } finally {
    await made.close()
  }
  const told = { file: resolve(file), generations: generations.map(({ generation }) => generation) }
  const text = `${file} is written. Keep it apart from backups and from the root of trust.`
  process.stdout.write(`${json ? JSON.stringify(told) : text}\n`)
  if (generations.length > 1)
    process.stderr.write('A rotation of the root is under way: make another copy when it is complete.\n')
}
