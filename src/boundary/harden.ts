/**
 * What the process does to itself before it holds a secret: not dumpable, no new privileges, no core. Whatever cannot be done, and
 * whether its memory can reach swap, is a sentence for the operator, in the log and in the status.
 */
import { readFileSync } from 'node:fs'
import path from 'node:path'
import * as libc from './pkcs11/libc.ts'

/** Hardens this process. Returns what could not be done, each a sentence. */
export function harden(): string[] {
  if (!libc.available)
    return [
      'this system is not Linux: core files, debuggers and swap are not kept away from the memory of the boundary',
    ]
  const warnings: string[] = []
  const must = (errno: number, sentence: string): void => {
    if (errno !== 0) warnings.push(`${sentence} (errno ${errno})`)
  }
  must(libc.setrlimit(libc.RLIMIT_CORE, 0, 0), 'core files could not be switched off')
  must(libc.prctl(libc.PR_SET_DUMPABLE, 0), 'the process could not be closed to debuggers and core files')
  must(libc.prctl(libc.PR_SET_NO_NEW_PRIVS, 1), 'new privileges could not be given up')
  const swapping = swap()
  if (swapping !== undefined) warnings.push(swapping)
  return warnings
}

/**
 * Memory cannot be locked: V8 gives pages back with madvise, which the kernel refuses for locked ones, and V8 then ends the process (decision 0010).
 * So secrets stay out of swap only where there is none for this process.
 */
function swap(): string | undefined {
  if (!swapExists() || swapClosed()) return undefined
  return 'secrets can reach swap: start the boundary where it may not swap (systemd: MemorySwapMax=0), or switch swap off'
}

function swapExists(): boolean {
  try {
    return readFileSync('/proc/swaps', 'utf8').trim().split('\n').length > 1
  } catch {
    return true
  }
}

/** The control group of this process, or one above it, may not swap. */
function swapClosed(): boolean {
  try {
    const group = /^0::(\/.*)$/m.exec(readFileSync('/proc/self/cgroup', 'utf8'))?.[1]
    for (let at = group ?? '/'; at !== '/' && at !== '.'; at = path.dirname(at)) {
      if (readFileSync(path.join('/sys/fs/cgroup', at, 'memory.swap.max'), 'utf8').trim() === '0') return true
    }
  } catch {
    // No control groups to read: nothing closes swap.
  }
  return false
}

/** Asks the kernel to end this process with the one that started it, where it can. */
export function endWithParent(): void {
  if (libc.available) libc.prctl(libc.PR_SET_PDEATHSIG, 15)
}
