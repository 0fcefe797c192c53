/** What is known of entries whose records were erased: when that was, and where else they may be. */
import { decodeRecord } from '../boundary/record.ts'
import { openFolder } from './folder.ts'
import { readLog } from './read.ts'

/**
 * When an entry was erased, in milliseconds since 1970: by the record of the erasing. Undefined where that was erased too; `before` is then a time by which
 * it had been.
 */
export async function erasedOn(
  boundary: string,
  seq: number,
): Promise<{ readonly at: number | undefined; readonly before: number | undefined }> {
  let before: number | undefined
  for await (const { time, record } of readLog(boundary)) {
    before ??= time
    const range = rangeOf(record)
    if (range !== undefined && seq >= range.from && seq < range.to) return { at: time, before }
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

/** A sentence about an entry that was erased. */
export async function erasedText(boundary: string, seq: number): Promise<string> {
  if ((await openFolder(boundary)).archive !== undefined) return `the record of entry ${seq} is not in this archive`
  const { at, before } = await erasedOn(boundary, seq)
  const date = (time: number): string => new Date(time).toISOString()
  const when = at === undefined ? `before ${date(before ?? 0)}` : `on ${date(at)}`
  return `the record of entry ${seq} was erased ${when}; its leaf is still in the tree. If it was archived, name the archive: --archive DIR`
}
