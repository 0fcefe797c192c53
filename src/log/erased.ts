/** What is known of entries whose records were erased: when that was, and where else they may be. */
import { decodeRecord } from '../boundary/record.ts'
import { openFolder } from './folder.ts'
import { SegmentFile, segmentFiles } from './read.ts'

/**
 * When an entry was erased, in milliseconds since 1970: by the record of the erasing, which is looked for from the end, where it mostly stands. Where that
 * was erased too, `at` is undefined, and `before` a time by which it had been.
 */
async function erasedOn(boundary: string, seq: number): Promise<{ at: number | undefined; before: number }> {
  let before = 0
  for (const file of (await segmentFiles(boundary)).reverse()) {
    const segment = await SegmentFile.open(file)
    let at: number | undefined
    try {
      const header = await segment.readHeader()
      before = header.lastTime
      for (let entry = await segment.next(); typeof entry === 'object'; entry = await segment.next()) {
        const range = rangeOf(entry.record)
        if (range !== undefined && seq >= range.from && seq < range.to) at = entry.time
      }
    } finally {
      await segment.close()
    }
    if (at !== undefined) return { at, before }
  }
  return { at: undefined, before }
}

/** The entries that a record says were erased: from one on, to before another. */
function rangeOf(record: Buffer): { from: number; to: number } | undefined {
  const { boundaryOperation, outcome, transition } = decodeRecord(record)
  if (boundaryOperation !== 'eraseSegments' || outcome !== 'allowed') return undefined
  const [, from, to] = /^(\d+)>(\d+)$/.exec(transition ?? '') ?? []
  return from === undefined ? undefined : { from: Number(from), to: Number(to) }
}

/** A sentence about an entry whose record is not in a folder. */
export async function erasedText(boundary: string, seq: number): Promise<string> {
  if ((await openFolder(boundary)).archive !== undefined) return `the record of entry ${seq} is not in this archive`
  const { at, before } = await erasedOn(boundary, seq)
  const when = at === undefined ? `before ${new Date(before).toISOString()}` : `on ${new Date(at).toISOString()}`
  return `the record of entry ${seq} was erased ${when}; its leaf is still in the tree. If it was archived, name the archive: --archive DIR`
}
