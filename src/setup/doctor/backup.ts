/** How old the newest backup is, by the files in the folder that it is written to. */
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type Finding, finding } from './findings.ts'
import type { Machine, Subject } from './subject.ts'

const HOUR_MS = 3_600_000
/** One a day, and two hours for it to be late. */
const OLD_HOURS = 26

export async function checkBackup({ backup, data }: Subject, { now }: Machine): Promise<Finding[]> {
  if (backup === undefined) return [finding('backup-unknown', 'no folder of backups was named', { data })]
  const newest = await newestFile(backup)
  if (newest === undefined) return [finding('backup-none', `there is no backup in ${backup}`)]
  const hours = (now() - newest) / HOUR_MS
  const seen = `the newest backup in ${backup} is ${hours < 48 ? `${hours.toFixed(1)} hours` : `${(hours / 24).toFixed(0)} days`} old`
  return [finding(hours > OLD_HOURS ? 'backup-old' : 'backup-fresh', seen)]
}

/** When a file below the folder was last written; undefined where there is none with anything in it. */
async function newestFile(folder: string): Promise<number | undefined> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(
    (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error
      return []
    },
  )
  let newest: number | undefined
  for (const entry of entries.filter(each => each.isFile())) {
    const { mtimeMs, size } = await stat(join(entry.parentPath, entry.name))
    if (size > 0) newest = Math.max(newest ?? 0, mtimeMs)
  }
  return newest
}
