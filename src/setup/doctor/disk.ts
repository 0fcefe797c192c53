/** The file system of the data folder: room, inodes, and whether it keeps the two promises that a boundary lives on, flock and fsync. */
import { closeSync, constants, existsSync, fsyncSync, openSync, unlinkSync } from 'node:fs'
import { dirname, join } from 'node:path'
import * as libc from '../../boundary/pkcs11/libc.ts'
import { type Finding, finding } from './findings.ts'
import type { Machine, Subject } from './subject.ts'

/** As the boundary has them where nothing is configured (boundary/config.ts). */
const FLOOR_BYTES = 64 * 2 ** 20
const RESERVE_BYTES = 8 * 2 ** 20
/** From this many floors on there is nothing to say. */
const COMFORTABLE = 8
const FEW_INODES = 10_000

/** Magic numbers of statfs(2), from the manual page. */
const NETWORK: Readonly<Record<number, string>> = {
  26985: 'NFS',
  20859: 'SMB',
  4283649346: 'CIFS',
  4266872130: 'SMB2',
  1702057286: 'FUSE',
  1382369651: 'AFS',
  12805120: 'Ceph',
}
const MEMORY: Readonly<Record<number, string>> = { 16914836: 'tmpfs', 2240043254: 'ramfs' }

export async function checkDisk(subject: Subject, machine: Machine): Promise<Finding[]> {
  const { config } = subject
  const path = existing(subject.boundary)
  const { type, bavail, bsize, files, ffree } = await machine.statfs(path)
  const free = bavail * bsize
  const floor = config?.settings.boundary.floorBytes ?? FLOOR_BYTES
  const seen = `${mebibytes(free)} free; below ${mebibytes(floor)} uses are refused`
  const room =
    free < floor
      ? finding('space-floor', seen, { path })
      : free < floor * COMFORTABLE
        ? finding('space-near', seen, { path })
        : finding('space-enough', seen)
  // What has none (btrfs, for example) says 0 of 0.
  const inodes = files > 0 && ffree < FEW_INODES ? [finding('inodes-few', `${ffree} inodes are free`, { path })] : []
  return [room, ...inodes, ...reserve(subject, path), ...kind(type), ...promises(path)]
}

/** Its folder may be missing yet. */
const existing = (path: string): string => (existsSync(path) || path === dirname(path) ? path : existing(dirname(path)))

function reserve({ running, boundary }: Subject, path: string): Finding[] {
  if (running === undefined || running.locked || existsSync(join(boundary, 'reserve'))) return []
  return [
    finding('space-reserve', `the reserve of ${mebibytes(RESERVE_BYTES)}, for revoking on a full disk, is not there`, {
      path,
    }),
  ]
}

function kind(type: number): Finding[] {
  const magic = type >>> 0
  const [network, memory] = [NETWORK[magic], MEMORY[magic]]
  return [
    ...(network === undefined
      ? []
      : [
          finding('file-system-network', `the data folder is on ${network}, whose locks and fsync are a server’s word`),
        ]),
    ...(memory === undefined ? [] : [finding('file-system-memory', `the data folder is in memory (${memory})`)]),
  ]
}

/** With a file of its own, which is gone afterwards. */
function promises(folder: string): Finding[] {
  const file = join(folder, `.holdfast-doctor-${process.pid}`)
  try {
    const fd = openSync(file, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o600)
    try {
      fsyncSync(fd)
      const errno = libc.flock(fd, libc.LOCK_EX | libc.LOCK_NB)
      if (errno !== 0) return [finding('file-system-refuses', `${folder} has no flock (errno ${errno})`)]
    } finally {
      closeSync(fd)
      unlinkSync(file)
    }
    return [finding('file-system-good', 'files can be locked, and made durable')]
  } catch (error) {
    const { code, syscall } = error as NodeJS.ErrnoException
    return [finding('file-system-refuses', `${folder}: ${syscall} fails with ${code}`)]
  }
}

const mebibytes = (bytes: number): string => `${Math.floor(bytes / 2 ** 20).toLocaleString('en-US')} MiB`
