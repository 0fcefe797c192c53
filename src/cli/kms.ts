/**
 * `holdfast kms`: the provider's key management service. Starts it (from a configuration, or with `--dev` on its own), and holds the commands of its
 * administration, which are in `kms-admin.ts`.
 */
import { join } from 'node:path'
import { type Command, InvalidArgumentError } from 'commander'
import { connectControl } from '../boundary/client/control.ts'
import { ServiceFailed, untilSignalled } from '../boundary/supervisor/supervisor.ts'
import { BoundaryError } from '../boundary/words.ts'
import { serviceFolders } from '../config/boundary.ts'
import { type KmsConfig, kmsConfig } from '../config/kms.ts'
import { loadConfig } from '../config/load.ts'
import { ConfigError } from '../config/problems.ts'
import { AdminError, firstPrincipalText, type GivenCredential } from '../kms/admin/index.ts'
import { startKmsDev, startKmsService } from '../kms/dev.ts'
import { registerKmsAdmin } from './kms-admin.ts'

interface Options {
  readonly config?: string
  readonly dev?: boolean
  readonly port: number
  readonly account: string
  readonly regions: readonly string[]
  readonly data?: string
}

/** EX_CONFIG, for a wrong configuration; the other exit codes are the boundary's. */
const EXIT_CONFIG = 78
/** How often a locked boundary is looked at again, until the first steps can be told. */
const LOCKED_POLL_MS = 500

const HELP = `
Start a service:
  holdfast kms --config kms.yaml

A whole KMS for a laptop or a CI job, on loopback, ready in a second:
  holdfast kms --dev --port 4599 --regions us-east-1,eu-central-1

It prints one line of JSON when it is ready: endpoint, accountId, regions, accessKeyId, secretAccessKey, pid, and where its data is. The credential is
taken from HOLDFAST_DEV_ACCESS_KEY_ID and HOLDFAST_DEV_SECRET_ACCESS_KEY, or made. Its time can be moved: holdfast dev clock advance 31d --data DIR

Exit codes: 0 stopped; 64 the operator must change something first; 75 the folder is in use; 78 the configuration is wrong.`

/** Adds `holdfast kms` and everything below it. */
export function registerKms(program: Command): void {
  const kms = program
    .command('kms')
    .description('the provider’s key management service: the AWS KMS API')
    // So that --data after a command is that command's, not this one's.
    .enablePositionalOptions()
    .option('--config <file>', 'start from this configuration')
    .option('--dev', 'start for development, with a credential that has every right; never for real keys')
    .option('--port <n>', '--dev: port to listen on; 0 takes a free one', portOption, 0)
    .option('--account <id>', '--dev: account id', accountOption, '000000000000')
    .option('--regions <list>', '--dev: Regions, comma-separated', regionsOption, ['us-east-1'])
    .option('--data <dir>', '--dev: keep everything in this folder instead of a temporary one')
    .addHelpText('after', HELP)
    .action((options: Options) => start(kms, options))
  registerKmsAdmin(kms)
}

async function start(kms: Command, options: Options): Promise<void> {
  if ((options.config === undefined) === (options.dev === undefined)) {
    kms.error('holdfast kms: give --config FILE, or --dev (holdfast kms --help)')
    return
  }
  try {
    process.exitCode = await (options.config === undefined ? startDev(options) : startFrom(options.config))
  } catch (error) {
    const [text, code] = explain(error)
    process.stderr.write(`${text}\n`)
    process.exitCode = code
  }
}

async function startFrom(file: string): Promise<number> {
  let config: KmsConfig
  try {
    config = loadConfig(file, kmsConfig)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    process.stderr.write(`${error.message}\n`)
    return EXIT_CONFIG
  }
  const service = startKmsService(config, false)
  const ended = untilSignalled(service)
  printLine({ ...(await service.ready), data: config.data, pid: process.pid })
  await tellFirstSteps(config)
  return ended
}

/** There are no default credentials, so whoever starts a service for the first time must be told how to make one: as soon as it is unlocked. */
async function tellFirstSteps({ data }: Pick<KmsConfig, 'data'>, toldLocked = false): Promise<void> {
  const control = connectControl({ socket: join(serviceFolders(data).boundary, 'control.sock') })
  try {
    const accounts = await control.listRows('account', '', 1)
    if (accounts.length === 0) process.stderr.write(`\n${firstPrincipalText(data)}`)
  } catch (error) {
    // A boundary that is just being started anew, or opened, does not answer for a moment.
    if (!(error instanceof BoundaryError) || (error.code !== 'Locked' && error.code !== 'Unavailable')) throw error
    if (!toldLocked) process.stderr.write(`The boundary is locked. To unlock it: holdfast unlock --data ${data}\n`)
    setTimeout(() => tellFirstSteps({ data }, true).catch(() => {}), LOCKED_POLL_MS).unref()
  } finally {
    control.close()
  }
}

async function startDev(options: Options): Promise<number> {
  const where = options.data === undefined ? 'in a temporary folder, which is deleted at the end' : `in ${options.data}`
  process.stderr.write(`holdfast kms --dev is for development: its root of trust is a file ${where}.\n`)
  let ended = Promise.resolve(0)
  const { port, account, regions, data } = options
  const dev = await startKmsDev({ port, account, regions, data, credential: givenCredential() }, service => {
    ended = untilSignalled(service)
  })
  printLine(dev.line)
  return ended.finally(() => dev.stop())
}

function printLine(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`)
}

/** The credential that the caller's environment asks for. */
function givenCredential(): GivenCredential | undefined {
  const { HOLDFAST_DEV_ACCESS_KEY_ID: accessKeyId, HOLDFAST_DEV_SECRET_ACCESS_KEY: secret } = process.env
  if (accessKeyId === undefined && secret === undefined) return undefined
  if (!accessKeyId || !secret)
    throw new AdminError('Set both HOLDFAST_DEV_ACCESS_KEY_ID and HOLDFAST_DEV_SECRET_ACCESS_KEY, or neither.')
  return { accessKeyId, secretAccessKey: Buffer.from(secret, 'utf8') }
}

function explain(error: unknown): [text: string, code: number] {
  if (error instanceof ServiceFailed) return [`holdfast kms: ${error.message}`, error.exitCode]
  return [`holdfast kms: ${error instanceof Error ? error.message : String(error)}`, 1]
}

function portOption(text: string): number {
  const port = Number(text)
  if (!/^\d{1,5}$/.test(text) || port > 65535) throw new InvalidArgumentError('A port is a number from 0 to 65535.')
  return port
}

function accountOption(text: string): string {
  if (!/^\d{12}$/.test(text)) throw new InvalidArgumentError('An account id has 12 digits.')
  return text
}

function regionsOption(text: string): string[] {
  const regions = text.split(',')
  if (!regions.every(region => /^[a-z]{2}(?:-[a-z]+)+-\d{1,2}$/.test(region)) || new Set(regions).size < regions.length)
    throw new InvalidArgumentError('Regions look like us-east-1,eu-central-1, each once.')
  return regions
}
