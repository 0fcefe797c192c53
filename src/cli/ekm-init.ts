/** `holdfast init ekm`, which is `holdfast ekm init` too: the few questions, then configuration, certificates, root, first tenant, and the next steps. */
import { resolve } from 'node:path'
import { type Command, InvalidArgumentError } from 'commander'
import { ekmConfig } from '../config/ekm.ts'
import type { ProtocolName } from '../ekm/keys/protocols.ts'
import { prepareEkmCertificates } from '../setup/init/certificates.ts'
import { type EkmAnswers, ekmQuestions, splitClouds, wrongClouds } from '../setup/init/ekm-answers.ts'
import { configOf, configuration } from '../setup/init/ekm-configuration.ts'
import { ekmSteps } from '../setup/init/ekm-steps.ts'
import { firstTenant } from '../setup/init/first.ts'
import { unused, writeAll } from '../setup/init/write.ts'
import type { World } from './admin-tools.ts'
import { ask, type InitOptions, isRoot, type Texts } from './ask.ts'
import { givenTexts, INIT_EXITS, INIT_HELP, type Made, readCommon, setUp, withHow, withRoot } from './init-common.ts'

interface Options extends InitOptions {
  readonly cloud?: readonly string[]
  readonly tenant?: string
  readonly clientCa?: string
  readonly clientName?: string
  readonly directory?: string
  readonly issuer?: string
  readonly audience?: string
  readonly issuerKeys?: string
  readonly project?: string
}

const help = (path: string): string => `${INIT_HELP}

Examples:
  ${path} /etc/holdfast
  ${path} ./trial --cloud xks --host proxy.acme.example --tenant customers/acme --yes
  ${path} /etc/holdfast --cloud azure,xks --host ekm.acme.example --certificate server.pem --certificate-key server.key --client-ca cloud-roots.pem --yes

${INIT_EXITS}`

/** Adds the command under one of its two names; `path`: all of it as it is typed. */
export function registerEkmInit(
  parent: Command,
  name: string,
  path: string,
  use: Pick<World<never>, 'out' | 'err'>,
): void {
  const command = parent
    .command(name)
    .description('set up a key manager: configuration, certificates, first tenant, and the next steps for each cloud')
    .argument('[dir]', 'folder for configuration, certificates and data', './holdfast-owner')
    .option('--cloud <names>', 'which clouds are to ask; several with commas, or repeated', clouds)
    .option('--host <name>', 'host name by which the clouds reach it')
    .option('--tenant <prefix>', 'path prefix of the first tenant')
  withHow(
    withRoot(command)
      .option('--client-ca <file>', 'PEM file of the roots of the cloud’s client certificates')
      .option('--client-name <name>', 'name in the cloud’s client certificate')
      .option('--directory <guid>', 'dke: id of the Entra tenant whose people may decrypt')
      .option('--issuer <url>', 'kacls: issuer of your identity provider')
      .option('--audience <text>', 'kacls: audience of its tokens')
      .option('--issuer-keys <url>', 'kacls: URL of its public keys')
      .option('--project <number>', 'google: number of the project that asks'),
  )
    .addHelpText('after', help(path))
    .action((dir: string, options: Options) => setUp(options, use, () => init(resolve(dir), options)))
}

function clouds(value: string, before: readonly string[] = []): string[] {
  const wrong = wrongClouds(value)
  if (wrong !== '') throw new InvalidArgumentError(wrong)
  return [...before, ...splitClouds(value)]
}

async function init(folder: string, options: Options): Promise<Made> {
  const config = configOf({ folder })
  unused(config)
  const { cloud, tenant, directory, issuer, audience, issuerKeys, project } = options
  const given: Texts<EkmAnswers> = {
    ...givenTexts(options),
    ...(cloud && { clouds: cloud.join(',') }),
    ...(tenant !== undefined && { tenant: tenant.replace(/^\/+|\/+$/g, '') }),
    ...(directory !== undefined && { directory }),
    ...(issuer !== undefined && { issuer }),
    ...(audience !== undefined && { audience }),
    ...(issuerKeys !== undefined && { issuerKeys }),
    ...(project !== undefined && { project }),
  }
  const read = (texts: Texts<EkmAnswers>): Partial<EkmAnswers> =>
    ({
      ...texts,
      ...readCommon(folder, options, texts),
      clouds: texts.clouds === undefined ? undefined : ([...new Set(splitClouds(texts.clouds))] as ProtocolName[]),
      clientCaFile: options.clientCa === undefined ? undefined : resolve(options.clientCa),
      clientName: options.clientName,
    }) as Partial<EkmAnswers>
  const answers = read(await ask(ekmQuestions(isRoot()), given, read, options)) as EkmAnswers
  const certificates = await writeAll({
    service: 'ekm',
    answers,
    file: config,
    definition: ekmConfig,
    certificates: () => prepareEkmCertificates(answers),
    configuration: made => configuration(answers, made),
  })
  const first =
    options.start && answers.root !== 'passphrase' ? await firstTenant(config, answers.tenant, answers) : undefined
  const steps = ekmSteps(answers, certificates, first !== undefined)
  return {
    config,
    certificates: certificates.made,
    steps,
    ...(first && { tenant: first.made }),
    ...(first?.backup && { backup: first.backup }),
  }
}
