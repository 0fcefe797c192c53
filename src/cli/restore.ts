/** `holdfast restore`: a backup and a root make a service's folder again. Accepting an older state: accept-older.ts. */
import { type Command, InvalidArgumentError } from 'commander'
import { openIdentities } from '../backup/age.ts'
import { type RestoreResult, restore } from '../backup/restore.ts'
import { restoreRoot } from '../backup/restore-root.ts'
import { registerAcceptOlder } from './accept-older.ts'
import { collect, EXIT_HELP, guarded, number, type Progress } from './backup-tools.ts'

interface RestoreFlags {
  readonly identity: readonly string[]
  readonly root?: string
  readonly data?: string
  readonly at?: number
  readonly intoExisting?: true
  readonly json?: true
}

/** Adds `holdfast restore`. */
export function registerRestore(program: Command): void {
  const command = program
    .command('restore')
    .description('put a backup back: onto an empty machine, or beside a root whose journal is lost')
    .argument('[from]', 'folder of backups, a full backup’s file, or - for standard input')
    .option('--identity <file>', 'a file of age identities; may be given several times', collect, [])
    .option('--root <file>', 'the root kit of holdfast root save, or the root file')
    .option('--data <dir>', 'data folder to make; it must be empty or missing')
    .option('--at <number>', 'the state after this file of a folder of backups, instead of the newest', fileNumber)
    .option('--into-existing', 'into a data folder that has lost its journal and may have its root')
    .option('--json', 'what was put back, as JSON')
    .addHelpText(
      'after',
      `
Everything is decrypted, checked against the root and the boundary’s signature, and verified once more from the disk, before anything is put into its place.
What is there is never written over. A start refuses an older state than the boundary has had; accept-older is the ceremony for it.

Examples:
  holdfast restore /mnt/backups/kms --identity backup-identity.txt --root kms.kit --data /var/lib/holdfast-kms
  ssh backups cat kms.age | holdfast restore - --identity backup-identity.txt --root kms.kit --data /var/lib/holdfast-kms
  holdfast restore accept-older --data /var/lib/holdfast-kms --config /etc/holdfast/kms.yaml

${EXIT_HELP}`,
    )
    .action((from: string | undefined, flags: RestoreFlags) => {
      const { data } = flags
      if (from === undefined || data === undefined || flags.identity.length === 0)
        return command.error('holdfast restore: name the backup, --identity and --data (holdfast restore --help)')
      return guarded(progress => putBack(from, data, flags, progress))
    })
  command
    .command('root')
    .description('put back a root file that was lost beside its journal')
    .argument('<kit>', 'the root kit of holdfast root save, or a copy of the root file')
    .requiredOption('--data <dir>', 'data folder of the service, which must be stopped')
    .option('--json', 'what was put back, as JSON')
    .addHelpText('after', `\nExample:\n  holdfast restore root kms.kit --data /var/lib/holdfast-kms\n\n${EXIT_HELP}`)
    .action((kit: string, flags: { data: string; json?: true }) =>
      guarded(async () => {
        const done = await restoreRoot(kit, flags.data)
        const { file, records, logKey } = done
        if (flags.json === true) process.stdout.write(`${JSON.stringify(done)}\n`)
        else
          process.stdout.write(
            `put back  ${file}, of the boundary whose log has ${number.format(records)} records\nlog       ${logKey}\n`,
          )
      }),
    )
  registerAcceptOlder(command)
}

function fileNumber(text: string): number {
  if (!/^[1-9]\d{0,5}$/.test(text)) throw new InvalidArgumentError('Write the number of a file, as its name begins.')
  return Number(text)
}

async function putBack(from: string, data: string, flags: RestoreFlags, progress: Progress): Promise<void> {
  const result = await restore({
    from,
    at: flags.at,
    decrypter: openIdentities(flags.identity),
    root: flags.root,
    data,
    intoExisting: flags.intoExisting === true,
    onProgress: progress.on,
  })
  progress.end()
  process.stdout.write(flags.json === true ? `${JSON.stringify(result)}\n` : resultText(result))
}

function resultText(result: RestoreResult): string {
  const { data, records, root, rows, until, newer, storeWasAt, configuration } = result
  const lines = [
    `put back  ${data}: ${number.format(records)} records, root ${root}`,
    `          ${number.format(rows)} rows of the store; the start makes the rest out of the journal`,
    `until     ${until}: what was acknowledged later is not in it`,
    `log       ${result.logKey}`,
  ]
  if (configuration !== undefined) lines.push(`config    ${configuration}, as it was backed up`)
  if (storeWasAt !== undefined)
    lines.push(
      `missing   the store that lay here had write set ${number.format(storeWasAt)}, and the backup ends with ${number.format(result.lastWriteSet)}: what lies between is lost.`,
      '          The old store is kept beside the new one as store.db.replaced',
    )
  if (newer !== undefined)
    lines.push(
      `older     this boundary has had ${number.format(newer.records)} records (${newer.where}): the start will be refused until the older state is accepted.`,
      '          Put a newer backup back if there is one',
    )
  lines.push('', 'Next:', ...nextSteps(result).map((step, index) => `  ${index + 1}. ${step}`), '')
  return lines.join('\n')
}

function nextSteps({ data, service, dev, rootKind, newer }: RestoreResult): string[] {
  const asRoot = process.geteuid?.() === 0
  const config = dev ? '' : ' --config FILE'
  return [
    ...(asRoot
      ? [
          `if the service runs as one user that is not root: chown -R USER ${data}; if it runs as two: chmod 711 ${data}, and its start as root gives the folders away`,
        ]
      : []),
    rootKind === 'keyfile'
      ? 'put the key file where the configuration names it, mode 0600'
      : rootKind === 'passphrase'
        ? 'have the passphrase ready: holdfast unlock asks for it'
        : rootKind === 'shares'
          ? 'have the holders of the shares ready: holdfast unlock asks for them, one after another'
          : 'connect the token that the configuration names',
    ...(newer === undefined ? [] : [`holdfast restore accept-older --data ${data}${config}`]),
    dev ? `holdfast ${service} --dev --data ${data}` : `holdfast ${service} --config FILE`,
    'go on with backups: the same folder will do',
  ]
}
