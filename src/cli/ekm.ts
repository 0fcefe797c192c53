/**
 * `holdfast ekm`: the owner's external key manager. Starts the service (from a configuration, or with `--dev` on its own), and holds the commands
 * of its administration, which are in `ekm-admin.ts`.
 */
import { join } from 'node:path'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { connectControl } from '../boundary/client/control.ts'
import { untilSignalled } from '../boundary/supervisor/supervisor.ts'
import { BoundaryError } from '../boundary/words.ts'
import { type EkmConfig, ekmConfig } from '../config/ekm.ts'
import { serviceFolders } from '../config/folders.ts'
import { loadConfig } from '../config/load.ts'
import * as admin from '../ekm/admin/index.ts'
import { type DevKey, ekmAdminApi, ekmFrontEnd, startEkmDev, startEkmService } from '../ekm/dev.ts'
import { isKeyId, isTenantName } from '../ekm/keys/names.ts'
import { registerProcesses } from './alone.ts'
import { registerEkmAdmin } from './ekm-admin.ts'
import { registerHsm } from './ekm-hsm.ts'
import { registerKubernetesPlugin } from './ekm-kubernetes.ts'
import { tenantName } from './ekm-tools.ts'
import { acceptClockOption, givenCredential, portOption, printLine, startCommand, warnOfDev } from './start.ts'

interface Options {
  readonly config?: string
  readonly acceptClock?: number
  readonly dev?: boolean
  readonly port: number
  readonly key: readonly DevKey[]
  readonly prefix: string
  readonly http?: boolean
  readonly data?: string
}

const DEFAULT_DEV_KEY: DevKey = { keyId: 'dev', usage: 'both' }

const HELP = `
Start a service:
  holdfast ekm --config ekm.yaml

A whole key manager for a laptop or a CI job, on loopback, ready in a second:
  holdfast ekm --dev --prefix example --key payments --key archive:decrypt

It prints one line of JSON when it is ready: endpoint, pathPrefix, accessKeyId, secretAccessKey, caFile, pid. The credential is taken from
HOLDFAST_DEV_ACCESS_KEY_ID and HOLDFAST_DEV_SECRET_ACCESS_KEY, or made.

The first steps after --config, while it runs; DIR is its data folder. Each command's --json prints what it made, for scripts:
  holdfast ekm tenant create PREFIX --data DIR                              tenant, uriPath, clients
  holdfast ekm key create NAME --data DIR                                   the key, with the operations that it allows
  holdfast ekm credential create --import-file xks-proxy.json --data DIR    writes what CreateCustomKeyStore takes

What an HSM can do, and for which protocols that is enough (docs/hsm.md), before the first start:
  holdfast ekm hsm probe --config ekm.yaml

When everything must stop:
  holdfast ekm revoke --all --data DIR

Settings, errors and guarantees, for the owner: docs/xks.md

Exit codes: 0 stopped; 1 wrong use, or refused; 64 the operator must change something first; 65 the journal is damaged, or the clock is behind it; 74 the
disk is full, read-only or broken; 75 the folder is in use; 78 the configuration is wrong.`

/** Adds `holdfast ekm` and everything below it. */
export function registerEkm(program: Command): void {
  const ekm = program
    .command('ekm')
    .description("the owner's external key manager: keys that a provider asks for, request by request")
    // So that --data after a command is that command's, not this one's.
    .enablePositionalOptions()
    .showHelpAfterError('(--help after any command explains it)')
    .option('--config <file>', 'start from this configuration')
    .addOption(acceptClockOption())
    .option('--dev', 'start for development: own certificate, tenant, keys and credential; never for real keys')
    .option('--port <n>', '--dev: port to listen on; 0 takes a free one', portOption, 0)
    .addOption(
      new Option('--key <name[:usage]>', '--dev: a key, usage encrypt, decrypt or none; may be repeated')
        .argParser(keyOption)
        .default([], 'one, named dev'),
    )
    .option('--prefix <prefix>', '--dev: path prefix', prefixOption, 'dev')
    .option('--http', '--dev: plain HTTP instead of TLS')
    .option('--data <dir>', '--dev: keep everything in this folder instead of a temporary one')
    .addHelpText('after', HELP)
    .action((options: Options) =>
      startCommand<EkmConfig>(ekm, options, {
        load: async file => loadConfig(file, ekmConfig),
        start: config => startEkmService(config, false, undefined, options.acceptClock),
        tellFirstSteps,
        dev: () => startDev(options),
      }),
    )
  registerEkmAdmin(ekm)
  registerHsm(ekm)
  registerKubernetesPlugin(ekm)
  registerProcesses<EkmConfig>(ekm, {
    service: 'ekm',
    load: async (file, files) => loadConfig(file, ekmConfig, { files }),
    frontEnd: ekmFrontEnd,
    adminApi: config => (config.admin === undefined ? undefined : ekmAdminApi(config)),
  })
}

/** There are no default tenants or credentials, so whoever starts a service for the first time must be told how to make them. */
async function tellFirstSteps({ data }: EkmConfig): Promise<void> {
  const control = connectControl({ socket: join(serviceFolders(data).boundary, 'control.sock') })
  try {
    if ((await admin.listTenants(control)).length === 0) process.stderr.write(firstSteps(data))
  } catch (error) {
    if (!(error instanceof BoundaryError)) throw error
    if (error.code === 'Locked')
      process.stderr.write(`The boundary is locked. To unlock it: holdfast unlock --data ${data}\n`)
  } finally {
    control.close()
  }
}

const firstSteps = (data: string): string => `
This key manager has no tenant yet, and serves nobody. In another terminal, make one with a key and a credential:
  holdfast ekm tenant create PREFIX --data ${data}
  holdfast ekm key create NAME --data ${data}
  holdfast ekm credential create --import-file xks-proxy.json --data ${data}
`

async function startDev(options: Options): Promise<number> {
  warnOfDev('ekm', options.data)
  let ended = Promise.resolve(0)
  const dev = await startEkmDev(
    {
      data: options.data,
      port: options.port,
      http: options.http === true,
      tenant: options.prefix,
      keys: options.key.length === 0 ? [DEFAULT_DEV_KEY] : options.key,
      credential: givenCredential(),
      acceptClock: options.acceptClock,
    },
    service => {
      ended = untilSignalled(service)
    },
  )
  printLine(dev.line)
  process.stderr.write(`Try, in another terminal: holdfast ekm revoke ${dev.line.keys[0]} --data ${dev.line.data}\n`)
  return ended.finally(() => dev.stop())
}

function keyOption(text: string, all: readonly DevKey[]): DevKey[] {
  const [keyId = '', usage = 'both', ...rest] = text.split(':')
  if (!isKeyId(keyId) || !admin.isKeyUse(usage) || rest.length > 0)
    throw new InvalidArgumentError('Write NAME, NAME:encrypt, NAME:decrypt or NAME:none.')
  return [...all, { keyId, usage }]
}

function prefixOption(text: string): string {
  const name = tenantName(text)
  if (!isTenantName(name)) throw new InvalidArgumentError('A prefix has segments of letters, digits, "-" and "_".')
  return name
}
