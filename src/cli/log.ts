/** `holdfast log`: what outsiders and operators do with a service's log. It reads the files in its folder and needs neither the service nor a secret. */
import { readFileSync, writeFileSync } from 'node:fs'
import { type Command, InvalidArgumentError } from 'commander'
import { erasedText } from '../log/erased.ts'
import { folderOf } from '../log/folder.ts'
import { parseVerifier } from '../log/note.ts'
import { checkProof, makeProof } from '../log/proof-file.ts'
import { readLog } from '../log/read.ts'
import { type VerifyReport, verifyFolder } from '../log/verify.ts'
import { registerArchive } from './log-archive.ts'
import { type EntryFilter, entryJson, entryLine, matches, readSince, type ShownEntry, shown } from './log-entry.ts'
import { guarded } from './log-failures.ts'

const EXIT = { bad: 1 } as const
const PROGRESS_EVERY_MS = 200

const DIR = 'data folder of the service, running or not; may be left out with --archive'
const ARCHIVE = 'folder of an archive, for entries that the journal no longer has'

interface VerifyCommand {
  readonly key?: string
  readonly archive?: string
  readonly json?: true
}

interface ProveCommand {
  readonly entry: number
  readonly archive?: string
  readonly out?: string
  readonly withoutRecord?: true
}

/** Adds `holdfast log`. */
export function registerLog(program: Command): void {
  const log = program.command('log').description('verify, read and prove the log of a service, from its files alone')
  log
    .command('verify')
    .description('recompute everything from the bytes, and name the first thing that is wrong')
    .argument('[dir]', DIR)
    .option('--archive <dir>', ARCHIVE)
    .option('--key <vkey>', 'the log’s verifier key, from somewhere else than the folder')
    .option('--json', 'the report as JSON')
    .addHelpText(
      'after',
      `
Example:
  holdfast log verify /var/lib/holdfast-kms --key kms.example.com/log+0a1b2c3d+AbCd…
  holdfast log verify /var/lib/holdfast-kms --archive /mnt/archive
  holdfast log verify --archive /mnt/archive --key kms.example.com/log+0a1b2c3d+AbCd…

Of entries whose records were erased, the leaves are checked; with --archive, the records too.
Without --key the signature is checked with the key that the folder itself names: that shows damage, not that somebody made the whole folder anew.
Exit codes: 0 everything is right; 1 something is not, or the folder cannot be read.`,
    )
    .action((dir: string | undefined, options: VerifyCommand) => guarded(() => verify(dir, options)))
  log
    .command('show')
    .description('print entries, oldest first')
    .argument('[dir]', DIR)
    .option('--archive <dir>', ARCHIVE)
    .option('--follow', 'go on with what is appended, until Ctrl-C')
    .option('--key <id>', 'only of keys whose id contains this')
    .option('--principal <arn>', 'only of principals whose ARN contains this')
    .option('--outcome <outcome>', 'only allowed, denied or failed')
    .option('--operation <name>', 'only this operation, as the API or the boundary names it')
    .option('--since <time>', 'only from this time on: 2026-01-31T12:00Z, or 15m, 12h, 3d ago', since)
    .option('--json', 'one JSON object a line')
    .addHelpText(
      'after',
      `
Example:
  holdfast log show /var/lib/holdfast-kms --outcome denied --since 1d --follow`,
    )
    .action((dir: string | undefined, options: ShowOptions) => guarded(() => show(dir, options)))
  log
    .command('prove')
    .description('write a proof that an entry is in the log, for whoever has the verifier key')
    .argument('[dir]', DIR)
    .option('--archive <dir>', ARCHIVE)
    .requiredOption('--entry <n>', 'number of the entry, from 0', entryNumber)
    .option('--out <file>', 'where to write it; else standard output')
    .option('--without-record', 'leave out what the entry says, so that the proof tells only that there is one')
    .addHelpText(
      'after',
      `
Example:
  holdfast log prove /var/lib/holdfast-kms --entry 42 --out entry-42.tlog-proof

Of an entry whose record was erased there is a proof with --archive DIR, or one --without-record.`,
    )
    .action((dir: string | undefined, options: ProveCommand) =>
      guarded(async () => {
        const { entry, archive, withoutRecord } = options
        const proof = await makeProof(folderOf(dir, archive), entry, withoutRecord !== true, archive)
        if (options.out === undefined) process.stdout.write(proof)
        else writeFileSync(options.out, proof, { mode: 0o600 })
      }),
    )
  log
    .command('check-proof')
    .description('check a proof against a verifier key, and nothing else')
    .argument('<file>', 'the proof; - for standard input')
    .requiredOption('--key <vkey>', 'the log’s verifier key')
    .option('--json', 'what is proven as JSON')
    .addHelpText('after', '\nExit codes: 0 proven; 1 not.')
    .action((file: string, options: { key: string; json?: true }) => guarded(async () => prove(file, options)))
  registerArchive(log)
}

function entryNumber(text: string): number {
  if (!/^(0|[1-9]\d{0,15})$/.test(text)) throw new InvalidArgumentError('Write the number of an entry, from 0.')
  return Number(text)
}

function since(text: string): number {
  const time = readSince(text, Date.now())
  if (time === undefined)
    throw new InvalidArgumentError('Write a time (2026-01-31T12:00Z) or how long ago (15m, 12h, 3d).')
  return time
}

const number = new Intl.NumberFormat('en')

