/** Whether an archive has what the journal is about to lose: every byte of it. */

import { join } from 'node:path'
import { segmentName } from '../boundary/journal/segments.ts'
import { sha256Of } from './archive.ts'
import { type ArchivedSegment, archivedFile, endOf } from './archive-index.ts'
import { Bad } from './bad.ts'
import { openFolder } from './folder.ts'
import { NoteError } from './note.ts'

/**
 * Compares the segments with the entries from one on to before another, in the journal and in the archive, with the archive's index. Throws `NoteError`
 * where the archive does not have them all, `Bad` where a file is not the one in the index. Returns how many there are.
 */
export async function checkArchived(
  boundary: string,
  dir: string,
  from: number,
  to: number,
  onProgress: (done: { readonly bytes: number; readonly total: number }) => void,
): Promise<number> {
  const [{ root }, { archive }] = [await openFolder(boundary), await openFolder(dir)]
  if (archive === undefined) throw new NoteError(`${dir} is no archive: holdfast log archive makes one`)
  if (root === undefined || !root.boundaryId.equals(archive.boundaryId))
    throw new NoteError(`${dir} is an archive of another log`)
  const end = endOf(archive).seq
  if (archive.base.seq > from || end < to)
    throw new NoteError(
      `${dir} has entries ${archive.base.seq} to ${end - 1}, and ${from} to ${to - 1} are to go: archive them first`,
    )
  const segments = archive.segments.filter(({ first }) => first >= from && first < to)
  const total = segments.reduce((sum, { bytes }) => sum + 2 * bytes, 0)
  let bytes = 0
  for (const segment of segments) {
    for (const file of [join(boundary, 'journal', segmentName(segment.first)), archivedFile(dir, segment)]) {
      await compare(file, segment)
      bytes += segment.bytes
      onProgress({ bytes, total })
    }
  }
  return segments.length
}

async function compare(file: string, { first, sha256 }: ArchivedSegment): Promise<void> {
  let found: string
  try {
    found = await sha256Of(file)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    throw new Bad(file, 0, first, 'the segment is missing')
  }
  if (found !== sha256) throw new Bad(file, 0, first, 'the segment is not the one in the archive’s index')
}
