/**
 * What the process does to itself before it holds a secret: not dumpable, no new privileges, no core, memory kept out of swap as far as the
 * limit allows. Whatever cannot be done is a sentence for the operator, in the log and in the status.
 */
import { readFileSync } from 'node:fs'
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
  const memory = lockMemory()
  if (memory !== undefined) warnings.push(memory)
  return warnings
}

/**
 * Locks what is in memory, and what will be as it is touched. Node reserves far more address space than it uses and the limit counts the
 * reservation: under any limit but "unlimited" nothing is tried, because later allocations would fail.
 */
function lockMemory(): string | undefined {
  const limit = libc.getrlimit(libc.RLIMIT_MEMLOCK)
  let reason = `RLIMIT_MEMLOCK is ${limit.hard} bytes and must be unlimited to lock the memory of the boundary`
  if (privileged() || (limit.errno === 0 && limit.hard === Number.POSITIVE_INFINITY)) {
    libc.setrlimit(libc.RLIMIT_MEMLOCK, limit.hard, limit.hard)
    const errno = libc.mlockall(libc.MCL_CURRENT | libc.MCL_FUTURE | libc.MCL_ONFAULT)
    if (errno === 0) return undefined
    reason = `mlockall failed with errno ${errno}`
  }
  return swapExists() ? `secrets can reach swap: ${reason}` : undefined
}

/** CAP_IPC_LOCK (bit 14) lifts the limit. */
function privileged(): boolean {
  try {
    const line = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))
    return line?.[1] !== undefined && (BigInt(`0x${line[1]}`) & (1n << 14n)) !== 0n
  } catch {
    return false
  }
}

function swapExists(): boolean {
  try {
    return readFileSync('/proc/swaps', 'utf8').trim().split('\n').length > 1
  } catch {
    return true
  }
}

/** Asks the kernel to end this process with the one that started it, where it can. */
export function endWithParent(): void {
  if (libc.available) libc.prctl(libc.PR_SET_PDEATHSIG, 15)
}
