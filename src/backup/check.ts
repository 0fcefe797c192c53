/**
 * Bytes of a journal on their way, into a backup or out of one: every frame's crc, the chain, times, numbers of write sets, and the tree. Only whole
 * frames that are in their place pass.
 */
import {
  FRAME_BYTES,
  HEADER_BYTES,
  leafOf,
  MAX_FRAME_BYTES,
  parseFrame,
  parseHeader,
} from '../boundary/journal/frame.ts'
import { leafHash, type Tree } from '../boundary/journal/merkle.ts'
import { segmentName } from '../boundary/journal/segments.ts'
import type { TreeHead } from '../boundary/journal/types.ts'
import { Bad } from '../log/bad.ts'
import type { Place } from './format.ts'

const EMPTY = Buffer.alloc(0)

export class JournalChecker {
  readonly #boundaryId: Buffer
  readonly tree: Tree
  #lastTime: number
  #writeSet: number
  #segment: number
  #offset: number
  #crc: number
  /** crc of the segment's header, from which those of its frames start; undefined before the header. */
  #seed: number | undefined
  #rest: Buffer = EMPTY
  /** Roots that are known from elsewhere, by size. */
  readonly #known = new Map<number, Buffer>()
  /** Told of every record in its place. */
  onRecord: (record: Buffer) => void = () => {}

  /** `seed`: of a place inside a segment, the crc of that segment's header. */
  constructor(boundaryId: Buffer, from: Place, tree: Tree, seed?: number) {
    this.#boundaryId = boundaryId
    this.tree = tree
    this.#lastTime = from.lastTime
    this.#writeSet = from.lastWriteSet
    this.#segment = from.segment
    this.#offset = from.offset
    this.#crc = from.crc
    this.#seed = seed
  }

  get place(): Place {
    return {
      size: this.tree.size,
      lastTime: this.#lastTime,
      lastWriteSet: this.#writeSet,
      segment: this.#segment,
      offset: this.#offset,
      crc: this.#crc,
      root: this.tree.root(),
    }
  }

  get #file(): string {
    return segmentName(this.#segment)
  }

  /** A root that must be that of the tree when it has this size. */
  expect({ size, root }: TreeHead): void {
    if (size === this.tree.size) this.#compare(size, root)
    else if (size > this.tree.size) this.#known.set(size, root)
  }

  #compare(size: number, root: Buffer): void {
    if (!this.tree.root().equals(root))
      throw new Bad(
        this.#file,
        this.#offset,
        size,
        `the records up to here do not make the root that was signed for ${size} records`,
      )
  }

  /** The segment that follows begins: named by the number of records so far. Its header comes first. */
  nextSegment(): void {
    if (this.#rest.length > 0) throw new Bad(this.#file, this.#offset, this.tree.size, 'a frame is cut short')
    this.#segment = this.tree.size
    this.#offset = 0
    this.#seed = undefined
  }

  /**
   * Takes bytes that follow the last ones, and returns those of them, and of what was left over before, that are whole frames of at most `until` records in
   * all. Throws `Bad` for what is wrong.
   */
  push(bytes: Buffer, until = Number.POSITIVE_INFINITY): Buffer {
    const all = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes])
    let at = 0
    if (this.#seed === undefined) {
      if (all.length < HEADER_BYTES) {
        this.#rest = Buffer.from(all)
        return EMPTY
      }
      this.#header(all.subarray(0, HEADER_BYTES))
      at = HEADER_BYTES
    }
    while (this.tree.size < until && all.length - at >= FRAME_BYTES) {
      const length = all.readUInt32BE(at + 4)
      if (length > all.length - at && length <= MAX_FRAME_BYTES) break
      at += this.#frame(all, at)
    }
    this.#rest = Buffer.from(all.subarray(at))
    return all.subarray(0, at)
  }

  /** Bytes that were taken and are not a whole frame. */
  get unfinished(): number {
    return this.#rest.length
  }

  #header(bytes: Buffer): void {
    const bad = (what: string) => new Bad(this.#file, 0, this.tree.size, what)
    let header: ReturnType<typeof parseHeader>
    try {
      header = parseHeader(bytes)
    } catch (error) {
      throw bad((error as Error).message)
    }
    if (!header.boundaryId.equals(this.#boundaryId)) throw bad('the segment is another boundary’s')
    if (header.firstSeq !== this.tree.size || header.firstSeq !== this.#segment)
      throw bad(`the segment begins with record ${header.firstSeq} where ${this.tree.size} should follow`)
    if (
      header.nextWriteSet !== this.#writeSet + 1 ||
      header.lastTime !== this.#lastTime ||
      header.lastCrc !== this.#crc
    )
      throw bad('the segment does not follow the one before')
    if (!header.root.equals(this.tree.root()))
      throw bad('the tree root in the segment’s header is not that of the records before')
    this.#seed = header.crc
    this.#crc = header.crc
    this.#offset = HEADER_BYTES
  }

  #frame(bytes: Buffer, at: number): number {
    const frame = parseFrame(bytes, at, this.#seed ?? 0)
    const bad = (what: string) => new Bad(this.#file, this.#offset, this.tree.size, what)
    if (typeof frame === 'string') throw bad(frame)
    const { seq, time, sealed, salted, length, crc } = frame
    if (seq !== this.tree.size || frame.previousCrc !== this.#crc || frame.batch > seq)
      throw bad('a frame out of its place')
    if (time < this.#lastTime) throw bad('a record is earlier than the one before')
    if (sealed !== undefined && Number(sealed.readBigUInt64BE(0)) !== this.#writeSet + 1)
      throw bad('a write set is not the next one')
    const leaf = leafOf(seq, time, salted)
    this.tree.push(leaf, leafHash(leaf))
    if (sealed !== undefined) this.#writeSet++
    this.#lastTime = time
    this.#crc = crc
    this.#offset += length
    this.onRecord(frame.record)
    const root = this.#known.get(this.tree.size)
    if (root !== undefined) this.#compare(this.tree.size, root)
    return length
  }
}
