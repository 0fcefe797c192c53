/**
 * Where a journal begins once its oldest segments were erased: the tree of what is gone grows again from tiles, and the segment at the beginning must say
 * the same as who knows it from elsewhere. And the erasing itself. See docs/formats/journal.md, "Erasing".
 */
import path from 'node:path'
import { FormatError } from '../bytes.ts'
import { type Derived, isNoRoom } from './derived.ts'
import type { Disk } from './disk.ts'
import { HEADER_BYTES, parseHeader, type SegmentHeader } from './frame.ts'
import { EMPTY_ROOT, type Tile, Tree } from './merkle.ts'
import type { WriteSetPlaces } from './places.ts'
import { regrow } from './regrow.ts'
import type { Chain } from './scan.ts'
import { removeSegmentsBefore, type Segment, type SegmentReaders, segmentName } from './segments.ts'
import { type Base, JournalDamage, type JournalOptions } from './types.ts'

/** Where a journal begins of which nothing was erased. */
export const WHOLE: Base = { seq: 0, writeSet: 0, root: EMPTY_ROOT }

/** The header of the segment at the beginning; undefined where nothing was erased. Throws `JournalDamage` where it is not the one that was named. */
export function headerAt(folder: string, base: Base, segments: readonly Segment[]): SegmentHeader | undefined {
  if (base.seq === 0) return undefined
  const [first] = segments
  const file = path.join(folder, segmentName(base.seq))
  const damage = (what: string) => new JournalDamage(file, 0, base.seq, what)
  if (first === undefined || first.name !== segmentName(base.seq))
    throw damage('the segment with which the journal begins is not there')
  if (typeof first.header === 'string') throw damage(first.header)
  if (!first.header.root.equals(base.root) || first.header.nextWriteSet !== base.writeSet + 1)
    throw damage('the segment with which the journal begins is not the one that the root file names')
  return first.header
}

/** The chain before the first segment, for a start without a snapshot. Throws `JournalDamage` where the tiles of erased records are not right. */
export async function chainAt(
  { disk, dir }: Pick<JournalOptions, 'disk' | 'dir'>,
  base: Base,
  header: SegmentHeader | undefined,
  onFull: (tile: Tile) => void,
): Promise<Chain> {
  if (header === undefined) return { seq: 0, time: 0, writeSet: 0, crc: 0, tree: new Tree(onFull) }
  const state = await regrow(disk, dir, base.seq, base.root)
  if (state === undefined) {
    const what = 'the tiles of the erased records do not make their root: take them from an archive or a backup'
    throw new JournalDamage(path.join(dir, 'tile'), 0, base.seq, what)
  }
  return {
    seq: base.seq,
    time: header.lastTime,
    writeSet: base.writeSet,
    crc: header.lastCrc,
    tree: Tree.from(state, onFull),
  }
}

export interface Erasing {
  readonly options: Pick<JournalOptions, 'disk' | 'dir'>
  readonly derived: Derived
  readonly readers: SegmentReaders
  readonly places: WriteSetPlaces
}

/**
 * Erases what stands before record `seq`. `snapshot` has one written of all that is durable; `begin` makes durable that the journal begins there. Until
 * it has, nothing is lost; afterwards a start removes what this could not. Throws RangeError for what is no segment's first record.
 */
export async function eraseBefore(
  { options, derived, readers, places }: Erasing,
  seq: number,
  snapshot: () => Promise<void>,
  begin: (base: Base) => Promise<void>,
): Promise<void> {
  if (seq <= places.base.seq || !places.starts().some(({ firstSeq }) => firstSeq === seq))
    throw new RangeError(`nothing stands before record ${seq} that could be erased`)
  const { disk, dir } = options
  const folder = path.join(dir, 'journal')
  const base = await baseAt(disk, folder, seq)
  await derived.keep(seq)
  await snapshot().catch((error: unknown) => {
    // Erasing makes room: the next start reads what a snapshot would have spared it.
    if (!isNoRoom(error)) throw error
  })
  await begin(base)
  places.begin(base)
  await readers.forgetBefore(seq)
  await removeSegmentsBefore(disk, folder, seq)
}

/** What a journal says that begins with this record. Throws `JournalDamage`. */
async function baseAt(disk: Disk, folder: string, seq: number): Promise<Base> {
  const file = path.join(folder, segmentName(seq))
  const opened = await disk.open(file, 'read')
  try {
    const bytes = Buffer.alloc(HEADER_BYTES)
    const { nextWriteSet, root } = parseHeader(bytes.subarray(0, await opened.read(bytes, 0)))
    return { seq, writeSet: nextWriteSet - 1, root }
  } catch (error) {
    if (!(error instanceof FormatError)) throw error
    throw new JournalDamage(file, 0, seq, error.message)
  } finally {
    await opened.close()
  }
}
