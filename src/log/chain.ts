/**
 * A log that is walked from front to back: the tree of its entries, and what each segment and each entry must say to follow the one before. Where records
 * were erased, their leaves stand for them: those have the tree and the times, and nothing of the chain between frames.
 */
import { basename } from 'node:path'
import { leafOf, type SegmentHeader } from '../boundary/journal/frame.ts'
import { leafHash, type Tree } from '../boundary/journal/merkle.ts'
import { segmentName } from '../boundary/journal/segments.ts'
import { Bad } from './bad.ts'
import type { Entry } from './read.ts'

export class LogChain {
  readonly tree: Tree
  boundaryId: Buffer | undefined
  writeSets = 0
  crc = 0
  firstTime = 0
  lastTime = 0
  /** What stands before is known by its leaves alone, so the next header is believed about crc and write sets. */
  #unlinked: boolean

  constructor(tree: Tree, boundaryId: Buffer | undefined) {
    this.tree = tree
    this.boundaryId = boundaryId
    this.#unlinked = tree.size > 0
  }

  get seq(): number {
    return this.tree.size
  }

  /** Throws `Bad`. */
  header(file: string, header: SegmentHeader): void {
    this.boundaryId ??= header.boundaryId
    const unlinked = this.#unlinked
    const what = !header.boundaryId.equals(this.boundaryId)
      ? 'the segment is another boundary’s'
      : basename(file) !== segmentName(header.firstSeq)
        ? 'the file’s name and its header do not agree'
        : header.firstSeq !== this.seq
          ? `the segment begins with entry ${header.firstSeq} where ${this.seq} should follow`
          : (!unlinked && (header.nextWriteSet !== this.writeSets + 1 || header.lastCrc !== this.crc)) ||
              (this.lastTime !== 0 || !unlinked ? header.lastTime !== this.lastTime : false)
            ? 'the segment does not follow the one before'
            : !header.root.equals(this.tree.root())
              ? 'the tree root in the segment’s header is not that of the entries before'
              : undefined
    if (what !== undefined) throw new Bad(file, 0, this.seq, what)
    if (unlinked) this.writeSets = header.nextWriteSet - 1
    this.lastTime = header.lastTime
    this.crc = header.crc
    this.#unlinked = false
  }

  /** Throws `Bad`. */
  entry(entry: Entry): void {
    const { file, offset, seq, time, sealed } = entry
    const what =
      seq !== this.seq || entry.previousCrc !== this.crc || entry.batch > seq
        ? 'an entry out of its place'
        : time < this.lastTime
          ? 'an entry is earlier than the one before'
          : sealed !== undefined && Number(sealed.readBigUInt64BE(0)) !== this.writeSets + 1
            ? 'a write set is not the next one'
            : undefined
    if (what !== undefined) throw new Bad(file, offset, this.seq, what)
    if (sealed !== undefined) this.writeSets++
    this.crc = entry.crc
    this.#push(leafOf(seq, time, entry.salted), time)
  }

  /** A leaf of a bundle, which stands there for an entry that is not read. Throws `Bad`. */
  leaf(file: string, offset: number, leaf: Buffer): void {
    const time = Number(leaf.readBigUInt64BE(8))
    const what =
      Number(leaf.readBigUInt64BE(0)) !== this.seq
        ? 'the leaf of another entry'
        : time < this.lastTime
          ? 'an entry is earlier than the one before'
          : undefined
    if (what !== undefined) throw new Bad(file, offset, this.seq, what)
    this.#unlinked = true
    this.#push(leaf, time)
  }

  #push(leaf: Buffer, time: number): void {
    if (this.seq === 0) this.firstTime = time
    this.tree.push(leaf, leafHash(leaf))
    this.lastTime = time
  }
}
