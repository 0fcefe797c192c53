/**
 * `holdfast kms`: the provider's key management service. Starts it (from a configuration, or with `--dev` on its own), and holds the commands of its
 * administration, which are in `kms-admin.ts`.
 */
import { join } from 'node:path'
import { type Command, InvalidArgumentError } from 'commander'
import { connectControl } from '../boundary/client/control.ts'
import { untilSignalled } from '../boundary/supervisor/supervisor.ts'
import { BoundaryError } from '../boundary/words.ts'
import { serviceFolders } from '../config/folders.ts'
import { type KmsConfig, kmsConfig } from '../config/kms.ts'
import { firstPrincipalText } from '../kms/admin/index.ts'
import { type DevToken, kmsFrontEnd, startKmsDev, startKmsService } from '../kms/dev.ts'
import type { Seed } from '../kms/seed/read.ts'
import { registerProcesses } from './alone.ts'
import { EXIT_CONFIG } from './exit-codes.ts'
import { registerKmsAdmin } from './kms-admin.ts'
import { accountOption, regionsOption } from './kms-names.ts'
import { registerKmsSeed } from './kms-seed.ts'
import { acceptClockOption, givenCredential, portOption, printLine, startCommand, warnOfDev } from './start.ts'

interface Options {
  readonly config?: string
  readonly acceptClock?: number
  readonly dev?: boolean
  readonly port: number
  readonly account: string
  readonly regions: readonly string[]
  readonly data?: string
  readonly pkcs11Module?: string
  readonly pkcs11Token?: string
  readonly pkcs11PinFile?: string
  readonly seed?: string
  readonly dangerouslyAcceptAnyCredentials?: boolean
}

/** How often a locked boundary is looked at again, until the first steps can be told. */
const LOCKED_POLL_MS = 500

const ANY_CREDENTIALS = 'every process and every user of this machine can call as root of any account'

const HELP = `
Start a service:
  holdfast kms --config kms.yaml

A whole KMS for a laptop or a CI job, on loopback, ready in a second:
  holdfast kms --dev --port 4599 --regions us-east-1,eu-central-1

The same keys in every run, whoever calls (docs/emulator.md):
  holdfast kms --dev --port 4599 --seed seed.yaml
  holdfast kms --dev --port 4599 --seed seed.yaml --dangerously-accept-any-credentials

It prints one line of JSON when it is ready: endpoint, accountId, regions, accessKeyId, secretAccessKey, pid, and where its data is; with a seed
how many keys were made. The credential is
taken from HOLDFAST_DEV_ACCESS_KEY_ID and HOLDFAST_DEV_SECRET_ACCESS_KEY, or made. Its time can be moved: holdfast dev clock advance 31d --data DIR

Exit codes: 0 stopped; 1 wrong use; 64 the operator must change something first; 65 the journal is damaged, or the clock is behind it; 74 the disk is
full, read-only or broken; 75 the folder is in use; 78 the configuration is wrong.`

/** Adds `holdfast kms` and everything below it. */
export function registerKms(program: Command): void {
  const kms = program
    .command('kms')
    .description('the provider’s key management service: the AWS KMS API')
    // So that --data after a command is that command's, not this one's.
    .enablePositionalOptions()
    .option('--config <file>', 'start from this configuration')
    .addOption(acceptClockOption())
    .option('--dev', 'start for development, with a credential that has every right; never for real keys')
    .option('--port <n>', '--dev: port to listen on; 0 takes a free one', portOption, 0)
    .option('--account <id>', '--dev: account id', accountOption, '000000000000')
    .option('--regions <list>', '--dev: Regions, comma-separated', regionsOption, ['us-east-1'])
    .option('--data <dir>', '--dev: keep everything in this folder instead of a temporary one')
    .option('--pkcs11-module <file>', '--dev: root of trust in a PKCS#11 token: the vendor’s module')
    .option('--pkcs11-token <label>', '--dev: and the label of the token')
    .option('--pkcs11-pin-file <file>', '--dev: and the file with its user PIN, mode 0600')
    .option('--seed <file>', '--dev: make the keys of this file, where they are not there')
    .option('--dangerously-accept-any-credentials', '--dev: whoever reaches the port is root of an account')
    .addHelpText('after', HELP)
    .action((options: Options) => {
      if (options.dev !== true && (options.seed !== undefined || options.dangerouslyAcceptAnyCredentials === true))
        kms.error(
          'holdfast kms: --seed and --dangerously-accept-any-credentials go with --dev only: keys and callers that anybody can name protect nothing',
        )
      return startCommand<KmsConfig>(kms, options, {
        // Loaded here only: `--dev`, which is to be ready at once, reads no YAML.
        load: async file => (await import('../config/load.ts')).loadConfig(file, kmsConfig),
        start: config => startKmsService(config, false, undefined, { acceptClock: options.acceptClock }),
        tellFirstSteps,
        dev: () => startDev(options),
      })
    })
  registerKmsAdmin(kms)
  registerProcesses<KmsConfig>(kms, {
    service: 'kms',
    load: async (file, files) => (await import('../config/load.ts')).loadConfig(file, kmsConfig, { files }),
    frontEnd: kmsFrontEnd,
  })
  registerKmsSeed(kms)
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
  const { port, account, regions, data, acceptClock } = options
  let seed: Seed | undefined
  try {
    if (options.seed !== undefined)
      seed = (await import('../kms/seed/read.ts')).readSeed(options.seed, { account, regions })
  } catch (error) {
    if ((error as Error).name !== 'ConfigError') throw error
    process.stderr.write(`${(error as Error).message}\n`)
    return EXIT_CONFIG
  }
  warnOfDev('kms', data)
  const danger =
    options.dangerouslyAcceptAnyCredentials === true
      ? (await import('../kms/wire/any-credentials.ts')).DANGEROUSLY_ACCEPT_ANY_CREDENTIALS
      : undefined
  if (danger !== undefined) process.stderr.write(`${danger.description}: ${ANY_CREDENTIALS}\n`)
  let ended = Promise.resolve(0)
  const token = tokenOf(options)
  const credential = givenCredential()
  const dev = await startKmsDev(
    { port, account, regions, data, token, credential, seed, danger, acceptClock },
    service => {
      ended = untilSignalled(service)
    },
  )
  printLine(dev.line)
  return ended.finally(() => dev.stop())
}

function tokenOf({ pkcs11Module: module, pkcs11Token: label, pkcs11PinFile: pinFile }: Options): DevToken | undefined {
  if (module === undefined && label === undefined && pinFile === undefined) return undefined
  if (module !== undefined && label !== undefined && pinFile !== undefined) return { module, label, pinFile }
  throw new InvalidArgumentError('--pkcs11-module, --pkcs11-token and --pkcs11-pin-file go together.')
}
