/** `holdfast ekm init`: the few questions, then configuration, certificates and the next steps. Parses, asks and prints. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { createInterface } from 'node:readline/promises'
import { type Command, InvalidArgumentError } from 'commander'
import { ekmConfig } from '../config/ekm.ts'
import { loadConfig } from '../config/load.ts'
import { AdminError } from '../ekm/admin/index.ts'
import type { ProtocolName } from '../ekm/keys/protocols.ts'
import {
  type Answers,
  QUESTIONS,
  type Question,
  type RootKind,
  splitClouds,
  wrongClouds,
} from '../ekm/setup/answers.ts'
import { prepareCertificates } from '../ekm/setup/certificates.ts'
import { configOf, configuration, configurationText } from '../ekm/setup/configuration.ts'
import { nextSteps, stepsText } from '../ekm/setup/steps.ts'
import type { World } from './admin-tools.ts'

interface Options {
  readonly cloud?: readonly string[]
  readonly host?: string
  readonly tenant?: string
  readonly root?: string
  readonly module?: string
  readonly tokenLabel?: string
  readonly pinFile?: string
  readonly certificate?: string
  readonly certificateKey?: string
  readonly clientCa?: string
  readonly clientName?: string
  readonly directory?: string
  readonly issuer?: string
  readonly audience?: string
  readonly issuerKeys?: string
  readonly project?: string
  readonly yes?: boolean
  readonly json?: boolean
}

const HELP = `
Asks for what no flag has given, where there is a terminal; with --yes it takes the defaults. Certificates that are not given are made under a root of
their own: right for a trial, and replaced later by renaming others over them. Nothing that is there is overwritten.

Examples:
  holdfast ekm init /etc/holdfast
  holdfast ekm init ./trial --cloud xks --host proxy.acme.example --tenant customers/acme --yes
  holdfast ekm init /etc/holdfast --cloud azure,xks --host ekm.acme.example --certificate server.pem --certificate-key server.key --client-ca cloud-roots.pem --yes

Exit codes: 0 written; 1 wrong use, or something was there already.`

/** Adds the command to `holdfast ekm`. */
export function registerInit(ekm: Command, { out, err }: Pick<World<never>, 'out' | 'err'>): void {
  ekm
    .command('init')
    .description('set up a key manager: configuration, certificates, and the next steps for each cloud')
    .argument('[dir]', 'folder for configuration, certificates and data', './holdfast-owner')
    .option('--cloud <names>', 'which clouds are to ask; several with commas, or repeated', clouds)
    .option('--host <name>', 'host name by which the clouds reach it')
    .option('--tenant <prefix>', 'path prefix of the first tenant')
    .option('--root <kind>', 'what opens the boundary: keyfile, passphrase or pkcs11')
    .option('--module <file>', 'pkcs11: the module')
    .option('--token-label <text>', 'pkcs11: label of the token')
    .option('--pin-file <file>', 'pkcs11: file with the user PIN')
    .option('--certificate <file>', 'PEM file of the server’s certificate and its intermediates')
    .option('--certificate-key <file>', 'PEM file of its private key, mode 0600')
    .option('--client-ca <file>', 'PEM file of the roots of the cloud’s client certificates')
    .option('--client-name <name>', 'name in the cloud’s client certificate')
    .option('--directory <guid>', 'dke: id of the Entra tenant whose people may decrypt')
    .option('--issuer <url>', 'kacls: issuer of your identity provider')
    .option('--audience <text>', 'kacls: audience of its tokens')
    .option('--issuer-keys <url>', 'kacls: URL of its public keys')
    .option('--project <number>', 'google: number of the project that asks')
    .option('--yes', 'ask nothing: take the defaults')
    .option('--json', 'print JSON')
    .addHelpText('after', HELP)
    .action(async (dir: string, options: Options) => {
      try {
        const folder = resolve(dir)
        unused(folder)
        const answers = await answersOf(folder, options)
        const made = await setUp(answers)
        out(options.json === true ? JSON.stringify(made) : text(made))
      } catch (error) {
        if (!(error instanceof Error)) throw error
        err(error.message)
        process.exitCode = 1
      }
    })
}

function clouds(value: string, before: readonly string[] = []): string[] {
  const wrong = wrongClouds(value)
  if (wrong !== '') throw new InvalidArgumentError(wrong)
  return [...before, ...splitClouds(value)]
}

type Texts = { -readonly [Name in keyof Answers]?: string }

