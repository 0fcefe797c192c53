/** `holdfast dev`: what only services started with `--dev` allow. Now: moving lifecycle time, so that expiry, rotation and deletion can be tested. */
import { join } from 'node:path'
import { type Command, InvalidArgumentError } from 'commander'
import { connectControl } from '../boundary/client/control.ts'
import { BoundaryError } from '../boundary/words.ts'
import { EXIT_REFUSED, EXIT_UNAVAILABLE } from './exit-codes.ts'

const UNITS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** `90s`, `15m`, `12h`, `31d` in milliseconds. */
export function readDuration(text: string): number {
  const [, count, unit = ''] = /^(\d{1,9})([smhd])$/.exec(text) ?? []
  const milliseconds = Number(count) * (UNITS[unit] ?? 0)
  if (count === undefined || !Number.isSafeInteger(milliseconds) || milliseconds === 0)
    throw new InvalidArgumentError('Write a number and s, m, h or d: 90s, 15m, 12h, 31d.')
  return milliseconds
}

/** Adds `holdfast dev`. */
export function registerDev(program: Command): void {
  const dev = program.command('dev').description('what only services started with --dev allow')
  const clock = dev
    .command('clock')
    .description('lifecycle time: the time by which keys expire, rotate and are deleted')
  clock
    .command('advance')
    .description('move lifecycle time forward; what falls due is done when this returns')
    .argument('<duration>', 'for example 31d, 12h, 15m, 90s', readDuration)
    .requiredOption('--data <dir>', 'data folder of the service: "data" in the line that it printed')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Example:
  holdfast dev clock advance 31d --data /tmp/holdfast-kms-abc

Exit codes: 0 done; 1 refused, with the reason; 69 no service is running on the folder.`,
    )
    .action(async (milliseconds: number, { data, json }: { data: string; json?: true }) => {
      const control = connectControl({ socket: join(data, 'boundary', 'control.sock') })
      try {
        const { lifecycleNow } = await control.advanceClock(milliseconds)
        const now = new Date(lifecycleNow).toISOString()
        process.stdout.write(`${json === true ? JSON.stringify({ lifecycleNow: now }) : now}\n`)
      } catch (error) {
        if (!(error instanceof BoundaryError)) throw error
        const away = error.code === 'Unavailable'
        process.exitCode = away ? EXIT_UNAVAILABLE : EXIT_REFUSED
        const why = away ? `no service answers on ${data} (${error.detail})` : error.message
        process.stderr.write(`holdfast: ${why}\n`)
      } finally {
        control.close()
      }
    })
}
