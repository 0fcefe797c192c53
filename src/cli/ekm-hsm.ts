/** `holdfast ekm hsm`: looks at the PKCS#11 tokens of a configuration. Parses and prints; what is done is in `src/ekm/admin/hsm.ts`. */
import { type Command, InvalidArgumentError, Option } from 'commander'
import { StartRefused } from '../boundary/service/lock.ts'
import { ekmConfig } from '../config/ekm.ts'
import { loadConfig } from '../config/load.ts'
import { ConfigError } from '../config/problems.ts'
import * as admin from '../ekm/admin/index.ts'
import { EXIT_CONFIG, EXIT_REFUSED } from './exit-codes.ts'
import { columns } from './table.ts'

interface Options {
  readonly config: string
  readonly token?: string
  readonly protocol: readonly admin.ServedProtocol[]
  readonly json?: boolean
}

/** A token is not enough for a protocol that was named. */
const EXIT_NOT_SERVED = 3

const HELP = `
Logs in once to each token that the configuration names, with the PIN that the service would use, and tries what keys need on keys of its
own, which are gone with its session. Run it as the user that the boundary runs as, while the service is stopped.

Examples:
  holdfast ekm hsm probe --config ekm.yaml
  holdfast ekm hsm probe --config ekm.yaml --protocol azure --protocol dke --json

Exit codes: 0 looked at; 1 wrong use, or no token in the configuration; 3 a token is not enough for a protocol that --protocol names; 64 a token does
not open, with what the operator must change (a PIN that was refused is not tried again); 75 the service is running; 78 the configuration is wrong.`

/** Adds the commands to `holdfast ekm`. */
export function registerHsm(ekm: Command): void {
  ekm
    .command('hsm')
    .description('the PKCS#11 tokens of a configuration')
    .command('probe')
    .description('try what each token can do, and say which protocols it can serve')
    .requiredOption('--config <file>', "the service's configuration")
    .option('--token <name>', 'only the token of this name in boundary.tokens')
    .addOption(
      new Option('--protocol <name>', 'end with exit code 3 where a token cannot serve it; may be repeated')
        .argParser(protocolOption)
        .default([], 'none'),
    )
    .option('--json', 'print JSON')
    .addHelpText('after', HELP)
    .action(async (options: Options) => {
      process.exitCode = await probe(options)
    })
}

async function probe({ config: file, token, protocol, json }: Options): Promise<number> {
  try {
    const tokens = await admin.probeTokens(loadConfig(file, ekmConfig), token)
    process.stdout.write(json === true ? `${JSON.stringify(tokens)}\n` : tokens.map(describe).join('\n'))
    const served = (each: admin.ProbedToken) =>
      protocol.every(name => each.serves.some(entry => entry.protocol === name && entry.algorithms.length > 0))
    return tokens.every(served) ? 0 : EXIT_NOT_SERVED
  } catch (error) {
    process.stderr.write(`holdfast ekm hsm probe: ${error instanceof Error ? error.message : String(error)}\n`)
    if (error instanceof ConfigError) return EXIT_CONFIG
    return error instanceof StartRefused ? error.exitCode : EXIT_REFUSED
  }
}

function describe(token: admin.ProbedToken): string {
  const { name, label, slot, manufacturer, model, serial, library, mechanisms, trials, serves } = token
  const known = mechanisms.filter(({ name: mechanism }) => mechanism.startsWith('CKM_'))
  return `${[
    `${name === '' ? 'Token of the root of trust' : `Token ${name}`}: "${label}" in slot ${slot}`,
    `  ${[manufacturer, model, `serial ${serial}`].join(', ')}; module: ${library}`,
    '',
    columns(trials.map(({ name: tried, ok, detail }) => ({ tried, result: ok ? 'works' : 'does not', how: detail }))),
    '',
    columns(
      serves.map(({ protocol, algorithms, missing }) => ({
        protocol,
        serves: algorithms.length === 0 ? 'no' : 'yes',
        with: algorithms.join(' '),
        without: missing.join(' '),
      })),
    ),
    '',
    `Of ${mechanisms.length} mechanisms that it names, those that keys can use:`,
    columns(
      known.map(({ name: mechanism, minKey, maxKey, flags }) => ({
        mechanism,
        'key sizes': maxKey === 0 ? '' : `${minKey} to ${maxKey}`,
        for: flags.join(' '),
      })),
    ),
  ].join('\n')}\n`
}

function protocolOption(text: string, all: readonly admin.ServedProtocol[]): admin.ServedProtocol[] {
  const found = admin.SERVED_PROTOCOLS.find(name => name === text)
  if (found === undefined) throw new InvalidArgumentError(`The protocols are ${admin.SERVED_PROTOCOLS.join(', ')}.`)
  return [...all, found]
}
