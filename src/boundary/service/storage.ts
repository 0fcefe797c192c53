/** What the file system says when it does not take or give bytes, in words that say what to do. */

const WHAT_TO_DO: Readonly<Record<string, (folder: string) => string>> = {
  EROFS: folder =>
    `the file system of ${folder} is read-only: find out why (dmesg tells of a disk that fails), and mount it for writing`,
  ENOSPC: folder => `there is no space left in the file system of ${folder}: free some`,
  EDQUOT: folder => `the quota of this user in the file system of ${folder} is used up: raise it, or free some`,
  EIO: folder => `the disk of ${folder} failed to read or write: look at it (dmesg, smartctl) before anything else`,
  EACCES: folder =>
    `something in ${folder} is closed to this process: all of it must belong to uid ${process.geteuid?.() ?? ''}`,
}

/** Undefined where an error is none of these. Names files and never what is in them. */
export function storageTrouble(folder: string, error: unknown): string | undefined {
  const { code, message } = error as NodeJS.ErrnoException
  if (!(error instanceof Error) || code === undefined || !Object.hasOwn(WHAT_TO_DO, code)) return undefined
  return `${WHAT_TO_DO[code]?.(folder)} (${message})`
}
