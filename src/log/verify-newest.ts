/**
 * The newest part of a log alone: the checkpoint's signature, and every entry of the last segment in its place. For a look that must not take as long
 * as the log is large; what came before is `verifyFolder`'s.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { FormatError } from '../boundary/bytes.ts'
import { parseRootFile } from '../boundary/root/rootfile.ts'
import { Bad } from './bad.ts'
import { NoteError, parseCheckpoint, parseNote, parseVerifier, verifyNote, vkeyOf } from './note.ts'
import { SegmentFile, segmentFiles } from './read.ts'

export interface NewestReport {
  /** Entries in all, by the numbers in the last segment. */
  readonly entries: number
  /** Of these, how many were looked at. */
  readonly looked: number
  /** Segments in all. */
  readonly segments: number
  /** Milliseconds since 1970; 0 where there is no entry. */
  readonly lastTime: number
  readonly bad: Bad | undefined
}

/** Rejects only where the folder cannot be read at all. */
export async function verifyNewest(boundary: string): Promise<NewestReport> {
  const files = await segmentFiles(boundary)
  const file = files.at(-1)
  if (file === undefined) return { entries: 0, looked: 0, segments: 0, lastTime: 0, bad: undefined }
  const seen = { entries: 0, looked: 0, lastTime: 0 }
  const report = (bad?: Bad): NewestReport => ({ ...seen, segments: files.length, bad })
  try {
    const signed = await signedSize(boundary)
    const segment = await SegmentFile.open(file)
    try {
      const header = await segment.readHeader()
      let { crc } = header
      seen.entries = header.firstSeq
      seen.lastTime = header.lastTime
      for (;;) {
        const { offset } = segment
        const entry = await segment.next()
        if (entry === undefined || (typeof entry === 'string' && seen.entries >= signed)) break
        if (typeof entry === 'string') throw new Bad(file, offset, seen.entries, entry)
        if (entry.seq !== seen.entries || entry.previousCrc !== crc || entry.time < seen.lastTime)
          throw new Bad(file, offset, seen.entries, 'an entry out of its place')
        seen.entries++
        seen.looked++
        seen.lastTime = entry.time
        crc = entry.crc
      }
      if (seen.entries < signed)
        throw new Bad(
          file,
          segment.offset,
          seen.entries,
          `the journal ends, and the checkpoint covers ${signed} entries`,
        )
    } finally {
      await segment.close()
    }
    return report()
  } catch (error) {
    if (error instanceof Bad) return report(error)
    if (error instanceof FormatError) return report(new Bad(file, 0, seen.entries, error.message))
    throw error
  }
}

/** Entries that the checkpoint covers, by a signature of the folder's own key; 0 where there is none yet. Throws `Bad`. */
async function signedSize(boundary: string): Promise<number> {
  const file = join(boundary, 'checkpoint')
  const bytes = await readFile(file).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error
    return undefined
  })
  const root = await readFile(join(boundary, 'root')).then(parseRootFile, () => undefined)
  if (bytes === undefined) return 0
  try {
    const note = parseNote(bytes)
    const { origin, size } = parseCheckpoint(note.text)
    if (root !== undefined) verifyNote(note, [parseVerifier(vkeyOf(origin, root.logPublicKey))])
    return size
  } catch (error) {
    if (error instanceof NoteError || error instanceof FormatError) throw new Bad(file, 0, 0, error.message)
    throw error
  }
}
