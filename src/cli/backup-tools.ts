/** What `holdfast backup` and `holdfast restore` share: exit codes, progress, errors in a line. */
import { BackupError, type BackupErrorCode } from '../backup/errors.ts'
import { Bad } from '../log/bad.ts'

export const EXIT_CODES: Readonly<Record<BackupErrorCode, number>> = {
  Refused: 64,
  Damaged: 65,
  Missing: 66,
  Unavailable: 69,
  NotWritten: 74,
  WrongIdentity: 77,
}

export const EXIT_HELP = `Exit codes: 0 done; 64 an argument or a folder must be changed; 65 something is damaged; 66 a file of a chain is missing; 69 the service is locked, or
another backup is at work; 74 the disk is full or failed; 77 no identity opens it; 1 anything else.`

/** For options that may be given several times. */
export const collect = (value: string, before: readonly string[]): string[] => [...before, value]

const PROGRESS_EVERY_MS = 200
const MIB = 1024 * 1024

export interface Progress {
  readonly on: (done: { readonly what: string; readonly bytes: number }) => void
  /** Takes the line away. */
  end(): void
}

/** One line on stderr that is written over, where that is a terminal. */
export function progress(): Progress {
  const terminal = process.stderr.isTTY === true
  let drawn = 0
  return {
    on: ({ what, bytes }) => {
      const now = performance.now()
      if (!terminal || now - drawn < PROGRESS_EVERY_MS) return
      drawn = now
      process.stderr.write(`\r\x1b[K${(bytes / MIB).toFixed(1).padStart(8)} MiB  ${what}`)
    },
    end: () => {
      if (drawn > 0) process.stderr.write('\r\x1b[K')
    },
  }
}

/** What is expected to go wrong is said in a line, with an exit code of its own. */
export async function guarded(act: (progress: Progress) => Promise<void>): Promise<void> {
  const line = progress()
  process.umask(0o077)
  try {
    await act(line)
    line.end()
  } catch (error) {
    line.end()
    const { code, syscall } = error as NodeJS.ErrnoException
    if (error instanceof BackupError) process.exitCode = EXIT_CODES[error.code]
    else if (error instanceof Bad) process.exitCode = EXIT_CODES.Damaged
    else if (code !== undefined && syscall !== undefined) process.exitCode = EXIT_CODES.NotWritten
    else throw error
    process.stderr.write(`holdfast: ${(error as Error).message}\n`)
  }
}

export const number = new Intl.NumberFormat('en')

export const size = (bytes: number): string =>
  bytes < MIB ? `${(bytes / 1024).toFixed(1)} KiB` : `${(bytes / MIB).toFixed(1)} MiB`