async function verify(dir: string | undefined, options: VerifyCommand): Promise<void> {
  if (options.key !== undefined) parseVerifier(options.key)
  const terminal = process.stderr.isTTY === true
  let drawn = 0
  const report = await verifyFolder(folderOf(dir, options.archive), {
    ...(options.key === undefined ? {} : { vkey: options.key }),
    ...(dir === undefined || options.archive === undefined ? {} : { archive: options.archive }),
    onProgress: ({ bytes, total, entries }) => {
      const now = performance.now()
      if (!terminal || now - drawn < PROGRESS_EVERY_MS) return
      drawn = now
      const percent = total === 0 ? 100 : Math.floor((bytes / total) * 100)
      process.stderr.write(`\r${String(percent).padStart(3)} %  ${number.format(entries)} entries`)
    },
  })
  if (terminal && drawn > 0) process.stderr.write('\r\x1b[K')
  process.stdout.write(options.json === true ? `${JSON.stringify(reportJson(report))}\n` : reportText(report))
  if (report.bad !== undefined) process.exitCode = EXIT.bad
}

function reportJson({ bad, checkpoint, root, ...report }: VerifyReport): object {
  const { file, offset, seq, what } = bad ?? {}
  return {
    good: bad === undefined,
    ...(bad === undefined ? {} : { bad: { file, offset, entry: seq, what } }),
    ...report,
    root: root.toString('base64'),
    ...(checkpoint === undefined ? {} : { checkpoint: { ...checkpoint, root: checkpoint.root.toString('base64') } }),
  }
}

function reportText(report: VerifyReport): string {
  const { bad, checkpoint, signature } = report
  if (bad !== undefined) {
    const before = `${number.format(report.entries)} entries before it are as they were written.`
    return `BAD  ${bad.what}\n     ${bad.file}, byte ${bad.offset}, entry ${bad.seq}\n     ${before}\n`
  }
  const lines = [
    `good  ${number.format(report.entries)} entries in ${report.segments} segments, ${number.format(report.tiles)} tiles`,
  ]
  if (report.entries > 0)
    lines.push(`from  ${new Date(report.firstTime).toISOString()} to ${new Date(report.lastTime).toISOString()}`)
  if (checkpoint === undefined) lines.push('signed  nothing yet: there is no checkpoint')
  else {
    lines.push(`signed  ${number.format(checkpoint.size)} entries, root ${checkpoint.root.toString('base64')}`)
    lines.push(
      signature === undefined
        ? 'key   none was given, and the folder’s own cannot be read: the signature was not checked'
        : signature.pinned
          ? `key   ${signature.vkey}`
          : `key   ${signature.vkey}\n      is the folder’s own word; keep it elsewhere, and give it as --key`,
    )
  }
  if (report.archived > 0) lines.push(`archived  ${number.format(report.archived)} of them were read from the archive`)
  if (report.erased > 0)
    lines.push(
      `erased  of ${number.format(report.erased)} the records are not here: their leaves and the tree were checked`,
    )
  if (report.unfinishedBytes > 0)
    lines.push(`tail  ${report.unfinishedBytes} bytes of a batch that is not finished; nothing in it was answered`)
  return `${lines.join('\n')}\n`
}

interface ShowOptions extends EntryFilter {
  readonly follow?: true
  readonly archive?: string
  readonly json?: true
}

async function show(dir: string | undefined, options: ShowOptions): Promise<void> {
  const folder = folderOf(dir, options.archive)
  const archive = dir === undefined ? undefined : options.archive
  const missing: (readonly [from: number, to: number])[] = []
  const stop = new AbortController()
  const ended = () => stop.abort()
  process.once('SIGINT', ended)
  process.once('SIGTERM', ended)
  process.stdout.on('error', ended)
  try {
    const follow = options.follow === true
    const onErased = (from: number, to: number): void => {
      missing.push([from, to])
    }
    const reading = { follow, signal: stop.signal, onErased, ...(archive === undefined ? {} : { archive }) }
    for await (const entry of readLog(folder, reading)) {
      // What is asked for from a time on that is later than all of them is not missed.
      for (const range of missing.splice(0))
        if (options.since === undefined || options.since < entry.time) await sayErased(folder, range)

      if (stop.signal.aborted) return
      if (options.since !== undefined && entry.time < options.since) continue
      const one: ShownEntry = shown(entry.seq, entry.time, entry.record)
      if (!matches(one, options)) continue
      const line = options.json === true ? JSON.stringify(entryJson(one)) : entryLine(one)
      if (!process.stdout.write(`${line}\n`)) await drained(stop.signal)
    }
  } finally {
    process.off('SIGINT', ended)
    process.off('SIGTERM', ended)
  }
}

/** On stderr: what is printed stays what there is. */
async function sayErased(folder: string, [from, to]: readonly [number, number]): Promise<void> {
  process.stderr.write(`holdfast: entries ${from} to ${to - 1}: ${await erasedText(folder, to - 1)}\n`)
}

function drained(signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    process.stdout.once('drain', resolve)
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

async function prove(file: string, options: { key: string; json?: true }): Promise<void> {
  const checked = checkProof(readFileSync(file === '-' ? 0 : file), [parseVerifier(options.key)])
  const { index, time, record, checkpoint } = checked
  const one = record === undefined ? undefined : shown(index, time, record)
  if (options.json === true) {
    const entry = one === undefined ? { entry: index, time: new Date(time).toISOString() } : entryJson(one)
    const signed = { ...checkpoint, root: checkpoint.root.toString('base64') }
    process.stdout.write(`${JSON.stringify({ proven: true, entry, checkpoint: signed })}\n`)
    return
  }
  process.stdout.write(`proven  entry ${index} of ${checkpoint.size} is in the log of ${checkpoint.origin}\n`)
  process.stdout.write(`        ${one === undefined ? new Date(time).toISOString() : entryLine(one)}\n`)
}
