/**
 * Where write sets stand, and reading them back. Memory holds the offsets of the segment that is being written and of the one that was asked for last:
 * any other is found by its header and walked when it is asked for, so millions of write sets cost nothing.
 */
import { FRAME_BYTES, FRAME_MAGIC, HEADER_BYTES, MAX_FRAME_BYTES, openWriteSet, parseFrame } from './frame.ts'
import type { JournalKeys } from './keys.ts'
import type { SegmentReaders } from './segments.ts'
import {
  type Base,
  JournalDamage,
  type Location,
  type OpenedWriteSet,
  type SegmentStart,
  WriteSetGone,
} from './types.ts'

/** Walking and reading in bulk go in windows of this many bytes. */
const WINDOW_BYTES = 1024 * 1024
const FIRST_READ_BYTES = 4096

/** Offsets in a segment of write sets with consecutive numbers. */
class Offsets {
  readonly segment: number
  readonly first: number
  #offsets = new Uint32Array(64)
  #count = 0

  constructor(segment: number, first: number) {
    this.segment = segment
    this.first = first
  }

  get next(): number {
    return this.first + this.#count
  }

  add(offset: number): void {
    if (this.#count === this.#offsets.length) {
      const larger = new Uint32Array(this.#count * 2)
      larger.set(this.#offsets)
      this.#offsets = larger
    }
    this.#offsets[this.#count++] = offset
  }

  has(number: number): boolean {
    return number >= this.first && number < this.next
  }

  /** Offset of a write set that it has. */
  at(number: number): number {
    return this.#offsets[number - this.first] as number
  }
}

export class WriteSetPlaces {
  readonly #boundaryId: Buffer
  readonly #keys: JournalKeys
  readonly #readers: SegmentReaders
  /** Of each segment its first sequence number and the number that its first write set has, or will have. */
  readonly #segments: number[] = []
  readonly #firstNumbers: number[] = []
  readonly #timesBefore: number[] = []
  /** Of the last segment: from the first one that was seen being written or replayed. */
  #tail: Offsets | undefined
  #walked: Offsets | undefined

  #base: Base

  constructor(boundaryId: Buffer, keys: JournalKeys, readers: SegmentReaders, base: Base) {
    this.#boundaryId = boundaryId
    this.#base = base
    this.#keys = keys
    this.#readers = readers
  }

  /** A segment follows; the next write set that is added stands in it. `timeBefore`: of the last record before it. */
  segment(firstSeq: number, nextWriteSet: number, timeBefore: number): void {
    this.#segments.push(firstSeq)
    this.#firstNumbers.push(nextWriteSet)
    this.#timesBefore.push(timeBefore)
    this.#tail = new Offsets(firstSeq, nextWriteSet)
  }

  /** Where the journal begins. */
  get base(): Base {
    return this.#base
  }

  starts(): SegmentStart[] {
    return this.#segments.map((firstSeq, at) => ({ firstSeq, timeBefore: this.#timesBefore[at] as number }))
  }

  /** The journal begins here from now on: the segments before are gone. */
  begin(base: Base): void {
    this.#base = base
    const gone = this.#segments.indexOf(base.seq)
    for (const column of [this.#segments, this.#firstNumbers, this.#timesBefore]) column.splice(0, gone)
    if ((this.#walked?.segment ?? base.seq) < base.seq) this.#walked = undefined
  }

  /** The next write sets are added from this number on: a snapshot stands for those before. */
  continueAt(number: number): void {
    this.#tail = new Offsets(this.#segments.at(-1) as number, number)
  }

  /** The first record of the oldest segment that begins at this record or behind it; undefined where there is none. */
  segmentFrom(seq: number): number | undefined {
    return this.#segments.find(first => first >= seq)
  }

  /** The next write set, in the last segment. */
  add(offset: number): void {
    this.#tail?.add(offset)
  }

  async read(location: Location): Promise<OpenedWriteSet> {
    return this.#readers.use(location.segment, async (file, seed) => {
      const damage = (what: string): JournalDamage => new JournalDamage(file.path, location.offset, -1, what)
      // Nearly every frame fits into the first read.
      let bytes = Buffer.allocUnsafe(FIRST_READ_BYTES)
      bytes = bytes.subarray(0, await file.read(bytes, location.offset))
      if (bytes.length < FRAME_BYTES) throw damage('a frame is cut short')
      const length = bytes.readUInt32BE(4)
      if (length > MAX_FRAME_BYTES) throw damage('a frame of impossible length')
      if (length > bytes.length) {
        bytes = Buffer.allocUnsafe(length)
        bytes = bytes.subarray(0, await file.read(bytes, location.offset))
      }
      return this.#open(bytes, 0, seed, damage)
    })
  }

  #open(bytes: Buffer, at: number, seed: number, damage: (what: string) => JournalDamage): OpenedWriteSet {
    const frame = parseFrame(bytes, at, seed)
    if (typeof frame === 'string') throw damage(frame)
    const writeSetKey = this.#keys.writeSetOf(frame.seq)
    if (writeSetKey === undefined) throw new WriteSetGone()
    const opened = openWriteSet(frame, { boundaryId: this.#boundaryId, writeSetKey })
    if (opened === undefined) throw damage('a write set does not open')
    return opened
  }

  /** Write sets above one number and up to another, oldest first. */
  async readAfter(after: number, last: number): Promise<OpenedWriteSet[]> {
    const sets: OpenedWriteSet[] = []
    for (let next = after + 1; next <= last; next = after + 1 + sets.length)
      sets.push(...(await this.#readFrom(next, last)))
    return sets
  }

  /** Write sets from this number on, oldest first: at least one, none above `last`. What stands close together is read together. */
  async #readFrom(number: number, last: number): Promise<OpenedWriteSet[]> {
    const offsets = await this.#offsetsOf(number)
    const from = offsets.at(number)
    const sets: OpenedWriteSet[] = []
    await this.#readers.use(offsets.segment, async (file, seed) => {
      const damage = (what: string): JournalDamage => new JournalDamage(file.path, from, -1, what)
      const wanted = Math.min(last, offsets.next - 1)
      let bytes = Buffer.allocUnsafe(Math.min(WINDOW_BYTES, offsets.at(wanted) - from + FIRST_READ_BYTES))
      bytes = bytes.subarray(0, await file.read(bytes, from))
      for (let next = number; next <= wanted; next++) {
        const at = offsets.at(next) - from
        if (at + FRAME_BYTES > bytes.length || at + bytes.readUInt32BE(at + 4) > bytes.length) break
        sets.push(this.#open(bytes, at, seed, damage))
      }
    })
    if (sets.length === 0) sets.push(await this.read({ segment: offsets.segment, offset: from }))
    for (const [index, set] of sets.entries()) {
      if (set.number !== number + index)
        throw new JournalDamage(`segment ${offsets.segment}`, from, -1, 'a write set is not the next one')
    }
    return sets
  }

  async #offsetsOf(number: number): Promise<Offsets> {
    if (this.#tail?.has(number)) return this.#tail
    if (this.#walked?.has(number)) return this.#walked
    if (number < (this.#firstNumbers[0] ?? 1)) throw new WriteSetGone('the write set was erased')
    let low = 0
    for (let high = this.#segments.length - 1; low < high; ) {
      const middle = Math.ceil((low + high) / 2)
      if ((this.#firstNumbers[middle] as number) <= number) low = middle
      else high = middle - 1
    }
    const next = this.#firstNumbers[low + 1] ?? this.#tail?.first ?? 1
    const walked = await this.#walk(this.#segments[low] as number, this.#firstNumbers[low] as number, next)
    this.#walked = walked
    return walked
  }

  /** Walks the heads of a segment's frames until it has the write sets from `first` to before `next`. */
  async #walk(segment: number, first: number, next: number): Promise<Offsets> {
    const offsets = new Offsets(segment, first)
    await this.#readers.use(segment, async file => {
      const window = Buffer.allocUnsafe(WINDOW_BYTES)
      let base = HEADER_BYTES
      let at = HEADER_BYTES
      let filled = await file.read(window, base)
      while (offsets.next < next) {
        if (at + FRAME_BYTES > base + filled) {
          base = at
          filled = await file.read(window, base)
        }
        const head = at - base
        const length = filled - head < FRAME_BYTES ? 0 : window.readUInt32BE(head + 4)
        if (length < FRAME_BYTES || !window.subarray(head, head + 4).equals(FRAME_MAGIC))
          throw new JournalDamage(file.path, at, -1, 'no frame begins here')
        if (window.readUInt32BE(head + 24) > 0) offsets.add(at)
        at += length
      }
    })
    return offsets
  }
}
