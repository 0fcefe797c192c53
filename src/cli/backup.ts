/** `holdfast backup`: what it takes to make a service whole again but its root, encrypted, while the service runs on; and `verify`, which reads it all back. */
import type { Command } from 'commander'
import { openIdentities, openRecipients } from '../backup/age.ts'
import { type BackupResult, backUpInto, backUpTo } from '../backup/backup.ts'
import { chainsOf } from '../backup/chain.ts'
import { mustFit } from '../backup/generations.ts'
import { readGivenRoot } from '../backup/kit.ts'
import { NOWHERE, type ReadResult, readChain } from '../backup/read.ts'
import { collect, EXIT_HELP, guarded, number, type Progress, size } from './backup-tools.ts'

interface BackupFlags {
  readonly data?: string
  readonly recipient: readonly string[]
  readonly recipientsFile: readonly string[]
  readonly full?: true
  readonly config?: string
  readonly json?: true
}

interface VerifyFlags {
  readonly identity: readonly string[]
  readonly root?: string
  readonly json?: true
}

/** Adds `holdfast backup`. */
export function registerBackup(program: Command): void {
  const backup = program
    .command('backup')
    .description('back up a service, running or stopped, encrypted with age; its root stays out')
    .argument(
      '[destination]',
      'folder of backups, to which the next one is added; or - for a full one on standard output',
    )
    .option('--data <dir>', 'data folder of the service')
    .option('--recipient <age1…>', 'who can open it; may be given several times', collect, [])
    .option('--recipients-file <file>', 'a file of them, one a line', collect, [])
    .option('--full', 'a full backup, where an increment would do')
    .option('--config <file>', 'the service’s configuration, to be taken along (not the files that it names)')
    .option('--json', 'what was made, as JSON (with -, on standard error)')
    .addHelpText(
      'after',
      `
The first backup in a folder is a full one, the next ones hold what was written since. Each is checked against the boundary’s signature while it is copied, and
read back when it is written. The root of trust and the root file are left out on purpose: keep a kit of them elsewhere (holdfast root save).

Examples:
  holdfast backup /mnt/backups/kms --data /var/lib/holdfast-kms --recipient age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p
  holdfast backup - --data /var/lib/holdfast-kms --recipients-file /etc/holdfast/backup-recipients > kms.age
  holdfast backup verify /mnt/backups/kms --identity backup-identity.txt

${EXIT_HELP}`,
    )
    .action((destination: string | undefined, flags: BackupFlags, command: Command) => {
      if (destination === undefined)
        return command.error('holdfast backup: name a folder, or - (holdfast backup --help)')
      if (flags.data === undefined) return command.error('holdfast backup: give --data, the service’s data folder')
      return guarded(progress => make(destination, flags.data ?? '', flags, progress))
    })
  backup
    .command('verify')
    .description('decrypt backups, and check every byte of them against the boundary’s signature')
    .argument('<from>', 'folder of backups, a full backup’s file, or - for standard input')
    .option('--identity <file>', 'a file of age identities; may be given several times', collect, [])
    .option('--root <file>', 'root kit or root file that they must be of; else the backups’ own word is taken for it')
    .option('--json', 'what was found, as JSON')
    .addHelpText(
      'after',
      `\nExample:\n  holdfast backup verify /mnt/backups/kms --identity backup-identity.txt --root kms.kit\n\n${EXIT_HELP}`,
    )
    .action((from: string, flags: VerifyFlags, command: Command) =>
      flags.identity.length === 0
        ? command.error('holdfast backup verify: give --identity, a file that opens them')
        : guarded(progress => verify(from, flags, progress)),
    )
}

async function make(destination: string, data: string, flags: BackupFlags, progress: Progress): Promise<void> {
  const options = {
    data,
    encrypter: openRecipients(flags.recipient, flags.recipientsFile),
    full: flags.full === true,
    config: flags.config,
    onProgress: progress.on,
  }
  const result = await (destination === '-' ? backUpInto(process.stdout, options) : backUpTo(destination, options))
  progress.end()
  const told = flags.json === true ? `${JSON.stringify(result)}\n` : resultText(result)
  if (destination !== '-') process.stdout.write(told)
  else process.stderr.write(told)
}

function resultText(result: BackupResult): string {
  const { kind, reason, records, file, bytes, rows, until } = result
  const what = kind === 'full' ? 'a full backup' : `an increment, file ${result.number}`
  const why = kind === 'full' && reason !== '' && result.number > 1 ? `: ${reason}` : ''
  return [
    `made    ${what}${why}`,
    `        ${file ?? 'standard output'}, ${size(bytes)}, SHA-256 ${result.sha256}`,
    `holds   records ${number.format(records.from)} to ${number.format(records.to)}, root ${result.root}`,
    ...(kind === 'full' ? [`        ${number.format(rows)} rows of the store`] : []),
    `until   ${until}: everything that was acknowledged before is in it`,
    `log     ${result.logKey}`,
    '',
  ].join('\n')
}

async function verify(from: string, flags: VerifyFlags, progress: Progress): Promise<void> {
  const root = flags.root === undefined ? undefined : await readGivenRoot(flags.root)
  const results: ReadResult[] = []
  for (const chain of await chainsOf(from)) {
    const read = await readChain(chain, {
      decrypter: openIdentities(flags.identity),
      target: NOWHERE,
      ...(root === undefined ? {} : { logPublicKey: root.file.logPublicKey, boundaryId: root.file.boundaryId }),
      onProgress: progress.on,
    })
    results.push(read)
  }
  // Of several chains the newest is the one to put back: older ones may be of before a rotation.
  const last = results.at(-1)
  if (root !== undefined && last !== undefined) mustFit(root, last)
  progress.end()
  if (flags.json === true) process.stdout.write(`${JSON.stringify({ good: true, chains: results.map(chainJson) })}\n`)
  else process.stdout.write(results.map(result => chainText(result, root !== undefined)).join(''))
}

function chainJson({
  header,
  end,
  files,
  checkpoint,
  vkey,
  rows,
  storeUpTo,
  snapshot,
  configuration,
}: ReadResult): object {
  return {
    first: header.number - files + 1,
    last: header.number,
    boundaryId: header.boundaryId.toString('hex'),
    service: header.service,
    records: end.to.size,
    root: end.to.root.toString('hex'),
    signed: checkpoint.size,
    lastWriteSet: end.to.lastWriteSet,
    rows,
    storeUpTo,
    snapshot,
    configuration,
    until: new Date(end.until).toISOString(),
    logKey: vkey,
  }
}

function chainText({ header, end, files, checkpoint, vkey, rows }: ReadResult, isPinned: boolean): string {
  const first = header.number - files + 1
  const which = files === 1 ? `file ${first}` : `files ${first} to ${header.number}`
  return [
    `good    ${which}: ${number.format(end.to.size)} records, ${number.format(rows)} rows of the store`,
    `signed  ${number.format(checkpoint.size)} records, root ${checkpoint.root.toString('hex')}`,
    `until   ${new Date(end.until).toISOString()}`,
    `log     ${vkey}${isPinned ? '' : '\n        is the backup’s own word; --root checks it against the root'}`,
    '',
  ].join('\n')
}
