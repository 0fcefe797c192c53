/** Reading a journal at start: every segment from a snapshot's place on, every frame in its place, and what may be cut off the end. See docs/formats/journal.md. */
import { FormatError } from '../bytes.ts'
import type { Disk } from './disk.ts'
import {
  FRAME_MAGIC,
  type Frame,
  HEADER_BYTES,
  leafOf,
  openWriteSet,
  parseFrame,
  type SegmentHeader,
  sealedNumber,
} from './frame.ts'
import type { JournalKeys } from './keys.ts'
import { leafHash, type Tree } from './merkle.ts'
import { type Segment, segmentName } from './segments.ts'
import { JournalDamage, type JournalOptions, type OpenedWriteSet, type ReplayedFrame } from './types.ts'

/** Where the chain stands while segments are read: after the record before `seq`. */
export interface Chain {
  seq: number
  time: number
  writeSet: number
  crc: number
  readonly tree: Tree
}

/** What is known from elsewhere to have been there: sizes that must be reached, one of them with its root. */
export interface Covered {
  /** The signed checkpoint's. */
  readonly checkpoint: { readonly size: number; readonly root: Buffer } | undefined
  /** The newest authentic snapshot's size, 0 for none. */
  readonly snapshot: number
}

export interface Scanned {
  /** Undefined where there is no segment yet. */
  readonly last:
    | { readonly file: string; readonly firstSeq: number; readonly end: number; readonly seed: number }
    | undefined
  readonly cutBytes: number
  /** A last segment that was made and never used: to be removed. */
  readonly unused: string | undefined
}

export interface ScanOptions extends Pick<JournalOptions, 'disk' | 'boundaryId'> {
  readonly keys: JournalKeys
  readonly segments: readonly Segment[]
  readonly covered: Covered
  /** Place of a snapshot; undefined to begin with the first segment. */
  readonly from: { readonly segment: number; readonly offset: number } | undefined
  /** Called for each segment before its frames, also for those that a snapshot stands for. */
  readonly onSegment: (header: SegmentHeader) => void
  /** Called after each segment that was read, so that what gathers with the frames can be put away. */
  readonly afterSegment: () => Promise<void>
}

/**
 * Reads on from where `chain` stands, which it moves, calling `replay` for each frame. Throws `JournalDamage`; whether it got as far as is known to have been
 * there is the caller's to ask. Changes nothing on disk.
 */
export async function scan(
  options: ScanOptions,
  chain: Chain,
  replay: (frame: ReplayedFrame) => void,
): Promise<Scanned> {
  const { segments, covered, from } = options
  const mustReach = Math.max(covered.checkpoint?.size ?? 0, covered.snapshot)
  let last: Scanned['last']
  let cutBytes = 0
  for (const [index, segment] of segments.entries()) {
    const { file, header } = segment
    const isLast = index === segments.length - 1
    if (typeof header === 'string') {
      // Its header is synced before the first frame is written, so a short file with a bad one was never used.
      if (segment.size <= HEADER_BYTES && mustReach <= chain.seq) return { last, cutBytes: segment.size, unused: file }
      const covers = mustReach > chain.seq ? ', and the signed checkpoint or a snapshot covers what stood there' : ''
      throw new JournalDamage(file, 0, chain.seq, `${header}${covers}`)
    }
    checkHeader(segment, header, options.boundaryId)
    options.onSegment(header)
    if (from !== undefined && header.firstSeq < from.segment) continue
    const start = header.firstSeq === from?.segment ? from.offset : HEADER_BYTES
    if (header.firstSeq !== from?.segment) {
      checkFollows(file, header, chain)
      chain.crc = header.crc
    }
    const bytes = await readFrom(options.disk, file, start, segment.size)
    const { boundaryId, keys } = options
    const read = { file, bytes, start, boundaryId, keys, seed: header.crc, firstSeq: header.firstSeq, covered }
    const end = frames(read, chain, replay)
    if (end.problem !== undefined) {
      if (!isLast) throw new JournalDamage(file, end.at + start, chain.seq, end.problem)
      refuseUnlessTorn({ file, bytes, start }, end.at, end.problem, header.crc, chain.seq, mustReach)
      cutBytes = bytes.length - end.at
    }
    last = { file, firstSeq: header.firstSeq, end: end.at + start, seed: header.crc }
    await options.afterSegment()
  }
  return { last, cutBytes, unused: undefined }
}

async function readFrom(disk: Disk, file: string, start: number, size: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(Math.max(0, size - start))
  const opened = await disk.open(file, 'read')
  try {
    return bytes.subarray(0, await opened.read(bytes, start))
  } finally {
    await opened.close()
  }
}

