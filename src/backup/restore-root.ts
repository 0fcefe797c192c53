/** A root file that was lost beside its journal, out of the kit that was kept of it. */
import { existsSync } from 'node:fs'
import { open, rename } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { lockFolder, StartRefused } from '../boundary/service/lock.ts'
import { vkeyOf } from '../log/note.ts'
import { SegmentFile, segmentFiles } from '../log/read.ts'
import { verifyFolder } from '../log/verify.ts'
import { BackupError } from './errors.ts'
import { beginning } from './journal.ts'
import { readGivenRoot } from './kit.ts'
import { syncFolder } from './staging.ts'

export interface RestoredRoot {
  readonly file: string
  readonly boundaryId: string
  readonly kind: string
  readonly records: number
  readonly logKey: string
}

/** Rejects with BackupError. Nothing is written over a root file that is there. */
export async function restoreRoot(kit: string, data: string): Promise<RestoredRoot> {
  const boundary = join(data, 'boundary')
  const file = join(boundary, 'root')
  if (existsSync(file))
    throw new BackupError(
      'Refused',
      `${file} is there: nothing is put over it. Move it away and keep it, where it is damaged`,
    )
  const first = (await segmentFiles(boundary).catch(() => []))[0]
  if (first === undefined)
    throw new BackupError('Refused', `${boundary} has no journal: a backup puts back both (holdfast restore --help)`)
  const given = await readGivenRoot(kit)
  let release: () => void
  try {
    release = lockFolder(boundary, { inUse: 75, refused: 64 })
  } catch (error) {
    if (!(error instanceof StartRefused)) throw error
    throw new BackupError('Unavailable', error.message)
  }
  try {
    await sameBoundary(first, given.file.boundaryId)
    const origin = given.seen?.note.split('\n')[0]
    const { size, lastWriteSet, root } = await beginning(boundary)
    const report = await verifyFolder(boundary, {
      base: { seq: size, writeSet: lastWriteSet, root },
      ...(origin === undefined ? {} : { vkey: vkeyOf(origin, given.file.logPublicKey) }),
    })
    if (report.bad !== undefined)
      throw new BackupError('Damaged', `${boundary} does not verify against ${basename(kit)}: ${report.bad.message}`)
    const handle = await open(`${file}.new`, 'w', 0o600)
    try {
      await handle.writeFile(given.bytes)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await rename(`${file}.new`, file)
    await syncFolder(boundary)
    return {
      file,
      boundaryId: given.file.boundaryId.toString('hex'),
      kind: given.file.kind,
      records: report.entries,
      logKey: report.signature?.vkey ?? '',
    }
  } finally {
    release()
  }
}

async function sameBoundary(first: string, boundaryId: Buffer): Promise<void> {
  const segment = await SegmentFile.open(first)
  try {
    const header = await segment.readHeader()
    if (header.boundaryId.equals(boundaryId)) return
    throw new BackupError(
      'Refused',
      `the journal is of boundary ${header.boundaryId.toString('hex')}, and the root of ${boundaryId.toString('hex')}`,
    )
  } finally {
    await segment.close()
  }
}
