/** `holdfast ekm kubernetes-plugin`: the plugin on a control-plane node, in the foreground. It has no boundary and no data folder. */
import type { Command } from 'commander'
import { type PluginConfig, type PluginConfigInput, pluginConfig } from '../config/kubernetes-plugin.ts'
import { loadConfig, parseConfig } from '../config/load.ts'
import { ConfigError } from '../config/problems.ts'
import { startPlugin } from '../ekm/protocols/kubernetes/plugin/plugin.ts'
import { openLog } from '../http/logging.ts'
import { EXIT_CONFIG } from './exit-codes.ts'
import { printLine } from './start.ts'

interface Options {
  readonly config?: string
  readonly socket?: string
  readonly group?: string
  readonly ekm?: string
  readonly ca?: string
  readonly certificate?: string
  readonly keyFile?: string
  readonly tenant?: string
  readonly key?: string
}

const HELP = `
Examples:
  holdfast ekm kubernetes-plugin --config plugin.yaml
  holdfast ekm kubernetes-plugin --socket /run/holdfast/kms.sock --ekm ekm.example.com:8446 \\
    --ca owner-ca.pem --certificate node.pem --key-file node.key --tenant clusters/prod --key etcd

It prints one line of JSON when it serves: endpoint, as EncryptionConfiguration takes it, and pid. Settings and rotation: docs/kubernetes.md

Exit codes: 0 stopped; 1 it could not start; 78 the configuration is wrong.`

/** Adds the command. */
export function registerKubernetesPlugin(ekm: Command): void {
  const plugin = ekm
    .command('kubernetes-plugin')
    .description('serve Kubernetes KMS v2 on a node, and ask a key manager elsewhere for every use')
    .option('--config <file>', 'start from this configuration instead of the flags')
    .option('--socket <path>', 'Unix socket for the API server')
    .option('--group <name>', 'whose members may connect to it too')
    .option('--ekm <host:port>', 'where the key manager listens for plugins')
    .option('--ca <file>', 'roots of its certificate')
    .option('--certificate <file>', "the plugin's certificate")
    .option('--key-file <file>', 'its private key')
    .option('--tenant <prefix>', 'the tenant')
    .option('--key <name>', 'its key')
    .addHelpText('after', HELP)
    .action(async (options: Options) => {
      try {
        process.exitCode = await run(options)
      } catch (error) {
        const wrong = error instanceof ConfigError
        process.stderr.write(`${wrong ? '' : 'holdfast ekm kubernetes-plugin: '}${(error as Error).message}\n`)
        process.exitCode = wrong ? EXIT_CONFIG : 1
      }
    })
  plugin.showHelpAfterError('(--help explains it)')
}

async function run(options: Options): Promise<number> {
  const config = read(options)
  const log = openLog({ name: 'kubernetes-plugin', level: config.logging.level })
  const ended = new Promise<void>(resolve => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, resolve)
  })
  const plugin = await startPlugin(config, log)
  printLine({ endpoint: plugin.endpoint, pid: process.pid })
  await ended
  await plugin.close()
  return 0
}

/** What the environment holds is the key manager's, and nothing of it the plugin's. */
function read({ config, ...flags }: Options): PluginConfig {
  if (config !== undefined) return loadConfig(config, pluginConfig, { env: {} })
  const { socket, group, ekm = '', ca, certificate, keyFile, tenant, key } = flags
  const [, host, port] = /^(?:\[(?=.*\]))?([^\]]*?)\]?:(\d+)$/.exec(ekm) ?? []
  return parseConfig(pluginConfig, {
    socket: { path: socket, group },
    ekm: { host, port: Number(port), caFile: ca, certificateFile: certificate, keyFile },
    tenant,
    key,
  } as PluginConfigInput)
}
