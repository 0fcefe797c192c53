/**
 * Unix sockets in folders of any length: the kernel takes at most 107 bytes of path (sockaddr_un), so a longer one is reached through the
 * descriptor of its folder under /proc/self/fd.
 */
import fs from 'node:fs'
import path from 'node:path'
import { BoundaryError } from '../words.ts'

/** Bytes of `sun_path` without its closing zero. */
export const MAX_SOCKET_PATH = process.platform === 'darwin' ? 103 : 107
/** Linux: a descriptor that only names the folder; needs no right to list it. Not in node:fs. */
const O_PATH = 0o10000000

export interface SocketPath {
  /** What to give to `listen` or `connect`. */
  readonly address: string
  /** Lets go of the folder. For a client once it is connected; for a server after it has closed. */
  release(): void
}

/** Throws `BoundaryError` Unavailable where the path is too long and the system has no other way. */
export function socketPath(file: string): SocketPath {
  if (Buffer.byteLength(file) <= MAX_SOCKET_PATH) return { address: file, release: () => {} }
  const tooLong = `the socket's path has ${Buffer.byteLength(file)} bytes and the system takes ${MAX_SOCKET_PATH}`
  if (process.platform !== 'linux') throw new BoundaryError('Unavailable', `${tooLong}: choose a shorter folder`)
  let fd: number
  try {
    fd = fs.openSync(path.dirname(file), O_PATH | fs.constants.O_DIRECTORY)
  } catch {
    throw new BoundaryError('Unavailable', `${tooLong}, and its folder cannot be opened`)
  }
  return { address: `/proc/self/fd/${fd}/${path.basename(file)}`, release: () => fs.closeSync(fd) }
}
