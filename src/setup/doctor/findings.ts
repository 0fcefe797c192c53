/**
 * All that `holdfast doctor` can find, as data: what is looked at, how bad it is, and what to do. The test walks this table and provokes each of them.
 * `{name}` in an advice is filled in by the check.
 */

export type Level =
  /** As it should be. */
  | 'ok'
  /** Worth knowing; nothing is wrong. */
  | 'note'
  /** Works, and will hurt one day, or protects less than it could. */
  | 'warning'
  /** Broken, or unsafe. */
  | 'problem'

interface Kind {
  readonly check: string
  readonly level: Level
  readonly advice: string
}

const ok = (check: string): Kind => ({ check, level: 'ok', advice: '' })
const note = (check: string, advice: string): Kind => ({ check, level: 'note', advice })
const warning = (check: string, advice: string): Kind => ({ check, level: 'warning', advice })
const problem = (check: string, advice: string): Kind => ({ check, level: 'problem', advice })

const RESTORE =
  'Keep the folder as it is; docs/lost-root.md says what is left, and how it is put back: holdfast restore root'
const BACK_UP = 'Back it up: holdfast backup {backup} --data {data} --recipient age1…'

export const FINDINGS = {
  'service-running': ok('service'),
  'service-stopped': note('service', 'Start it: holdfast {service} --config {config}'),
  'service-locked': warning('service', 'Unlock it: holdfast unlock --data {data}'),
  'service-dev': note('service', 'Never for real keys. For those make another folder: holdfast init {service} DIR'),
  'config-good': ok('configuration'),
  'config-none': note(
    'configuration',
    'Certificates, users and limits were not looked at: holdfast doctor --config FILE',
  ),
  'config-wrong': problem('configuration', 'See every problem: holdfast check-config {config}'),
  'folder-closed': ok('permissions'),
  'folder-missing': problem('permissions', 'Name another with --data, or start the service, which makes it.'),
  'folder-open': problem('permissions', 'chmod {mode} {path}'),
  'folder-owner': problem('permissions', 'chown -R {owner} {path}'),
  'secret-open': problem('permissions', 'chmod 0600 {path}'),
  'socket-open': problem('permissions', 'chmod {mode} {path}'),
  'users-two': ok('isolation'),
  'users-one': warning(
    'isolation',
    'Set boundary.users.frontEnd and boundary.users.boundary to two users of their own, and start it as root.',
  ),
  'process-closed': ok('isolation'),
  'process-traceable': problem('isolation', 'Start it with holdfast {service} on a kernel that lets it close itself.'),
  'process-core': problem('isolation', 'Switch core files off for it: ulimit -c 0, or LimitCORE=0 in its unit.'),
  'process-warning': warning('isolation', 'See docs/threat-model.md.'),
  'swap-none': ok('isolation'),
  'swap-open': warning('isolation', 'MemorySwapMax=0 in its unit, or: swapoff -a'),
  'clock-synchronised': ok('clock'),
  'clock-free': warning('clock', 'Let something discipline it: timedatectl set-ntp true'),
  'clock-unknown': note('clock', 'Look at it yourself: timedatectl'),
  'clock-behind': problem('clock', 'Set the clock, then start the service: timedatectl set-ntp true'),
  'space-enough': ok('disk'),
  'space-near': warning('disk', 'Make room on {path}, or a larger file system: df -h {path}'),
  'space-floor': problem('disk', 'Uses are refused until there is room on {path}: df -h {path}'),
  'space-reserve': warning('disk', 'Make room on {path}; it is made again by itself: df -h {path}'),
  'inodes-few': warning('disk', 'Remove files from {path}, or make a file system with more inodes: df -i {path}'),
  'file-system-good': ok('disk'),
  'file-system-network': warning('disk', 'Move the data folder to a local file system.'),
  'file-system-memory': warning('disk', 'All of it is gone with the next start of the machine: move it to a disk.'),
  'file-system-refuses': problem('disk', 'Move the data folder to a local file system that this user may write to.'),
  'entropy-ready': ok('entropy'),
  'entropy-low': warning(
    'entropy',
    'Give the machine a source: apt-get install rng-tools5, or virtio-rng for a guest.',
  ),
  'certificate-good': ok('certificates'),
  'certificate-unreadable': problem('certificates', 'See every problem: holdfast check-config {config}'),
  'certificate-soon': warning(
    'certificates',
    'Renew it, and put the new one in its place; the service reads it by itself.',
  ),
  'certificate-ended': problem(
    'certificates',
    'Renew it, and put the new one in its place; the service reads it by itself.',
  ),
  'certificate-early': problem('certificates', 'Look at the clock, or wait: timedatectl'),
  'certificate-key': problem('certificates', 'Put the key of this very certificate into {keyFile}.'),
  'certificate-chain': problem(
    'certificates',
    'Put into {path} the certificate first, then the one that issued it, and so on.',
  ),
  'certificate-name': problem('certificates', 'Have one issued for {name}.'),
  'client-root-ended': problem('certificates', 'Put the new roots of the clients into {path}.'),
  'root-opens': ok('root'),
  'root-open': ok('root'),
  'root-asked': note('root', '{how}'),
  'root-missing': problem('root', RESTORE),
  'root-newer': problem('root', 'Start it with the version that has written it, or a later one.'),
  'root-damaged': problem('root', RESTORE),
  'root-wrong': problem('root', 'Give boundary.root the file, or the token, that this folder was made with.'),
  'root-kind': problem('root', 'Write boundary.root.kind: {kind} into {config}'),
  'root-beside': warning(
    'root',
    'Whoever copies the folder has both: move {path} elsewhere, and change boundary.root.file.',
  ),
  'root-rotating': note(
    'root',
    'It goes on by itself, and until its end what was deleted opens in old copies; see how far it is: holdfast root status --data {data}',
  ),
  'root-rotation-rests': note('root', 'It goes on by itself when the service has started and is unlocked.'),
  'root-rotation-stuck': warning(
    'root',
    'Put that right; it is tried again by itself: holdfast root status --data {data}',
  ),
  'root-destroyed': note(
    'root',
    'Destroy every copy of {path} from before, and make a new one and a full backup: holdfast root save FILE --data {data}',
  ),
  'log-verified': ok('log'),
  'log-newest': ok('log'),
  'log-empty': note('log', 'Nothing: the first record comes with the first start.'),
  'log-newer': problem('log', 'Look at it with the version that has written it, or a later one.'),
  'log-bad': problem('log', 'Keep the folder as it is, and see where: holdfast log verify {data}'),
  'backup-unknown': note('backup', `Say where they are: holdfast doctor --data {data} --backup DIR. ${BACK_UP}`),
  'backup-fresh': ok('backup'),
  'backup-old': warning('backup', BACK_UP),
  'backup-none': problem('backup', BACK_UP),
  'backup-damaged': problem('backup', BACK_UP),
  'backup-other': problem(
    'backup',
    'Name the folder of this one with --backup, or begin one: holdfast backup DIR --data {data} --recipient age1…',
  ),
  'files-enough': ok('limits'),
  'files-few': warning('limits', 'ulimit -n {least}, or LimitNOFILE={least} in its unit'),
  'node-good': ok('program'),
  'node-old': problem('program', 'Start it with bin/holdfast, which has its own Node.'),
  'system-other': warning('program', 'Run it on Linux, where the boundary closes itself to debuggers and core files.'),
} as const satisfies Readonly<Record<string, Kind>>

export type FindingName = keyof typeof FINDINGS

export interface Finding {
  readonly name: FindingName
  readonly check: string
  readonly level: Level
  /** What was seen, with units. */
  readonly seen: string
  /** What to do, where there is something to do; a command as it is typed, where one does it. */
  readonly advice: string
}

/** Throws RangeError where the advice wants a value that is not given. */
export function finding(name: FindingName, seen: string, values: Readonly<Record<string, string>> = {}): Finding {
  const { check, level, advice } = FINDINGS[name]
  const filled = advice.replace(/\{(\w+)\}/g, (_, key: string) => {
    const value = values[key]
    if (value === undefined) throw new RangeError(`${name} wants ${key}`)
    return value
  })
  return { name, check, level, seen, advice: filled }
}
