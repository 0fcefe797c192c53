/** How old the newest backup is, and whether it is one of this boundary, by the index of the folder that `holdfast backup` adds to. */
import { BackupError } from '../../backup/errors.ts'
import { type BackupIndex, readIndex } from '../../backup/folder.ts'
import { type Finding, finding } from './findings.ts'
import type { Machine, Subject } from './subject.ts'

const HOUR_MS = 3_600_000
/** One a day, and two hours for it to be late. */
const OLD_HOURS = 26

export async function checkBackup({ backup, data, root }: Subject, { now }: Machine): Promise<Finding[]> {
  const values = { data, backup: backup ?? 'DIR' }
  if (backup === undefined) return [finding('backup-unknown', 'no folder of backups was named', values)]
  let index: BackupIndex | undefined
  try {
    index = await readIndex(backup)
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (!(error instanceof BackupError) && code === undefined) throw error
    return [finding('backup-damaged', message, values)]
  }
  const newest = index?.files.at(-1)
  if (index === undefined || newest === undefined)
    return [finding('backup-none', `there is no backup in ${backup}`, values)]
  if (root !== undefined && index.boundaryId !== root.boundaryId.toString('hex'))
    return [finding('backup-other', `${backup} has backups of another boundary`, values)]
  const until = Date.parse(newest.until)
  if (Number.isNaN(until))
    return [finding('backup-damaged', `the index in ${backup} has no time of its newest`, values)]
  const hours = (now() - until) / HOUR_MS
  const age = hours < 48 ? `${hours.toFixed(1)} hours` : `${(hours / 24).toFixed(0)} days`
  const seen = `the newest backup in ${backup} is ${age} old, with ${newest.to.size} records`
  return [finding(hours > OLD_HOURS ? 'backup-old' : 'backup-fresh', seen, values)]
}
