/** `holdfast ekm doctor`: a deployment looked at from outside. Parses and prints. */
import { readFileSync } from 'node:fs'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { AdminError } from '../ekm/admin/index.ts'
import { CLOUDS, type CloudName } from '../ekm/doctor/clouds.ts'
import { examine } from '../ekm/doctor/doctor.ts'
import { examineEncryptions } from '../ekm/doctor/encryptions.ts'
import type { XksCredential } from '../ekm/doctor/probes.ts'
import type { Finding, Target } from '../ekm/doctor/types.ts'
import { Secret } from '../store/secret.ts'
import type { EkmWorld } from './ekm-tools.ts'

interface Options {
  readonly cloud: CloudName
  readonly ca?: string
  readonly cert?: string
  readonly keyFile?: string
  readonly importFile?: string
  readonly region: string
  readonly key?: string
  readonly data?: string
  readonly json?: boolean
}

const ID = 'HOLDFAST_DOCTOR_ACCESS_KEY_ID'
const SECRET = 'HOLDFAST_DOCTOR_SECRET_ACCESS_KEY'

const HELP = `
Run it where the cloud is, or as near as you can: what it sees is what the cloud sees. It uses no key of a customer. With --data it
also looks at the service on this machine: keys whose version has encrypted so often that it needs a successor, and has none.

Examples:
  holdfast ekm doctor https://proxy.acme.example/customers/acme --cloud xks --import-file xks-proxy.json
  holdfast ekm doctor https://ekm.acme.example/acme --cloud azure --ca ca.pem --cert pool.pem --key-file pool.key
  holdfast ekm doctor https://dke.acme.example --cloud dke --key contracts

Exit codes: 0 nothing is wrong, warnings at most; 1 at least one problem, or wrong use.`

/** Adds the command to `holdfast ekm`. */
export function registerDoctor(ekm: Command, { connect, out, err }: EkmWorld): void {
  const onThisMachine = async (data: string): Promise<Finding[]> => {
    const control = connect(data)
    try {
      return await examineEncryptions(control)
    } finally {
      control.close()
    }
  }
  ekm
    .command('doctor')
    .description('test a deployment from outside: name, TLS, certificates, clock, credential, latency')
    .argument('<url>', 'https://HOST[:PORT][/PREFIX], as the cloud is told', urlArgument)
    .addOption(
      new Option('--cloud <name>', 'whose demands it is held to').choices(Object.keys(CLOUDS)).makeOptionMandatory(),
    )
    .option('--ca <file>', 'PEM file of the roots to trust instead of those of this machine')
    .option('--cert <file>', 'PEM file of a client certificate')
    .option('--key-file <file>', 'PEM file of its private key')
    .option('--import-file <file>', `xks: the file that credential create wrote; or ${ID} and ${SECRET}`)
    .option('--region <name>', 'xks: Region in the signature', 'us-east-1')
    .option('--key <name>', 'dke: a key to ask for')
    .option('--data <dir>', 'the data folder of the service, where that is on this machine: look at its keys too')
    .option('--json', 'print JSON')
    .addHelpText('after', HELP)
    .action(async (url: URL, options: Options) => {
      try {
        const findings = await examine(options.cloud, targetOf(url, options), {
          credential: credentialOf(options),
          key: options.key,
        })
        if (options.data !== undefined) findings.push(...(await onThisMachine(options.data)))
        out(options.json === true ? JSON.stringify(findings) : findings.map(lineOf).join('\n'))
        if (findings.some(({ verdict }) => verdict === 'problem')) process.exitCode = 1
      } catch (error) {
        if (!(error instanceof AdminError)) throw error
        err(error.message)
        process.exitCode = 1
      }
    })
}

const MARKS = { ok: 'ok      ', warning: 'warning ', problem: 'PROBLEM ' } as const

const lineOf = ({ check, verdict, seen, advice }: Finding): string =>
  `${MARKS[verdict]}${check.padEnd(19)}${seen}${advice === '' ? '' : `\n${' '.repeat(27)}→ ${advice}`}`

function urlArgument(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url?.protocol !== 'https:' || url.search !== '' || url.username !== '')
    throw new InvalidArgumentError('It must be https://HOST[:PORT][/PREFIX].')
  return url
}

function targetOf(url: URL, { ca, cert, keyFile }: Options): Target {
  if ((cert === undefined) !== (keyFile === undefined)) throw new AdminError('Give --cert and --key-file together.')
  const client = cert === undefined || keyFile === undefined ? undefined : { certificateFile: cert, keyFile }
  if (client !== undefined) for (const file of Object.values(client)) read(file)
  return { url, prefix: url.pathname.replace(/\/+$/, ''), ca: ca === undefined ? undefined : read(ca), client }
}

function credentialOf({ importFile, region }: Options): XksCredential | undefined {
  if (importFile !== undefined) {
    let parsed: { XksProxyAuthenticationCredential?: { AccessKeyId?: unknown; RawSecretAccessKey?: unknown } }
    try {
      parsed = JSON.parse(read(importFile))
    } catch (error) {
      throw error instanceof AdminError ? error : new AdminError(`${importFile} is not JSON.`)
    }
    const { AccessKeyId: id, RawSecretAccessKey: secret } = parsed.XksProxyAuthenticationCredential ?? {}
    if (typeof id !== 'string' || typeof secret !== 'string')
      throw new AdminError(`${importFile} has no XksProxyAuthenticationCredential.`)
    return { accessKeyId: id, secret: new Secret(Buffer.from(secret)), region }
  }
  const { [ID]: id, [SECRET]: secret } = process.env
  return id && secret ? { accessKeyId: id, secret: new Secret(Buffer.from(secret)), region } : undefined
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new AdminError(`${file} cannot be read: ${(error as NodeJS.ErrnoException).code ?? 'unknown reason'}.`)
  }
}
