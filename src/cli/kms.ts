/**
 * `holdfast kms`: the provider's key management service. Starts it (from a configuration, or with `--dev` on its own), and holds the commands of its
 * administration, which are in `kms-admin.ts`.
 */
import { join } from 'node:path'
import { type Command, InvalidArgumentError } from 'commander'
import { connectControl } from '../boundary/client/control.ts'
import { untilSignalled } from '../boundary/supervisor/supervisor.ts'
import { BoundaryError } from '../boundary/words.ts'
import { serviceFolders } from '../config/boundary.ts'
import { type KmsConfig, kmsConfig } from '../config/kms.ts'
import { loadConfig } from '../config/load.ts'
import { firstPrincipalText } from '../kms/admin/index.ts'
import { type DevToken, startKmsDev, startKmsService } from '../kms/dev.ts'
import { registerKmsAdmin } from './kms-admin.ts'
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
}

/** How often a locked boundary is looked at again, until the first steps can be told. */
const LOCKED_POLL_MS = 500

const HELP = `
Start a service:
  holdfast kms --config kms.yaml

A whole KMS for a laptop or a CI job, on loopback, ready in a second:
  holdfast kms --dev --port 4599 --regions us-east-1,eu-central-1

It prints one line of JSON when it is ready: endpoint, accountId, regions, accessKeyId, secretAccessKey, pid, and where its data is. The credential is
taken from HOLDFAST_DEV_ACCESS_KEY_ID and HOLDFAST_DEV_SECRET_ACCESS_KEY, or made. Its time can be moved: holdfast dev clock advance 31d --data DIR

Exit codes: 0 stopped; 64 the operator must change something first; 65 the log is damaged, or the clock is behind it; 74 the disk is full, read-only or
broken; 75 the folder is in use; 78 the configuration is wrong.`

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
    .addHelpText('after', HELP)
    .action((options: Options) =>
      startCommand<KmsConfig>(kms, options, {
        load: file => loadConfig(file, kmsConfig),
        start: config => startKmsService(config, false, undefined, options.acceptClock),
        tellFirstSteps,
        dev: () => startDev(options),
      }),
    )
  registerKmsAdmin(kms)
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
  warnOfDev('kms', options.data)
  let ended = Promise.resolve(0)
  const { port, account, regions, data, acceptClock } = options
  const token = tokenOf(options)
  const dev = await startKmsDev(
    { port, account, regions, data, token, credential: givenCredential(), acceptClock },
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
