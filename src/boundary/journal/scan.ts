/** Reading a journal at start: every segment, every frame in its place, and what may be cut off the end. See docs/formats/journal.md, "Batches". */
import path from 'node:path'
import type { FormatError } from '../bytes.ts'
import { type Disk, readWhole } from './disk.ts'
import {
  FRAME_MAGIC,
  type FrameContext,
  HEADER_BYTES,
  leafOf,
  openWriteSet,
  parseFrame,
  parseHeader,
  type SegmentHeader,
} from './frame.ts'
import { Frontier, leafHash } from './merkle.ts'
import { JournalDamage, type JournalOptions, type ReplayedFrame } from './types.ts'

const SEGMENT = /^(\d{20})\.seg$/
/** A segment rolls once it has reached its size, so it can be longer by one batch. */
const MAX_SEGMENT_BYTES = 4 * 1024 * 1024 * 1024 - 1

export interface Scanned {
  /** Undefined where there is no segment yet. */
  readonly last:
    | {
        readonly file: string
        readonly firstSeq: number
        readonly end: number
        readonly seed: number
        readonly crc: number
      }
    | undefined
  readonly size: number
  readonly lastTime: number
  readonly lastWriteSet: number
  readonly frontier: Frontier
  readonly cutBytes: number
  /** A last segment that was made and never used: to be removed. */
  readonly unused: string | undefined
}

export function segmentName(firstSeq: number): string {
  return `${String(firstSeq).padStart(20, '0')}.seg`
}

/** Where the chain stands while segments are read. */
interface State {
  seq: number
  time: number
  writeSet: number
  crc: number
  readonly frontier: Frontier
}

/** Reads all of it, calling `replay` for each frame. Throws `JournalDamage`. Changes nothing. */
export async function scan(
  options: Pick<JournalOptions, 'disk' | 'boundaryId' | 'writeSetKey'> & {
    folder: string
    covered: { size: number; root: Buffer } | undefined
  },
  replay: (frame: ReplayedFrame) => void,
): Promise<Scanned> {
  const { disk, folder, covered } = options
  const names = (await disk.readdir(folder)).filter(name => SEGMENT.test(name))
  const state: State = { seq: 0, time: 0, writeSet: 0, crc: 0, frontier: new Frontier() }
  let last: Scanned['last']
  let unused: string | undefined
  let cutBytes = 0
  for (const [index, name] of names.entries()) {
    const file = path.join(folder, name)
    const isLast = index === names.length - 1
    const bytes = await readSegment(disk, file, state.seq)
    let header: SegmentHeader
    try {
      header = parseHeader(bytes)
    } catch (error) {
      // Its header is synced before the first frame is written, so a short file with a bad one was never used.
      if (isLast && bytes.length <= HEADER_BYTES && (covered?.size ?? 0) <= state.seq) {
        unused = file
        cutBytes = bytes.length
        break
      }
      throw new JournalDamage(file, 0, state.seq, (error as FormatError).message)
    }
    checkHeader(file, name, header, options.boundaryId, state)
    const context: FrameContext = { boundaryId: options.boundaryId, writeSetKey: options.writeSetKey, seed: header.crc }
    state.crc = header.crc
    const end = frames(file, bytes, context, header.firstSeq, state, covered, replay)
    if (end.problem !== undefined) {
      if (!isLast) throw new JournalDamage(file, end.at, state.seq, end.problem)
      refuseUnlessTorn(file, bytes, end.at, end.problem, header.crc, state.seq, covered)
      cutBytes = bytes.length - end.at
    }
    last = { file, firstSeq: header.firstSeq, end: end.at, seed: header.crc, crc: state.crc }
  }
  if (covered !== undefined && covered.size > state.seq) {
    throw new JournalDamage(
      folder,
      0,
      state.seq,
      `the signed checkpoint covers ${covered.size} records, and the journal ends`,
    )
  }
  return {
    last,
    size: state.seq,
    lastTime: state.time,
    lastWriteSet: state.writeSet,
    frontier: state.frontier,
    cutBytes,
    unused,
  }
}

async function readSegment(disk: Disk, file: string, seq: number): Promise<Buffer> {
  const bytes = await readWhole(disk, file, MAX_SEGMENT_BYTES)
  if (bytes === undefined) throw new JournalDamage(file, 0, seq, 'the segment has vanished')
  return bytes
}

function checkHeader(file: string, name: string, header: SegmentHeader, boundaryId: Buffer, state: State): void {
  const problem = !header.boundaryId.equals(boundaryId)
    ? 'the segment is another boundary’s'
    : name !== segmentName(header.firstSeq)
      ? 'the file’s name and its header do not agree'
      : header.firstSeq !== state.seq
        ? `the segment begins with record ${header.firstSeq} where ${state.seq} should follow`
        : header.nextWriteSet !== state.writeSet + 1 || header.lastTime !== state.time || header.lastCrc !== state.crc
          ? 'the segment does not follow the one before'
          : !header.root.equals(state.frontier.root())
            ? 'the tree root in the segment’s header is not that of the records before'
            : undefined
  if (problem !== undefined) throw new JournalDamage(file, 0, state.seq, problem)
}

/** Reads frames until the end or the first problem; returns where, and what. */
function frames(
  file: string,
  bytes: Buffer,
  context: FrameContext,
  firstSeq: number,
  state: State,
  covered: { size: number; root: Buffer } | undefined,
  replay: (frame: ReplayedFrame) => void,
): { at: number; problem: string | undefined } {
  let at = HEADER_BYTES
  while (at < bytes.length) {
    const frame = parseFrame(bytes, at, context.seed)
    if (typeof frame === 'string') return { at, problem: frame }
    if (frame.seq !== state.seq || frame.previousCrc !== state.crc || frame.batch > frame.seq)
      return { at, problem: 'a frame out of its place' }
    if (frame.time < state.time) throw new JournalDamage(file, at, frame.seq, 'a record is earlier than the one before')
    const writeSet = openWriteSet(frame, context)
    if (frame.sealed !== undefined && writeSet?.number !== state.writeSet + 1) {
      throw new JournalDamage(file, at, frame.seq, 'a write set does not open, or is not the next one')
    }
    state.frontier.push(leafHash(leafOf(frame.seq, frame.time, frame.salt, frame.record)))
    replay({
      seq: frame.seq,
      time: frame.time,
      record: frame.record,
      writeSet,
      location: { segment: firstSeq, offset: at },
    })
    if (writeSet !== undefined) state.writeSet = writeSet.number
    state.seq++
    state.time = frame.time
    state.crc = frame.crc
    if (covered?.size === state.seq && !covered.root.equals(state.frontier.root())) {
      throw new JournalDamage(
        file,
        at,
        frame.seq,
        'the records up to here do not make the root of the signed checkpoint',
      )
    }
    at += frame.length
  }
  return { at, problem: undefined }
}

/** What was never acknowledged may be cut off; everything else is damage. */
function refuseUnlessTorn(
  file: string,
  bytes: Buffer,
  at: number,
  problem: string,
  seed: number,
  seq: number,
  covered: { size: number } | undefined,
): void {
  if (covered !== undefined && covered.size > seq)
    throw new JournalDamage(file, at, seq, `${problem}, and the signed checkpoint covers it`)
  for (let next = bytes.indexOf(FRAME_MAGIC, at + 1); next >= 0; next = bytes.indexOf(FRAME_MAGIC, next + 1)) {
    const frame = parseFrame(bytes, next, seed)
    if (typeof frame !== 'string' && frame.batch > seq)
      throw new JournalDamage(file, at, seq, `${problem}, and later batches stand behind it`)
  }
}
