/** `holdfast kms seed`: the form of the file of `--seed`, and whether a file has it. */
import type { Command } from 'commander'
import { EXIT_CONFIG } from './exit-codes.ts'
import { accountOption, regionsOption } from './kms-names.ts'

/** Adds the commands to `holdfast kms`. */
export function registerKmsSeed(kms: Command): void {
  const seed = kms.command('seed').description('the keys of holdfast kms --dev --seed FILE (docs/emulator.md)')
  seed
    .command('schema')
    .description('print the JSON Schema of the file, for editors and for other programs')
    .addHelpText(
      'after',
      '\nExample:\n  holdfast kms seed schema > seed.schema.json\n\nExit codes: 0 printed; 1 wrong use.',
    )
    .action(async () => {
      // Loaded here only: `kms --dev`, which is to be ready at once, needs neither.
      process.stdout.write((await import('../kms/seed/schema.ts')).seedJsonSchema())
    })
  seed
    .command('check')
    .description('check a file whole, and name every problem with its line')
    .argument('<file>', 'YAML or JSON')
    .option('--account <id>', 'account of keys that name none', accountOption, '000000000000')
    .option('--regions <list>', 'Regions of the service, comma-separated', regionsOption, ['us-east-1'])
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Example:
  holdfast kms seed check seed.yaml --regions us-east-1,eu-central-1

Exit codes: 0 right; ${EXIT_CONFIG} wrong, each problem on a line of stderr.`,
    )
    .action(async (file: string, options: { account: string; regions: readonly string[]; json?: boolean }) => {
      const { readSeed } = await import('../kms/seed/read.ts')
      try {
        const { entries } = readSeed(file, options)
        const keys = entries.map(({ key }) => key.id)
        const text = options.json === true ? JSON.stringify({ file, keys }) : `${file}: ${keys.length} keys`
        process.stdout.write(`${text}\n`)
      } catch (error) {
        if (!(error instanceof Error) || error.name !== 'ConfigError') throw error
        process.stderr.write(`${error.message}\n`)
        process.exitCode = EXIT_CONFIG
      }
    })
}
