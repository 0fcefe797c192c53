/**
 * The few calls of Linux's C library that Node lacks: for hardening the process (prctl, setrlimit, mlockall), for locking a data folder (flock), for
 * asking whether something disciplines the clock (adjtimex), and for the datagram that tells a service manager that it is ready (socket, sendto).
 * Every call returns 0 or the errno; on other systems `available` is false and every call returns ENOSYS.
 */
import { addressOf, type Callable, type Library, lastErrno, openLibrary } from './koffi.ts'

/** What a call returns when there is no Linux libc to ask. */
export const ENOSYS = 38
/** errno of `flock` with LOCK_NB when another process holds the lock (EAGAIN, which is EWOULDBLOCK). */
export const EWOULDBLOCK = 11
/** A path that does not fit into a socket's address. */
export const ENAMETOOLONG = 36

/** Options of prctl(2). */
export const PR_SET_DUMPABLE = 4
export const PR_GET_DUMPABLE = 3
export const PR_SET_NO_NEW_PRIVS = 38
export const PR_GET_NO_NEW_PRIVS = 39
/** The signal (second argument) that this process gets when its parent ends. */
export const PR_SET_PDEATHSIG = 1

/** Resources of setrlimit(2), as on x86-64 and arm64. */
export const RLIMIT_CORE = 4
export const RLIMIT_NOFILE = 7
export const RLIMIT_MEMLOCK = 8

/** Flags of mlockall(2). */
export const MCL_CURRENT = 1
export const MCL_FUTURE = 2
export const MCL_ONFAULT = 4

/** Operations of flock(2). */
export const LOCK_SH = 1
export const LOCK_EX = 2
export const LOCK_NB = 4
export const LOCK_UN = 8

interface Libc {
  readonly prctl: Callable
  readonly setrlimit: Callable
  readonly getrlimit: Callable
  readonly mlockall: Callable
  readonly flock: Callable
  readonly adjtimex: Callable
  readonly socket: Callable
  readonly sendto: Callable
}

/** glibc first, then musl under its two common names. */
const NAMES = ['libc.so.6', `libc.musl-${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}.so.1`, 'libc.so']

function openAny(): Library | undefined {
  for (const name of NAMES) {
    try {
      return openLibrary(name)
    } catch {
      // The next name may be this system's.
    }
  }
  return undefined
}

function load(): Libc | undefined {
  if (process.platform !== 'linux') return undefined
  const library = openAny()
  if (library === undefined) return undefined
  return {
    prctl: library.func(
      'int prctl(int option, unsigned long a2, unsigned long a3, unsigned long a4, unsigned long a5)',
    ),
    setrlimit: library.func('int setrlimit(int resource, const void *limits)'),
    getrlimit: library.func('int getrlimit(int resource, void *limits)'),
    mlockall: library.func('int mlockall(int flags)'),
    flock: library.func('int flock(int fd, int operation)'),
    adjtimex: library.func('int adjtimex(void *timex)'),
    socket: library.func('int socket(int domain, int type, int protocol)'),
    sendto: library.func(
      'long sendto(int fd, const void *bytes, size_t length, int flags, const void *address, unsigned int size)',
    ),
  }
}

const libc = load()

/** True where the calls below reach the kernel (Linux). */
export const available: boolean = libc !== undefined

function errnoOf(result: number): number {
  return result < 0 ? lastErrno() : 0
}

/** prctl(2) with one argument, the rest 0. For the `PR_GET_…` options use `prctlGet`. Returns 0 or the errno. */
export function prctl(option: number, a2: number): number {
  return libc === undefined ? ENOSYS : errnoOf(libc.prctl(option, a2, 0, 0, 0))
}

/** The value that a `PR_GET_…` option of prctl(2) returns, or -1 where it cannot be read. */
export function prctlGet(option: number): number {
  return libc === undefined ? -1 : libc.prctl(option, 0, 0, 0, 0)
}

const RLIM_INFINITY = 0xffff_ffff_ffff_ffffn

function rlim(value: number): bigint {
  return value === Number.POSITIVE_INFINITY ? RLIM_INFINITY : BigInt(value)
}

function fromRlim(value: bigint): number {
  return value === RLIM_INFINITY ? Number.POSITIVE_INFINITY : Number(value)
}

/** setrlimit(2); `Infinity` is RLIM_INFINITY. Returns 0 or the errno. */
export function setrlimit(resource: number, soft: number, hard: number): number {
  if (libc === undefined) return ENOSYS
  const limits = Buffer.alloc(16)
  limits.writeBigUInt64LE(rlim(soft), 0)
  limits.writeBigUInt64LE(rlim(hard), 8)
  return errnoOf(libc.setrlimit(resource, limits))
}

/** getrlimit(2); `Infinity` is RLIM_INFINITY. `errno` is 0, or the limits are 0 and it says why. */
export function getrlimit(resource: number): { readonly errno: number; readonly soft: number; readonly hard: number } {
  if (libc === undefined) return { errno: ENOSYS, soft: 0, hard: 0 }
  const limits = Buffer.alloc(16)
  const errno = errnoOf(libc.getrlimit(resource, addressOf(limits)))
  return { errno, soft: fromRlim(limits.readBigUInt64LE(0)), hard: fromRlim(limits.readBigUInt64LE(8)) }
}

/** mlockall(2) with `MCL_…` flags. Returns 0 or the errno (12, ENOMEM, where RLIMIT_MEMLOCK is too small; 1, EPERM, where it is 0). */
export function mlockall(flags: number): number {
  return libc === undefined ? ENOSYS : errnoOf(libc.mlockall(flags))
}

/** flock(2) on an open file descriptor with `LOCK_…` operations; add LOCK_NB so as not to wait. Returns 0 or the errno. */
export function flock(fd: number, operation: number): number {
  return libc === undefined ? ENOSYS : errnoOf(libc.flock(fd, operation))
}

/** Of `struct timex` with 64-bit longs: its size, and where the two fields lie. */
const TIMEX_BYTES = 208
const TIMEX_MAXERROR = 24
const TIMEX_STATUS = 40
const STA_UNSYNC = 0x0040

/**
 * What the kernel knows of the wall clock (adjtimex(2), which changes nothing so): whether something disciplines it, and how far it may be off, in
 * microseconds. Undefined where the kernel does not say.
 */
export function clockState(): { readonly synchronised: boolean; readonly maxErrorMicros: number } | undefined {
  if (libc === undefined) return undefined
  const timex = Buffer.alloc(TIMEX_BYTES)
  if (libc.adjtimex(addressOf(timex)) < 0) return undefined
  const synchronised = (timex.readInt32LE(TIMEX_STATUS) & STA_UNSYNC) === 0
  return { synchronised, maxErrorMicros: Number(timex.readBigInt64LE(TIMEX_MAXERROR)) }
}

/** socket(2). `errno` is 0, or the descriptor is -1 and it says why. */
export function socket(
  domain: number,
  type: number,
  protocol: number,
): { readonly errno: number; readonly fd: number } {
  if (libc === undefined) return { errno: ENOSYS, fd: -1 }
  const fd: number = libc.socket(domain, type, protocol)
  return { errno: errnoOf(fd), fd }
}

/** sendto(2) without flags; `address` is a sockaddr. Returns 0 or the errno. */
export function sendto(fd: number, bytes: Buffer, address: Buffer): number {
  return libc === undefined ? ENOSYS : errnoOf(Number(libc.sendto(fd, bytes, bytes.length, 0, address, address.length)))
}
