/** Who may read and write what: folders, secrets, sockets. */
import { type Stats, statSync } from 'node:fs'
import { join } from 'node:path'
import { ADMIN_SOCKET, filesIn } from '../../boundary/service/folder.ts'
import { serviceFolders } from '../../config/folders.ts'
import { secretFiles } from './configured.ts'
import { type Finding, finding } from './findings.ts'
import type { Subject } from './subject.ts'

const octal = (mode: number): string => (mode & 0o7777).toString(8).padStart(4, '0')

function look(path: string): Stats | undefined {
  try {
    return statSync(path)
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined
    throw error
  }
}

export function checkPermissions(subject: Subject): Finding[] {
  const { data, boundary } = subject
  const folder = look(boundary)
  if (folder === undefined) return [finding('folder-missing', `there is no ${boundary}`)]
  // With two users its group may pass through to the sockets, and nobody else does anything.
  const shared = (folder.mode & 0o2000) !== 0
  const findings = [
    ...open('folder-open', data, 0o755, 'others may write to it'),
    ...open('folder-open', boundary, shared ? 0o2710 : 0o700, 'is open to others'),
    ...open('folder-open', serviceFolders(data).frontEnd, 0o700, 'is open to others'),
    ...open('folder-open', filesIn(boundary).journal, 0o755, 'others may write to it'),
    ...owners(subject, folder),
    ...secretFiles(subject).flatMap(path => open('secret-open', path, 0o600, 'holds a secret and is open to others')),
    ...open('socket-open', filesIn(boundary).controlSocket, 0o600, 'lets others administer it'),
    ...open('socket-open', filesIn(boundary).useSocket, shared ? 0o660 : 0o600, 'lets others use keys'),
    ...open('socket-open', join(serviceFolders(data).admin, ADMIN_SOCKET), shared ? 0o660 : 0o600, 'is open to others'),
  ]
  return findings.length > 0
    ? findings
    : [finding('folder-closed', `${boundary} is its user's alone (mode ${octal(folder.mode)})`)]
}

/** Where it lets others do more than `mode` says. */
function open(
  name: 'folder-open' | 'secret-open' | 'socket-open',
  path: string,
  mode: number,
  what: string,
): Finding[] {
  const found = look(path)
  if (found === undefined || (found.mode & 0o777 & ~mode) === 0) return []
  const seen = `${path} ${what.startsWith('others') ? `has mode ${octal(found.mode)}: ${what}` : `${what} (mode ${octal(found.mode)})`}`
  return [finding(name, seen, { path, mode: octal(mode) })]
}

/** All that the boundary made is its user's, or it could not write it, or somebody else can. */
function owners({ boundary }: Subject, folder: Stats): Finding[] {
  const { root, journal } = filesIn(boundary)
  return [root, journal, join(boundary, 'checkpoint')].flatMap(path => {
    const found = look(path)
    if (found === undefined || found.uid === folder.uid) return []
    const seen = `${path} belongs to uid ${found.uid}, and its folder to uid ${folder.uid}`
    return [finding('folder-owner', seen, { owner: String(folder.uid), path: boundary })]
  })
}
