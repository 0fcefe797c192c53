/** `holdfast log archive` and `holdfast log erase`: closed segments of the journal are copied elsewhere, and old ones are erased by the boundary. */
import { join } from 'node:path'
import type { Command } from 'commander'
import type { Erasing } from '../boundary/client/api.ts'
import { type ControlConnection, connectControl } from '../boundary/client/control.ts'
import { BoundaryError } from '../boundary/words.ts'
import { archiveLog } from '../log/archive.ts'
import { checkArchived } from '../log/archive-check.ts'
import { endOf } from '../log/archive-index.ts'
import { guarded } from './log-failures.ts'

const EXIT = { refused: 1, unavailable: 69 } as const
const PROGRESS_EVERY_MS = 200
const number = new Intl.NumberFormat('en')

interface ArchiveCommand {
  readonly data: string
  readonly key?: string
  readonly json?: true
}

interface EraseCommand {
  readonly data: string
  readonly archive?: string
  readonly withoutArchive?: true
  readonly dryRun?: true
  readonly json?: true
}

/** Adds `holdfast log archive` and `holdfast log erase`. */
export function registerArchive(log: Command): void {
  log
    .command('archive')
    .description('copy closed segments into an archive, checked against the signed tree before and after')
    .argument('<dir>', 'folder of the archive; made where there is none')
    .requiredOption('--data <dir>', 'data folder of the service, running or not')
    .option('--key <vkey>', 'the log’s verifier key, from somewhere else than the folder')
    .option('--json', 'what was copied as JSON')
    .addHelpText(
      'after',
      `
Copies the segments that the archive lacks, except the one that is being written, with the tiles and the checkpoint that cover them.
It reads the boundary’s folder, so it runs as the boundary’s user or as root.

Examples:
  holdfast log archive /mnt/archive --data /var/lib/holdfast-kms
  holdfast log verify --archive /mnt/archive
  holdfast log show --archive /mnt/archive --since 2026-01-01

Exit codes: 0 the archive is up to date; 1 something is wrong, and nothing that it had has changed.`,
    )
    .action((dir: string, options: ArchiveCommand) => guarded(() => archive(dir, options)))
  log
    .command('erase')
    .description('erase segments of which every record is older than the retention rule says')
    .requiredOption('--data <dir>', 'data folder of the service, which must be running')
    .option('--archive <dir>', 'the archive that has them: each is compared first, byte for byte by its hash')
    .option('--without-archive', 'erase records of which there is no archive: they are gone for ever')
    .option('--dry-run', 'say what would go, and erase nothing')
    .option('--json', 'what was erased as JSON')
    .addHelpText(
      'after',
      `
The rule is log.retention.days in the service’s configuration; without it nothing is erased. The boundary keeps to it, whatever is asked.
What is erased is what the records say. Their leaves stay, and with them the tree, every checkpoint and every proof without a record.

Examples:
  holdfast log erase --data /var/lib/holdfast-kms --archive /mnt/archive --dry-run
  holdfast log archive /mnt/archive --data /var/lib/holdfast-kms
  holdfast log erase --data /var/lib/holdfast-kms --archive /mnt/archive

Exit codes: 0 erased, or there was nothing to erase; 1 refused, with the reason; 69 no service is running on the folder, or it is locked.`,
    )
    .action((options: EraseCommand, command: Command) => {
      if ((options.archive === undefined) === (options.withoutArchive === undefined))
        command.error('holdfast log erase: give --archive DIR, or --without-archive (holdfast log erase --help)')
      return guarded(() => asking(options, control => erase(control, options)))
    })
}

async function archive(dir: string, options: ArchiveCommand): Promise<void> {
  const { onProgress, end } = progress('archived and checked')
  const { index, copied, entries, bytes, size } = await archiveLog(join(options.data, 'boundary'), dir, {
    ...(options.key === undefined ? {} : { vkey: options.key }),
    onProgress,
  })
  end()
  const { base } = index
  const { seq } = endOf(index)
  if (options.json === true) {
    const report = {
      copied: { segments: copied, entries, bytes },
      first: base.seq,
      entries: seq - base.seq,
      signed: size,
    }
    process.stdout.write(`${JSON.stringify(report)}\n`)
    return
  }
  const what = copied === 0 ? 'nothing new' : `${number.format(copied)} segments, ${number.format(entries)} entries`
  const has = seq === base.seq ? 'no segment is closed yet' : `entries ${base.seq} to ${seq - 1} are there`
  process.stdout.write(`archived  ${what}; ${has}, under a checkpoint of ${number.format(size)}\n`)
}

/** Draws on a terminal only. */
function progress(what: string) {
  const terminal = process.stderr.isTTY === true
  let drawn = 0
  return {
    onProgress: ({ bytes, total }: { readonly bytes: number; readonly total: number }): void => {
      const now = performance.now()
      if (!terminal || now - drawn < PROGRESS_EVERY_MS) return
      drawn = now
      const percent = total === 0 ? 100 : Math.floor((bytes / total) * 100)
      process.stderr.write(`\r${String(percent).padStart(3)} %  ${what}`)
    },
    end: (): void => {
      if (drawn > 0) process.stderr.write('\r\x1b[K')
    },
  }
}

/** Connects, and says in a line what the boundary refuses. */
async function asking({ data }: EraseCommand, what: (control: ControlConnection) => Promise<void>): Promise<void> {
  const control = connectControl({ socket: join(data, 'boundary', 'control.sock') })
  try {
    await what(control)
  } catch (error) {
    if (!(error instanceof BoundaryError)) throw error
    const away = error.code === 'Unavailable' || error.code === 'Locked'
    process.exitCode = away ? EXIT.unavailable : EXIT.refused
    const why = {
      Unavailable: `no service answers on ${data} (${error.detail}): erasing is the boundary’s, start it`,
      Locked: `the boundary is locked: holdfast unlock --data ${data}`,
    }[error.code as string]
    process.stderr.write(`holdfast: ${why ?? error.detail}\n`)
  } finally {
    control.close()
  }
}

async function erase(control: ControlConnection, options: EraseCommand): Promise<void> {
  const would = await control.eraseSegments({ firstToKeep: 0, expected: 0, dryRun: true })
  if (would.segments === 0) return say(options, would, false)
  if (options.archive !== undefined) {
    const { onProgress, end } = progress('compared with the archive')
    await checkArchived(join(options.data, 'boundary'), options.archive, would.begins, would.firstToKeep, onProgress)
    end()
  }
  if (options.dryRun === true) return say(options, would, false)
  if (would.rows > 0)
    process.stderr.write(`holdfast: ${number.format(would.rows)} rows that stand there are written again first\n`)
  const { firstToKeep, begins } = would
  say(options, await control.eraseSegments({ firstToKeep, expected: begins, dryRun: false }), true)
}

function say(options: EraseCommand, { days, begins, firstToKeep, segments, rows }: Erasing, done: boolean): void {
  if (options.json === true) {
    const range = segments === 0 ? {} : { first: begins, last: firstToKeep - 1 }
    process.stdout.write(
      `${JSON.stringify({ erased: done, days, segments, entries: firstToKeep - begins, ...range, rows })}\n`,
    )
    return
  }
  if (segments === 0) {
    process.stdout.write(`nothing  no closed segment has only records that are older than ${days} days\n`)
    return
  }
  const what = `entries ${begins} to ${firstToKeep - 1} in ${number.format(segments)} segments`
  const would = `${what} would go; ${number.format(rows)} rows that stand there would be written again first`
  process.stdout.write(done ? `erased  ${what}\n` : `dry run  ${would}\n`)
}
