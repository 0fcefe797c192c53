/**
 * Two users: the boundary's folder is given to its user and closed to the front end's, and the other way round. Only as root, and only at start.
 */
import fs from 'node:fs'
import path from 'node:path'
import type { BoundaryConfig } from '../config.ts'
import { folderMode } from '../service/folder.ts'

/** Owner of everything below a folder. Links are not followed: they are changed themselves. */
function own(entry: string, uid: number, gid: number): void {
  fs.lchownSync(entry, uid, gid)
  if (!fs.lstatSync(entry).isDirectory()) return
  for (const name of fs.readdirSync(entry)) own(path.join(entry, name), uid, gid)
}

/**
 * Gives a folder away where it is another's. One that is its user's already is left alone: what lies in it is in that user's hands, and root would
 * follow wherever that user points.
 */
function take(folder: string, uid: number, gid: number): void {
  if (fs.lstatSync(folder).uid !== uid) own(folder, uid, gid)
}

/** Makes durable what is in a folder: the boundary's user may not open the one above its own. */
function sync(folder: string): void {
  const fd = fs.openSync(folder, 'r')
  fs.fsyncSync(fd)
  fs.closeSync(fd)
}

/** Throws an Error that says what to change where this process may not give files away or the two users are one. */
export function giveFolders(config: BoundaryConfig, frontEndFolders: readonly string[]): void {
  const { users, folder, root } = config
  if (users === undefined) return
  if (process.geteuid?.() !== 0) throw new Error('running as two users needs a start as root')
  const { boundary, frontEnd } = users
  if (boundary.uid === frontEnd.uid) throw new Error('front end and boundary are given one user: name two')
  if (boundary.uid === 0 || frontEnd.uid === 0)
    throw new Error('neither front end nor boundary may run as root: name two other users')
  fs.mkdirSync(folder, { recursive: true, mode: 0o700 })
  take(folder, boundary.uid, boundary.gid)
  // The front end's group may pass through the folder to its socket, which inherits the group.
  fs.lchownSync(folder, boundary.uid, frontEnd.gid)
  fs.chmodSync(folder, folderMode(config))
  sync(path.dirname(folder))
  if (config.admin !== undefined) {
    const { admin } = users
    if (admin === undefined) throw new Error('the admin API needs a user of its own beside the other two')
    if (admin.uid === 0 || admin.uid === boundary.uid || admin.uid === frontEnd.uid)
      throw new Error('the admin API may run neither as root nor as one of the other two: name a third user')
    fs.mkdirSync(config.admin.folder, { recursive: true, mode: 0o700 })
    take(config.admin.folder, boundary.uid, boundary.gid)
    fs.lchownSync(config.admin.folder, boundary.uid, admin.gid)
    fs.chmodSync(config.admin.folder, folderMode(config))
  }
  if (root.kind === 'keyfile' && fs.existsSync(root.file)) fs.lchownSync(root.file, boundary.uid, boundary.gid)
  for (const each of frontEndFolders) {
    fs.mkdirSync(each, { recursive: true, mode: 0o700 })
    take(each, frontEnd.uid, frontEnd.gid)
    fs.chmodSync(each, 0o700)
  }
}