function checkHeader({ file, name }: Segment, header: SegmentHeader, boundaryId: Buffer): void {
  const problem = !header.boundaryId.equals(boundaryId)
    ? 'the segment is another boundary’s'
    : name !== segmentName(header.firstSeq)
      ? 'the file’s name and its header do not agree'
      : undefined
  if (problem !== undefined) throw new JournalDamage(file, 0, header.firstSeq, problem)
}

/** The header of a segment against what stands before it. */
function checkFollows(file: string, header: SegmentHeader, chain: Chain): void {
  const problem =
    header.firstSeq !== chain.seq
      ? `the segment begins with record ${header.firstSeq} where ${chain.seq} should follow`
      : header.nextWriteSet !== chain.writeSet + 1 || header.lastTime !== chain.time || header.lastCrc !== chain.crc
        ? 'the segment does not follow the one before'
        : !header.root.equals(chain.tree.root())
          ? 'the tree root in the segment’s header is not that of the records before'
          : undefined
  if (problem !== undefined) throw new JournalDamage(file, 0, chain.seq, problem)
}

interface Read {
  readonly file: string
  readonly bytes: Buffer
  /** Offset in the file at which `bytes` begins. */
  readonly start: number
}

/** Reads frames until the end or the first problem; returns where in `bytes`, and what. */
function frames(
  read: Read & { boundaryId: Buffer; keys: JournalKeys; seed: number; firstSeq: number; covered: Covered },
  chain: Chain,
  replay: (frame: ReplayedFrame) => void,
): { at: number; problem: string | undefined } {
  const { file, bytes, start, seed, firstSeq } = read
  const { checkpoint } = read.covered
  let at = 0
  while (at < bytes.length) {
    const offset = start + at
    const frame = parseFrame(bytes, at, seed)
    if (typeof frame === 'string') return { at, problem: frame }
    if (frame.seq !== chain.seq || frame.previousCrc !== chain.crc || frame.batch > frame.seq)
      return { at, problem: 'a frame out of its place' }
    if (frame.time < chain.time)
      throw new JournalDamage(file, offset, frame.seq, 'a record is earlier than the one before')
    const { number, writeSet } = writeSetOf(frame, read)
    if (frame.sealed !== undefined && number !== chain.writeSet + 1) {
      throw new JournalDamage(file, offset, frame.seq, 'a write set does not open, or is not the next one')
    }
    const leaf = leafOf(frame.seq, frame.time, frame.salted)
    chain.tree.push(leaf, leafHash(leaf))
    const { seq, time, record } = frame
    const location = { segment: firstSeq, offset }
    try {
      replay({ seq, time, record, writeSetNumber: number, writeSet, location })
    } catch (error) {
      throw error instanceof FormatError ? new JournalDamage(file, offset, seq, error) : error
    }
    if (number > 0) chain.writeSet = number
    chain.seq++
    chain.time = frame.time
    chain.crc = frame.crc
    if (checkpoint?.size === chain.seq && !checkpoint.root.equals(chain.tree.root())) {
      const what = 'the records up to here do not make the root of the signed checkpoint'
      throw new JournalDamage(file, offset, frame.seq, what)
    }
    at += frame.length
  }
  return { at, problem: undefined }
}

/** A write set and its number: 0 where there is none, or where it does not open although its generation is held. */
function writeSetOf(
  frame: Frame,
  { boundaryId, keys }: { boundaryId: Buffer; keys: JournalKeys },
): { number: number; writeSet: OpenedWriteSet | undefined } {
  if (frame.sealed === undefined) return { number: 0, writeSet: undefined }
  const writeSetKey = keys.writeSetOf(frame.seq)
  if (writeSetKey === undefined) return { number: sealedNumber(frame.sealed), writeSet: undefined }
  const writeSet = openWriteSet(frame, { boundaryId, writeSetKey })
  return { number: writeSet?.number ?? 0, writeSet }
}

/** What was never acknowledged may be cut off; everything else is damage. */
function refuseUnlessTorn(
  { file, bytes, start }: Read,
  at: number,
  problem: string,
  seed: number,
  seq: number,
  mustReach: number,
): void {
  if (mustReach > seq)
    throw new JournalDamage(file, start + at, seq, `${problem}, and the signed checkpoint or a snapshot covers it`)
  for (let next = bytes.indexOf(FRAME_MAGIC, at + 1); next >= 0; next = bytes.indexOf(FRAME_MAGIC, next + 1)) {
    const frame = parseFrame(bytes, next, seed)
    if (typeof frame !== 'string' && frame.batch > seq)
      throw new JournalDamage(file, start + at, seq, `${problem}, and later batches stand behind it`)
  }
}
