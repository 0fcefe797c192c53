/** Telling systemd that the boundary is ready, as sd_notify(3) does: a datagram to the socket that it names in the environment. */
import fs from 'node:fs'
import * as libc from './pkcs11/libc.ts'

const AF_UNIX = 1
const SOCK_DGRAM_CLOEXEC = 2 | 0o2000000
/** Bytes of a path in sockaddr_un, with the zero after it. */
const PATH_BYTES = 108

/** The variable is taken out of the environment: it is for this once. Returns 0, also where nobody asked, or the errno. */
export function notifyReady(status: string): number {
  const name = process.env.NOTIFY_SOCKET
  delete process.env.NOTIFY_SOCKET
  if (name === undefined) return 0
  const path = Buffer.from(name)
  if (path.length >= PATH_BYTES) return libc.ENAMETOOLONG
  // "@" stands for the zero byte of an abstract name, which has none after it.
  const abstract = name.startsWith('@')
  const address = Buffer.alloc(2 + path.length + (abstract ? 0 : 1))
  address.writeUInt16LE(AF_UNIX, 0)
  path.copy(address, 2)
  if (abstract) address[2] = 0
  const { errno, fd } = libc.socket(AF_UNIX, SOCK_DGRAM_CLOEXEC, 0)
  if (errno !== 0) return errno
  try {
    return libc.sendto(fd, Buffer.from(`READY=1\nSTATUS=${status}\n`), address)
  } finally {
    fs.closeSync(fd)
  }
}
