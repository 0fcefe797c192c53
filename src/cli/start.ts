/** What `holdfast kms` and `holdfast ekm` share as commands that start a service: the choice between a configuration and `--dev`, the ready line, exit codes. */
import { type Command, InvalidArgumentError, Option } from 'commander'
import { type Service, ServiceFailed, untilSignalled } from '../boundary/supervisor/supervisor.ts'
import { ConfigError } from '../config/problems.ts'
import { AdminError } from '../store/admin.ts'
import { EXIT_CONFIG } from './exit-codes.ts'

export interface Starting<C> {
  /** Reads the configuration; throws ConfigError. */
  load(file: string): Promise<C>
  start(config: C): Service
  /** Tells how to make the first principal or tenant, where there is none. */
  tellFirstSteps(config: C): Promise<void>
  /** Starts for development; resolves with the exit code when it has ended. */
  dev(): Promise<number>
}

/** Runs until the service has ended, and sets the exit code. */
export async function startCommand<C extends { readonly data: string }>(
  command: Command,
  options: { readonly config?: string; readonly dev?: boolean },
  starting: Starting<C>,
): Promise<void> {
  const name = `holdfast ${command.name()}`
  if ((options.config === undefined) === (options.dev === undefined)) {
    command.error(`${name}: give --config FILE, or --dev (${name} --help)`)
    return
  }
  try {
    process.exitCode = await (options.config === undefined ? starting.dev() : startFrom(options.config, starting))
  } catch (error) {
    process.stderr.write(`${name}: ${error instanceof Error ? error.message : String(error)}\n`)
    process.exitCode = error instanceof ServiceFailed ? error.exitCode : 1
  }
}

async function startFrom<C extends { readonly data: string }>(file: string, starting: Starting<C>): Promise<number> {
  let config: C
  try {
    config = await starting.load(file)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    process.stderr.write(`${error.message}\n`)
    return EXIT_CONFIG
  }
  const service = starting.start(config)
  const ended = untilSignalled(service)
  printLine({ ...(await service.ready), data: config.data, pid: process.pid })
  await starting.tellFirstSteps(config)
  return ended
}

/** `--accept-clock`: of a start whose clock is behind the last record (docs/decisions/0044). */
export function acceptClockOption(): Option {
  return new Option(
    '--accept-clock <time>',
    'start although the clock is behind the last record, which is of exactly this time: as the refusal names it',
  ).argParser(text => {
    const time = Date.parse(text)
    if (Number.isNaN(time) || new Date(time).toISOString() !== text)
      throw new InvalidArgumentError('A time looks like 2031-01-01T00:00:00.000Z.')
    return time
  })
}

/** The one line on stdout that says that the service is ready. */
export function printLine(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`)
}

/** What `--dev` says first. */
export function warnOfDev(command: string, data: string | undefined): void {
  const where = data === undefined ? 'in a temporary folder, which is deleted at the end' : `in ${data}`
  process.stderr.write(`holdfast ${command} --dev is for development: its root of trust is a file ${where}.\n`)
}

/** The credential that the caller's environment asks for, for `--dev`. The secret is UTF-8 bytes. */
export function givenCredential(): { readonly accessKeyId: string; readonly secretAccessKey: Buffer } | undefined {
  const { HOLDFAST_DEV_ACCESS_KEY_ID: accessKeyId, HOLDFAST_DEV_SECRET_ACCESS_KEY: secret } = process.env
  if (accessKeyId === undefined && secret === undefined) return undefined
  if (!accessKeyId || !secret)
    throw new AdminError('Set both HOLDFAST_DEV_ACCESS_KEY_ID and HOLDFAST_DEV_SECRET_ACCESS_KEY, or neither.')
  return { accessKeyId, secretAccessKey: Buffer.from(secret, 'utf8') }
}

export function portOption(text: string): number {
  const port = Number(text)
  if (!/^\d{1,5}$/.test(text) || port > 65535) throw new InvalidArgumentError('A port is a number from 0 to 65535.')
  return port
}
