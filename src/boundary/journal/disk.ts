/**
 * The file layer under the journal: the few operations that durability is made of, so that tests can put a disk underneath that loses power.
 * `realDisk` is node:fs. Every failure is the error of the operating system, with its `code`.
 */
import fs from 'node:fs'
import fsp from 'node:fs/promises'
import path from 'node:path'

/** An open file. Offsets and sizes are bytes. */
export interface DiskFile {
  readonly path: string
  /** Writes all of it into the page cache, or throws. Synchronous: a hop to the thread pool costs more than the copy. */
  write(bytes: Uint8Array, position: number): void
  /** Reads until the buffer is full or the file ends; resolves with the number of bytes read. */
  read(into: Buffer, position: number): Promise<number>
  /** `fdatasync`: bytes and size are on the disk when `done` is called without an error. */
  datasync(done: (error: Error | null) => void): void
  truncate(size: number): Promise<void>
  size(): Promise<number>
  close(): Promise<void>
}

export interface Disk {
  /** `create`: read and write, must not exist, mode 0600. `write`: read and write, must exist. `read`: must exist. */
  open(file: string, mode: 'create' | 'write' | 'read'): Promise<DiskFile>
  /** Replaces `to` if it exists. Durable once the directory is synced. */
  rename(from: string, to: string): Promise<void>
  /** Durable once the directory is synced. A missing file is an error (ENOENT). */
  unlink(file: string): Promise<void>
  /** Makes the directory, mode 0700; it is no error if it is there. Resolves with true where it was made. */
  mkdir(dir: string): Promise<boolean>
  /** Removes an empty directory. */
  rmdir(dir: string): Promise<void>
  /** Names in a directory, sorted; empty where there is no such directory. */
  readdir(dir: string): Promise<string[]>
  /** Makes names in a directory durable: creations, renames and removals. */
  syncDir(dir: string): Promise<void>
  /** Bytes that this process could still write on the file system of `dir`. */
  freeSpace(dir: string): Promise<number>
}

class RealFile implements DiskFile {
  readonly path: string
  readonly #fd: number

  constructor(file: string, fd: number) {
    this.path = file
    this.#fd = fd
  }

  write(bytes: Uint8Array, position: number): void {
    let done = 0
    while (done < bytes.length) done += fs.writeSync(this.#fd, bytes, done, bytes.length - done, position + done)
  }

  async read(into: Buffer, position: number): Promise<number> {
    let done = 0
    while (done < into.length) {
      const got = await new Promise<number>((resolve, reject) => {
        fs.read(this.#fd, into, done, into.length - done, position + done, (error, bytes) =>
          error === null ? resolve(bytes) : reject(error),
        )
      })
      if (got === 0) break
      done += got
    }
    return done
  }

  datasync(done: (error: Error | null) => void): void {
    fs.fdatasync(this.#fd, done)
  }

  truncate(size: number): Promise<void> {
    return new Promise((resolve, reject) => {
      fs.ftruncate(this.#fd, size, error => (error === null ? resolve() : reject(error)))
    })
  }

  size(): Promise<number> {
    return new Promise((resolve, reject) => {
      fs.fstat(this.#fd, (error, stat) => (error === null ? resolve(stat.size) : reject(error)))
    })
  }

  close(): Promise<void> {
    return new Promise((resolve, reject) => {
      fs.close(this.#fd, error => (error == null ? resolve() : reject(error)))
    })
  }
}

const FLAGS = { create: 'wx+', write: 'r+', read: 'r' } as const

export const realDisk: Disk = {
  open(file, mode) {
    return new Promise((resolve, reject) => {
      fs.open(file, FLAGS[mode], 0o600, (error, fd) =>
        error === null ? resolve(new RealFile(file, fd)) : reject(error),
      )
    })
  },
  rename: (from, to) => fsp.rename(from, to),
  unlink: file => fsp.unlink(file),
  async mkdir(dir) {
    try {
      await fsp.mkdir(dir, { mode: 0o700 })
      return true
    } catch (error) {
      if (isCode(error, 'EEXIST')) return false
      throw error
    }
  },
  rmdir: dir => fsp.rmdir(dir),
  async readdir(dir) {
    try {
      return (await fsp.readdir(dir)).sort()
    } catch (error) {
      if (isCode(error, 'ENOENT')) return []
      throw error
    }
  },
  async syncDir(dir) {
    const handle = await fsp.open(dir, 'r')
    try {
      await handle.sync()
    } finally {
      await handle.close()
    }
  },
  async freeSpace(dir) {
    const stat = await fsp.statfs(dir)
    return stat.bavail * stat.bsize
  },
}

/** Whether an error of the operating system has this code. */
export function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && (error as NodeJS.ErrnoException).code === code
}

/** `datasync` as a promise. */
export function datasync(file: DiskFile): Promise<void> {
  return new Promise((resolve, reject) => {
    file.datasync(error => (error === null ? resolve() : reject(error)))
  })
}

/** All bytes of a file, or undefined where it does not exist. Refuses more than `max` bytes with a RangeError. */
export async function readWhole(disk: Disk, file: string, max: number): Promise<Buffer | undefined> {
  let opened: DiskFile
  try {
    opened = await disk.open(file, 'read')
  } catch (error) {
    if (isCode(error, 'ENOENT') || isCode(error, 'ENOTDIR')) return undefined
    throw error
  }
  try {
    const size = await opened.size()
    if (size > max) throw new RangeError(`${file} has ${size} bytes where at most ${max} may stand`)
    const bytes = Buffer.allocUnsafe(size)
    const got = await opened.read(bytes, 0)
    return got === size ? bytes : bytes.subarray(0, got)
  } finally {
    await opened.close()
  }
}

/**
 * Replaces a small file so that a power loss leaves the old one or the new one, whole: temporary file, write, fdatasync, rename, sync of the
 * directory. One writer at a time for each file.
 */
export async function replaceFile(disk: Disk, file: string, bytes: Uint8Array): Promise<void> {
  const temporary = `${file}.new`
  await writeNew(disk, temporary, [bytes], true)
  await disk.rename(temporary, file)
  await disk.syncDir(path.dirname(file))
}

/**
 * Creates a file with these bytes, or none where that fails. A left-over of the same name is replaced, or with `keep` stays and is the error EEXIST. The file's name is durable
 * only after a sync of the directory.
 */
export async function writeNew(
  disk: Disk,
  file: string,
  pieces: readonly Uint8Array[],
  sync: boolean,
  leftOver: 'replace' | 'keep' = 'replace',
): Promise<void> {
  let opened: DiskFile
  try {
    opened = await disk.open(file, 'create')
  } catch (error) {
    if (leftOver === 'keep' || !isCode(error, 'EEXIST')) throw error
    await disk.unlink(file)
    opened = await disk.open(file, 'create')
  }
  try {
    let at = 0
    for (const piece of pieces) {
      opened.write(piece, at)
      at += piece.length
    }
    if (sync) await datasync(opened)
  } catch (error) {
    // Half a file would be taken for a whole one, or for damage.
    await disk.unlink(file).catch(() => {})
    throw error
  } finally {
    await opened.close()
  }
}
