/** `holdfast init kms`: the few questions, then configuration, certificates, root, first user, and the next steps. Parses, asks and prints. */
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { kmsConfig } from '../config/kms.ts'
import { prepareCertificates } from '../setup/init/certificates.ts'
import { firstPrincipal } from '../setup/init/first.ts'
import {
  type KmsAnswers,
  kmsConfigOf,
  kmsConfiguration,
  kmsQuestions,
  kmsSteps,
  splitNames,
} from '../setup/init/kms.ts'
import { unused, writeAll } from '../setup/init/write.ts'
import type { World } from './admin-tools.ts'
import { ask, type InitOptions, isRoot, type Texts } from './ask.ts'
import { givenTexts, INIT_EXITS, INIT_HELP, type Made, readCommon, setUp, withHow, withRoot } from './init-common.ts'

interface Options extends InitOptions {
  readonly port?: string
  readonly regions?: string
  readonly account?: string
  readonly administrator?: string
}

const HELP = `${INIT_HELP}

Examples:
  holdfast init kms /etc/holdfast
  holdfast init kms ./trial --yes
  holdfast init kms /etc/holdfast --host kms.acme.example --regions eu-central-1 --account 111122223333 --users holdfast-kms,holdfast-boundary --yes

${INIT_EXITS}`

/** Adds the command. */
export function registerKmsInit(parent: Command, use: Pick<World<never>, 'out' | 'err'>): void {
  const command = parent
    .command('kms')
    .description('set up a key management service: configuration, certificates, first user, and the next steps')
    .argument('[dir]', 'folder for configuration, certificates and data', './holdfast-provider')
    .option('--host <name>', 'host name by which clients reach it; localhost for this machine only')
    .option('--port <n>', 'port of the AWS KMS API')
    .option('--regions <list>', 'Regions, comma-separated')
    .option('--account <id>', 'number of the first account, 12 digits')
    .option('--administrator <name>', 'name of the first user, who has every right in it')
  withHow(withRoot(command))
    .addHelpText('after', HELP)
    .action((dir: string, options: Options) => setUp(options, use, () => init(resolve(dir), options)))
}

async function init(folder: string, options: Options): Promise<Made> {
  const config = kmsConfigOf({ folder })
  unused(config)
  const { port, regions, account, administrator } = options
  const given: Texts<KmsAnswers> = {
    ...givenTexts(options),
    ...(port !== undefined && { port }),
    ...(regions !== undefined && { regions }),
    ...(account !== undefined && { account }),
    ...(administrator !== undefined && { administrator }),
  }
  const read = (texts: Texts<KmsAnswers>): Partial<KmsAnswers> => ({
    ...readCommon(folder, options, texts),
    port: Number(texts.port),
    regions: splitNames(texts.regions ?? ''),
    account: texts.account ?? '',
    administrator: texts.administrator ?? '',
  })
  const answers = read(await ask(kmsQuestions(isRoot()), given, read, options)) as KmsAnswers
  const certificates = await writeAll({
    service: 'kms',
    answers,
    file: config,
    definition: kmsConfig,
    certificates: () => prepareCertificates(answers),
    configuration: made => kmsConfiguration(answers, made),
  })
  const first =
    options.start && answers.root !== 'passphrase'
      ? await firstPrincipal(config, answers.account, answers.administrator, answers)
      : undefined
  const steps = kmsSteps(answers, certificates, first !== undefined)
  return {
    config,
    certificates: certificates.made,
    steps,
    ...(first && { credential: first.made }),
    ...(first?.backup && { backup: first.backup }),
  }
}
