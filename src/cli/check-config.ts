/**
 * `holdfast check-config FILE`: says everything that is wrong with a service's configuration, without starting anything.
 */
import type { Command } from 'commander'
import { type EkmConfig, ekmConfig } from '../config/ekm.ts'
import { type KmsConfig, kmsConfig } from '../config/kms.ts'
import { loadConfig } from '../config/load.ts'
import { ConfigError, formatProblem } from '../config/problems.ts'
import { type Setting, settings } from '../config/tree.ts'
import { EXIT_REFUSED } from './exit-codes.ts'

const services = { kms: kmsConfig, ekm: ekmConfig } as const
type Service = keyof typeof services

interface Options {
  readonly service?: Service
  readonly settings?: boolean
  readonly files: boolean
  readonly json?: boolean
}

const HELP = `
Examples:
  holdfast check-config /etc/holdfast/kms.yaml
  holdfast check-config --service ekm --settings
  holdfast check-config ekm.yaml --no-files --json

Exit codes: 0 right; 1 wrong, with each problem on a line of stderr.`

/** Adds the command. */
export function registerCheckConfig(program: Command): void {
  program
    .command('check-config')
    .description('check a configuration file whole, and name every problem with its line')
    .argument('[file]', 'YAML or JSON file of a service')
    .addOption(
      program
        .createOption('--service <service>', 'which service it is for (default: the one that fits better)')
        .choices(Object.keys(services)),
    )
    .option('--no-files', 'leave the files that it names unread (for a check on another machine)')
    .option('--settings', 'print every setting of the service instead, with type, default and meaning')
    .option('--json', 'print JSON')
    .addHelpText('after', HELP)
    .action((file: string | undefined, options: Options) => {
      if (options.settings) {
        const all = settings(services[options.service ?? 'kms'].schema)
        if (options.json === true) console.log(JSON.stringify(all))
        else for (const setting of all) console.log(formatSetting(setting))
        return
      }
      if (file === undefined) program.error('holdfast check-config: name the file to check')
      else process.exitCode = check(file, options)
    })
}

function check(file: string, options: Options): number {
  const tried = (options.service ? [options.service] : (['kms', 'ekm'] as const)).map(service =>
    attempt(file, service, options),
  )
  const right = tried.find(result => result.error === undefined)
  const nearest =
    right ?? tried.toSorted((a, b) => (a.error?.problems.length ?? 0) - (b.error?.problems.length ?? 0))[0]
  if (options.json === true) {
    const { service, error } = nearest ?? {}
    console.log(JSON.stringify({ file, good: right !== undefined, service, problems: error?.problems ?? [] }))
    return right === undefined ? EXIT_REFUSED : 0
  }
  if (right) {
    console.log(`${file}: a right configuration of holdfast ${right.service}`)
    return 0
  }
  for (const problem of nearest?.error?.problems ?? []) console.error(formatProblem(file, problem))
  if (options.service === undefined)
    console.error(`(read as a configuration of holdfast ${nearest?.service}; --service chooses)`)
  return EXIT_REFUSED
}

function attempt(
  file: string,
  service: Service,
  options: Options,
): { service: Service; error: ConfigError | undefined } {
  try {
    load(file, service, options)
    return { service, error: undefined }
  } catch (error) {
    if (error instanceof ConfigError) return { service, error }
    throw error
  }
}

function load(file: string, service: Service, { files }: Options): KmsConfig | EkmConfig {
  return service === 'kms' ? loadConfig(file, kmsConfig, { files }) : loadConfig(file, ekmConfig, { files })
}

function formatSetting(setting: Setting): string {
  const { path, type, description } = setting
  return type === 'section'
    ? `${path}: ${description}`
    : `${path} (${formOf(setting)}, ${neededOf(setting)}): ${description}`
}

/** What may stand there. */
export function formOf({ type, range }: Setting): string {
  if (range === undefined) return type
  const [least, most] = range
  return most >= Number.MAX_SAFE_INTEGER ? `${type} from ${least}` : `${type} ${least} to ${most}`
}

/** Whether something must, and what is taken where nothing does. */
export function neededOf({ requiredBy, default: value }: Setting): string {
  if (value !== undefined) return `default ${value}`
  if (requiredBy === undefined) return 'optional'
  return requiredBy === '' ? 'required' : `required with ${requiredBy}`
}
