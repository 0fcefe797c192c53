/**
 * A small file system of its own: a tmpfs in a mount namespace that a process of ours holds, as root or, where the kernel lets users have namespaces, as
 * anyone. It ends with that process. What runs in it is started through `enter`; from outside it is reached below `/proc`.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'

const MIB = 2 ** 20

/** Ways to a namespace, the first that works: root needs none of users. */
const WAYS = [['-m'], ['-Urm']] as const

export class SmallDisk {
  /** Its path, for what was started through `enter`. */
  readonly folder: string
  readonly #holder: ChildProcess
  readonly #flags: readonly string[]

  private constructor(folder: string, holder: ChildProcess, flags: readonly string[]) {
    this.folder = folder
    this.#holder = holder
    this.#flags = flags
  }

  static async make(megabytes: number): Promise<SmallDisk> {
    const way = WAYS.find(flags => spawnSync('unshare', [...flags, 'true']).status === 0)
    if (way === undefined)
      throw new Error('this test needs a mount namespace: run it as root, or allow user namespaces (unshare -Urm true)')
    const folder = mkdtempSync(join(tmpdir(), 'holdfast-disk-'))
    const mount = `mount -t tmpfs -o size=${megabytes}m,mode=700 none "$0" && echo there && exec cat`
    // It ends when its stdin does: with this process at the latest.
    const holder = spawn('unshare', [...way, 'sh', '-c', mount, folder], { stdio: ['pipe', 'pipe', 'inherit'] })
    await new Promise<void>((there, failed) => {
      createInterface({ input: holder.stdout }).once('line', () => there())
      holder.once('exit', code => failed(new Error(`no tmpfs could be mounted: exit code ${code}`)))
    })
    return new SmallDisk(folder, holder, way)
  }

  /** Command and arguments that run a program where this file system is mounted. */
  enter(program: string, args: readonly string[]): [string, string[]] {
    const user = this.#flags.some(flag => flag.includes('U')) ? ['-U', '--preserve-credentials'] : []
    return ['nsenter', ['-t', String(this.#holder.pid), ...user, '-m', program, ...args]]
  }

  /** Where this process finds one of its files. */
  outside(...names: string[]): string {
    return join(`/proc/${this.#holder.pid}/root`, this.folder, ...names)
  }

  get freeBytes(): number {
    const { bavail, bsize } = statfsSync(this.outside())
    return bavail * bsize
  }

  /** Another program's file grows until so many bytes were left when it began; what is given back meanwhile it does not take. */
  fillTo(freeBytes: number): void {
    const file = openSync(this.outside('ballast'), 'a')
    const piece = Buffer.alloc(MIB)
    try {
      for (let left = this.freeBytes - freeBytes; left > 0; ) left -= writeSync(file, piece, 0, Math.min(left, MIB))
    } catch (error) {
      // Somebody else took the last bytes.
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
    } finally {
      closeSync(file)
    }
  }

  /** That file goes away. */
  empty(): void {
    rmSync(this.outside('ballast'), { force: true })
  }

  /** `ro` waits until no file is open for writing: the kernel refuses as long as one is. */
  async remount(mode: 'ro' | 'rw'): Promise<void> {
    const [command, args] = this.enter('mount', ['-o', `remount,${mode}`, this.folder])
    for (const end = performance.now() + 10_000; ; ) {
      const { status, stderr } = spawnSync(command, args, { encoding: 'utf8' })
      if (status === 0) return
      if (!stderr.includes('busy') || performance.now() > end) throw new Error(`remount,${mode}: ${stderr}`)
      await delay(10)
    }
  }

  async remove(): Promise<void> {
    const gone = new Promise(resolve => this.#holder.once('exit', resolve))
    this.#holder.stdin?.end()
    await gone
    rmSync(this.folder, { recursive: true })
  }
}
