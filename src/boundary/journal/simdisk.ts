/**
 * A disk for tests that can lose power. It keeps, beside what a running process would read, what would be there after the loss: file contents as
 * of their last sync, and directory entries as of the directory's last sync. Unsynced writes survive in part, as the seed decides.
 */
import path from 'node:path'
import type { Disk, DiskFile } from './disk.ts'

/** Thrown by every call from the moment of the loss on. */
export class PowerLost extends Error {}

interface Inode {
  live: Buffer
  synced: Buffer
}

/** Every call that makes something durable has a name, so that a test can leave each one out and see a promise break. */
export type SyncSite = 'datasync' | 'syncDir'

export class SimDisk implements Disk {
  readonly #dirs = new Map<string, { live: Map<string, Inode | 'dir'>; synced: Map<string, Inode | 'dir'> }>()
  /** Counts every call that changes or syncs; power is lost at the call of this number. */
  lossAt = Number.POSITIVE_INFINITY
  calls = 0
  lost = false
  /** Syncs that are silently left out. */
  ignore: (site: SyncSite, of: string) => boolean = () => false
  readonly #random: () => number

  constructor(seed: number) {
    let state = seed >>> 0 || 1
    this.#random = () => {
      state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9) >>> 0
      return state / 0x1_0000_0000
    }
    this.#dirs.set('/', { live: new Map(), synced: new Map() })
  }

  /** What a process finds after the loss: synced contents and entries, and of the rest whatever happened to reach the disk. */
  reboot(): SimDisk {
    const after = new SimDisk(Math.floor(this.#random() * 0xffff_ffff))
    const inodes = new Map<Inode, Inode>()
    const settle = (inode: Inode): Inode => {
      const known = inodes.get(inode)
      if (known) return known
      // A tail that was written and not synced may have reached the disk up to any byte.
      const grown =
        inode.live.length > inode.synced.length && inode.live.subarray(0, inode.synced.length).equals(inode.synced)
      const kept = grown
        ? inode.live.subarray(
            0,
            inode.synced.length + Math.floor(this.#random() * (inode.live.length - inode.synced.length + 1)),
          )
        : inode.synced
      const bytes = Buffer.from(kept)
      const settled = { live: bytes, synced: Buffer.from(bytes) }
      inodes.set(inode, settled)
      return settled
    }
    for (const [dir, { synced }] of this.#dirs) {
      if (!this.#survives(dir)) continue
      const entries = new Map(
        [...synced].map(([name, inode]) => [name, inode === 'dir' ? inode : settle(inode)] as const),
      )
      after.#dirs.set(dir, { live: new Map(entries), synced: new Map(entries) })
    }
    return after
  }

  /** Whether the names that lead to a directory are all durable. */
  #survives(dir: string): boolean {
    if (dir === '/') return true
    const parent = path.dirname(dir)
    return this.#survives(parent) && this.#dirs.get(parent)?.synced.get(path.basename(dir)) === 'dir'
  }

  /** Changes one byte behind everybody's back. */
  flip(file: string, at: number): void {
    const inode = this.#inode(file)
    inode.live[at] = (inode.live[at] ?? 0) ^ 0x40
    inode.synced = Buffer.from(inode.live)
  }

  /** What a process reads from a file now. */
  contents(file: string): Buffer {
    return Buffer.from(this.#inode(file).live)
  }

  size(file: string): number {
    return this.#inode(file).live.length
  }

  #step(): void {
    if (this.lost || ++this.calls >= this.lossAt) {
      this.lost = true
      throw new PowerLost('power lost')
    }
  }

  #dir(dir: string) {
    const found = this.#dirs.get(dir)
    if (!found) throw Object.assign(new Error(`ENOENT: ${dir}`), { code: 'ENOENT' })
    return found
  }

  #inode(file: string): Inode {
    const found = this.#dirs.get(path.dirname(file))?.live.get(path.basename(file))
    if (found === undefined || found === 'dir') throw Object.assign(new Error(`ENOENT: ${file}`), { code: 'ENOENT' })
    return found
  }

  async open(file: string, mode: 'create' | 'write' | 'read'): Promise<DiskFile> {
    if (mode === 'create') {
      this.#step()
      const { live } = this.#dir(path.dirname(file))
      if (live.has(path.basename(file))) throw Object.assign(new Error(`EEXIST: ${file}`), { code: 'EEXIST' })
      live.set(path.basename(file), { live: Buffer.alloc(0), synced: Buffer.alloc(0) })
    }
    const inode = this.#inode(file)
    return {
      path: file,
      write: (bytes, position) => {
        const end = position + bytes.length
        const grown = Buffer.alloc(Math.max(inode.live.length, end))
        inode.live.copy(grown)
        try {
          this.#step()
        } catch (error) {
          // The write at which power is lost is cut at any byte.
          grown.set(bytes.subarray(0, Math.floor(this.#random() * bytes.length)), position)
          inode.live = grown
          throw error
        }
        grown.set(bytes, position)
        inode.live = grown
      },
      read: async (into, position) =>
        inode.live.copy(into, 0, position, Math.min(inode.live.length, position + into.length)),
      datasync: done => {
        try {
          this.#step()
          if (!this.ignore('datasync', file)) inode.synced = Buffer.from(inode.live)
        } catch (error) {
          setImmediate(done, error as Error)
          return
        }
        setImmediate(done, null)
      },
      truncate: async size => {
        this.#step()
        inode.live = Buffer.from(inode.live.subarray(0, size))
      },
      size: async () => inode.live.length,
      close: async () => {},
    }
  }

  async rename(from: string, to: string): Promise<void> {
    this.#step()
    const inode = this.#inode(from)
    this.#dir(path.dirname(from)).live.delete(path.basename(from))
    this.#dir(path.dirname(to)).live.set(path.basename(to), inode)
  }

  async unlink(file: string): Promise<void> {
    this.#step()
    this.#inode(file)
    this.#dir(path.dirname(file)).live.delete(path.basename(file))
  }

  async mkdir(dir: string): Promise<boolean> {
    if (this.#dirs.get(path.dirname(dir))?.live.has(path.basename(dir))) return false
    this.#step()
    this.#dir(path.dirname(dir)).live.set(path.basename(dir), 'dir')
    this.#dirs.set(dir, { live: new Map(), synced: new Map() })
    return true
  }

  async rmdir(dir: string): Promise<void> {
    this.#step()
    const found = this.#dir(dir)
    if (found.live.size > 0) throw Object.assign(new Error(`ENOTEMPTY: ${dir}`), { code: 'ENOTEMPTY' })
    this.#dir(path.dirname(dir)).live.delete(path.basename(dir))
  }

  async readdir(dir: string): Promise<string[]> {
    const parent = this.#dirs.get(path.dirname(dir))
    if (dir !== '/' && !parent?.live.has(path.basename(dir))) return []
    return [...(this.#dirs.get(dir)?.live.keys() ?? [])].sort()
  }

  async syncDir(dir: string): Promise<void> {
    this.#step()
    if (this.ignore('syncDir', dir)) return
    const found = this.#dir(dir)
    found.synced = new Map(found.live)
  }

  async freeSpace(): Promise<number> {
    return Number.MAX_SAFE_INTEGER
  }
}
