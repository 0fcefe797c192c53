/** A journal's bytes out of the folder of a boundary that may be writing it: it only grows, so what stands before a checkpoint's place is final. */
import { type FileHandle, open } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { HEADER_BYTES, parseHeader, type SegmentHeader } from '../boundary/journal/frame.ts'
import { EMPTY_ROOT, Tree } from '../boundary/journal/merkle.ts'
import { segmentName } from '../boundary/journal/segments.ts'
import { segmentFiles } from '../log/read.ts'
import { JournalChecker } from './check.ts'
import { BackupError } from './errors.ts'
import type { Place } from './format.ts'
import { readEdge, treeAt } from './tree.ts'

const EMPTY = Buffer.alloc(0)
const WINDOW_BYTES = 1024 * 1024

async function openSegment(boundary: string, segment: number): Promise<FileHandle> {
  try {
    return await open(join(boundary, 'journal', segmentName(segment)), 'r')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    throw new BackupError(
      'Missing',
      `the segment ${segmentName(segment)} is not there: it was erased meanwhile; run the backup again`,
    )
  }
}

async function headerOf(boundary: string, segment: number): Promise<SegmentHeader> {
  const handle = await openSegment(boundary, segment)
  try {
    const bytes = Buffer.alloc(HEADER_BYTES)
    const { bytesRead } = await handle.read(bytes, 0, HEADER_BYTES, 0)
    return parseHeader(bytes.subarray(0, bytesRead))
  } finally {
    await handle.close()
  }
}

/** Where the journal begins: record 0, or the first that was not erased. */
export async function beginning(boundary: string): Promise<Place> {
  const first = (await segmentFiles(boundary))[0]
  if (first === undefined) throw new BackupError('Damaged', `${boundary} has no journal`)
  const { firstSeq, nextWriteSet, lastTime, lastCrc, root } = await headerOf(
    boundary,
    Number.parseInt(basename(first), 10),
  )
  return { size: firstSeq, lastTime, lastWriteSet: nextWriteSet - 1, segment: firstSeq, offset: 0, crc: lastCrc, root }
}

/** Reads on from a place, and checks. */
export class JournalSource {
  readonly #boundary: string
  readonly checker: JournalChecker
  /** Where reading stands: ahead of the checker by what is not a whole frame yet. */
  #segment: number
  #offset: number

  private constructor(boundary: string, from: Place, checker: JournalChecker) {
    this.#boundary = boundary
    this.checker = checker
    this.#segment = from.segment
    this.#offset = from.offset
  }

  /** Rejects with ENOENT or RangeError where the tiles of that place are not there, and with BackupError `Missing` where its segment is not. */
  static async open(boundary: string, boundaryId: Buffer, from: Place): Promise<JournalSource> {
    const seed = from.offset === 0 ? undefined : (await headerOf(boundary, from.segment)).crc
    const tree =
      from.size === 0
        ? new Tree(() => {})
        : await treeAt(
            from.size,
            (...of) => readEdge(boundary, ...of),
            () => {},
          )
    const root = from.size === 0 ? EMPTY_ROOT : tree.root()
    if (!root.equals(from.root)) throw new RangeError('the tiles do not make the root of that place')
    return new JournalSource(boundary, from, new JournalChecker(boundaryId, from, tree, seed))
  }

  /** What stands between here and a place, segment by segment, whole frames only. Throws `Bad` for what is wrong, and where the place is not reached exactly. */
  async *upTo(
    to: Pick<Place, 'segment' | 'offset'>,
    until?: number,
  ): AsyncGenerator<{ segment: number; bytes: Buffer }> {
    for (;;) {
      const end = this.#segment === to.segment ? to.offset : Number.POSITIVE_INFINITY
      const handle = await openSegment(this.#boundary, this.#segment)
      try {
        for (;;) {
          const window = Buffer.allocUnsafe(Math.min(WINDOW_BYTES, end - this.#offset))
          const { bytesRead } = await handle.read(window, 0, window.length, this.#offset)
          if (bytesRead === 0) break
          this.#offset += bytesRead
          const bytes = this.checker.push(window.subarray(0, bytesRead), until)
          if (bytes.length > 0) yield { segment: this.#segment, bytes }
          if (until !== undefined && this.checker.tree.size >= until) return
        }
      } finally {
        await handle.close()
      }
      if (this.#segment >= to.segment) return
      this.checker.nextSegment()
      this.#segment = this.checker.tree.size
      this.#offset = 0
    }
  }

  /** What was read and held back by an earlier `until`, as far as this one goes. */
  release(until?: number): Buffer {
    return this.checker.unfinished === 0 ? EMPTY : this.checker.push(EMPTY, until)
  }
}
