/** `holdfast kms`: the provider's service, from a configuration file or with `--dev`, and its administration. */
import type { Command } from 'commander'
import { kmsConfig } from '../config/kms.ts'
import { loadConfig } from '../config/load.ts'
import { startKmsDev, startKmsService } from '../kms/dev.ts'
import { registerKmsAdmin } from './kms-admin.ts'

interface Options {
  readonly config?: string
  readonly dev?: boolean
  readonly port: string
  readonly account: string
  readonly regions: string
  readonly data?: string
}

export function registerKms(program: Command): void {
  const kms = program
    .command('kms')
    .description('the provider’s key management service: the AWS KMS API')
    .option('--config <file>', 'run the service that this file configures')
    .option('--dev', 'run a whole KMS for a laptop or a CI job, in a temporary folder')
    .option('--port <number>', 'with --dev: port on 127.0.0.1; 0 takes a free one', '0')
    .option('--account <id>', 'with --dev: account id', '000000000000')
    .option('--regions <list>', 'with --dev: Regions, comma-separated', 'us-east-1')
    .option('--data <dir>', 'with --dev: keep state in this folder')
    .addHelpText(
      'after',
      `
Examples:
  holdfast kms --dev --port 4566
  holdfast kms --config kms.yaml

With --dev the credential is HOLDFAST_DEV_ACCESS_KEY_ID and HOLDFAST_DEV_SECRET_ACCESS_KEY, or one is made; one line of JSON on
standard output says where the service listens and with which credential.`,
    )
    .action(async (options: Options) => {
      process.exitCode = options.dev === true ? await runDev(options) : await runConfigured(options, kms)
    })
  registerKmsAdmin(kms)
}

async function runDev(options: Options): Promise<number> {
  console.error('holdfast: this is a development service; do not keep anything in it that matters.')
  const accessKeyId = process.env.HOLDFAST_DEV_ACCESS_KEY_ID
  const secretAccessKey = process.env.HOLDFAST_DEV_SECRET_ACCESS_KEY
  const dev = await startKmsDev({
    port: Number(options.port),
    account: options.account,
    regions: options.regions.split(','),
    data: options.data,
    credential: accessKeyId && secretAccessKey ? { accessKeyId, secretAccessKey } : undefined,
  })
  let stopping = false
  const stop = (): void => {
    if (stopping) return
    stopping = true
    void dev.stop()
  }
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)
  process.stdout.write(`${JSON.stringify(dev.line)}\n`)
  const code = await dev.service.ended
  await dev.stop()
  return stopping ? 0 : code
}

async function runConfigured({ config: file }: Options, kms: Command): Promise<number> {
  if (file === undefined) {
    kms.help({ error: true })
  }
  const config = loadConfig(file, kmsConfig)
  const service = startKmsService(config, false)
  const stop = (): void => void service.stop()
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)
  await service.ready
  return service.ended
}
