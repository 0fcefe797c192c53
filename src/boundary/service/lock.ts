/**
 * One boundary a folder: an flock on the file `lock`, which the kernel lets go of with the process, however it ends. The file itself says nothing and stays.
 */
import fs from 'node:fs'
import path from 'node:path'
import * as libc from '../pkcs11/libc.ts'

/** Why a boundary does not start, for the operator, with the exit code that says so. */
export class StartRefused extends Error {
  readonly exitCode: number
  constructor(exitCode: number, message: string) {
    super(message)
    this.name = 'StartRefused'
    this.exitCode = exitCode
  }
}

/** Takes the lock for the life of this process, or throws `StartRefused`. Returns how to let go of it. */
export function lockFolder(
  folder: string,
  exitCodes: { readonly inUse: number; readonly refused: number },
): () => void {
  const file = path.join(folder, 'lock')
  // O_NOFOLLOW: whoever could put a link here must not choose which file is opened.
  const fd = fs.openSync(file, fs.constants.O_RDWR | fs.constants.O_CREAT | fs.constants.O_NOFOLLOW, 0o600)
  const errno = libc.flock(fd, libc.LOCK_EX | libc.LOCK_NB)
  if (errno === 0) return () => fs.closeSync(fd)
  fs.closeSync(fd)
  if (errno === libc.EWOULDBLOCK) {
    throw new StartRefused(exitCodes.inUse, `another boundary has ${folder} open: stop it, or choose another folder`)
  }
  throw new StartRefused(
    exitCodes.refused,
    `${folder} cannot be locked (errno ${errno}): its file system must have flock`,
  )
}