/** From flags, from the terminal, from defaults. Throws AdminError where something is missing or wrong. */
async function answersOf(folder: string, options: Options): Promise<Answers> {
  if ((options.certificate === undefined) !== (options.certificateKey === undefined))
    throw new AdminError('Give --certificate and --certificate-key together.')
  const texts: Texts = {
    ...(options.cloud && { clouds: options.cloud.join(',') }),
    ...(options.host !== undefined && { host: options.host }),
    ...(options.tenant !== undefined && { tenant: options.tenant.replace(/^\/+|\/+$/g, '') }),
    ...(options.root !== undefined && { root: options.root }),
    ...(options.module !== undefined && { module: resolve(options.module) }),
    ...(options.tokenLabel !== undefined && { tokenLabel: options.tokenLabel }),
    ...(options.pinFile !== undefined && { pinFile: resolve(options.pinFile) }),
    ...(options.directory !== undefined && { directory: options.directory }),
    ...(options.issuer !== undefined && { issuer: options.issuer }),
    ...(options.audience !== undefined && { audience: options.audience }),
    ...(options.issuerKeys !== undefined && { issuerKeys: options.issuerKeys }),
    ...(options.project !== undefined && { project: options.project }),
  }
  const terminal = options.yes !== true && process.stdin.isTTY === true
  const lines = terminal ? createInterface({ input: process.stdin, output: process.stderr }) : undefined
  try {
    for (const question of QUESTIONS) {
      const given = read(folder, options, texts)
      const text = texts[question.name] ?? (question.asked(given) ? await answered(question, given, lines) : undefined)
      if (text === undefined) continue
      const wrong = question.wrong(text)
      if (wrong !== '') throw new AdminError(`${question.name}: ${wrong}.`)
      texts[question.name] = text
    }
  } finally {
    lines?.close()
  }
  return read(folder, options, texts) as Answers
}

async function answered(
  { name, text, fallback, wrong }: Question,
  given: Partial<Answers>,
  lines: ReturnType<typeof createInterface> | undefined,
): Promise<string> {
  const usual = fallback(given)
  if (lines === undefined) {
    if (usual === undefined) throw new AdminError(`${text} Give it: see holdfast ekm init --help (${name}).`)
    return usual
  }
  for (;;) {
    const said = (await lines.question(`${text}${usual === undefined ? '' : ` [${usual}]`} `)).trim() || (usual ?? '')
    const why = said === '' ? 'it must be answered' : wrong(said)
    if (why === '') return said
    process.stderr.write(`  ${why}\n`)
  }
}

function read(folder: string, options: Options, texts: Texts): Partial<Answers> {
  const file = (path: string | undefined) => (path === undefined ? undefined : resolve(path))
  const { clouds: names, root } = texts
  return {
    ...texts,
    folder,
    clouds: names === undefined ? undefined : ([...new Set(splitClouds(names))] as ProtocolName[]),
    root: root as RootKind | undefined,
    certificateFile: file(options.certificate),
    keyFile: file(options.certificateKey),
    clientCaFile: file(options.clientCa),
    clientName: options.clientName,
  } as Partial<Answers>
}

interface Made {
  readonly config: string
  readonly certificates: readonly string[]
  readonly steps: ReturnType<typeof nextSteps>
}

/** Before anything is asked. */
function unused(folder: string): void {
  const config = configOf({ folder })
  if (existsSync(config)) throw new AdminError(`${config} is there already: name another folder, or change that file.`)
}

/** Writes everything, and reads the configuration back as the service will. */
async function setUp(answers: Answers): Promise<Made> {
  const config = configOf(answers)
  mkdirSync(answers.folder, { recursive: true, mode: 0o700 })
  const certificates = await prepareCertificates(answers).catch(error => {
    if (error?.code === 'EEXIST')
      throw new AdminError(`${error.path} is there already: move it away, or name it with --certificate.`)
    throw error
  })
  writeFileSync(config, configurationText(configuration(answers, certificates)), { flag: 'wx', mode: 0o600 })
  loadConfig(config, ekmConfig)
  return { config, certificates: certificates.made, steps: nextSteps(answers, certificates) }
}

const text = ({ config, certificates, steps }: Made): string =>
  [
    `The configuration is ${config}, and has been checked.`,
    ...(certificates.length === 0
      ? []
      : [`Made for a trial, for 90 days:\n${certificates.map(file => `  ${file}`).join('\n')}`]),
    `Next:\n\n${stepsText(steps)}`,
  ].join('\n\n')
