/**
 * The boundary's folder: made at the first start, closed to everyone else, and refused where it is not.
 */
import fs from 'node:fs'
import path from 'node:path'
import { type BoundaryConfig, EXIT_CODES } from '../config.ts'
import { StartRefused } from './lock.ts'

export interface FolderFiles {
  readonly root: string
  readonly useSocket: string
  readonly controlSocket: string
  readonly journal: string
}

export const ADMIN_SOCKET = 'admin.sock'

export const filesIn = (folder: string): FolderFiles => ({
  root: path.join(folder, 'root'),
  useSocket: path.join(folder, 'use.sock'),
  controlSocket: path.join(folder, 'control.sock'),
  journal: path.join(folder, 'journal'),
})

/**
 * Mode of the folder. With two users the front end's group may pass through to `use.sock`, and through nothing else: it can neither list the folder nor
 * open what lies in it.
 */
export const folderMode = (config: Pick<BoundaryConfig, 'users'>): number =>
  config.users === undefined ? 0o700 : 0o2710

/** Makes the folder, or checks that it is this user's and closed to others. Throws `StartRefused` with what to change. */
export function prepareFolder(config: BoundaryConfig): FolderFiles {
  prepare(config.folder, folderMode(config))
  return filesIn(config.folder)
}

/** The same for the folder of the admin API's socket. Returns the socket's path. */
export function prepareAdmin(config: BoundaryConfig): string | undefined {
  if (config.admin === undefined) return undefined
  prepare(config.admin.folder, folderMode(config))
  return path.join(config.admin.folder, ADMIN_SOCKET)
}

function prepare(folder: string, mode: number): void {
  const refused = (message: string) => new StartRefused(EXIT_CODES.refused, message)
  try {
    // Made here, its group is that of the folder above where that one hands it down, and this user's own else.
    if (fs.mkdirSync(folder, { recursive: true, mode: 0o700 }) !== undefined) fs.chmodSync(folder, mode)
  } catch (error) {
    throw refused(`${folder} cannot be made: ${(error as NodeJS.ErrnoException).code ?? 'unknown error'}`)
  }
  const stat = fs.lstatSync(folder)
  if (!stat.isDirectory()) throw refused(`${folder} is not a folder`)
  const uid = process.geteuid?.()
  if (uid !== undefined && stat.uid !== uid) throw refused(`${folder} belongs to another user: chown it to uid ${uid}`)
  const open = stat.mode & 0o777 & ~mode
  if (open !== 0) throw refused(`${folder} is open to others: chmod ${(mode & 0o777).toString(8)} ${folder}`)
}
