/**
 * Where the journal begins, when it is not where the root file says: a root file that was put back from a kit is older than the journal, or a journal that
 * was put back from a backup is older than the root file. The journal itself tells: it holds the record of the erasing that made it begin where it does.
 */
import path from 'node:path'
import { WHOLE } from '../journal/beginning.ts'
import { CheckpointSigner } from '../journal/checkpoint.ts'
import { type Disk, readWhole, realDisk, replaceFile } from '../journal/disk.ts'
import { HEADER_BYTES, leafOf, parseFrame } from '../journal/frame.ts'
import { leafHash, Tree } from '../journal/merkle.ts'
import { regrow } from '../journal/regrow.ts'
import { isSegmentName, listSegments } from '../journal/segments.ts'
import { type Base, JournalDamage } from '../journal/types.ts'
import { decodeRecord } from '../record.ts'
import { type OpenedRoot, withBase } from '../root/rootfile.ts'

const MAX_SEGMENT_BYTES = 2 ** 32
const MAX_CHECKPOINT_BYTES = 64 * 1024

export interface BeginningParts {
  readonly disk: Disk
  /** The boundary's folder. */
  readonly dir: string
  readonly root: OpenedRoot
  readonly origin: string
}

/** The root with the beginning that was found, in its file too. */
export async function beginThere(root: OpenedRoot, rootFile: string, base: Base): Promise<OpenedRoot> {
  if (base.seq === root.file.base.seq) return root
  const { bytes, opened } = withBase(root, base)
  await replaceFile(realDisk, rootFile, bytes)
  return opened
}

/**
 * The beginning that the root file names; or the one of the journal that is there, where its records say that all before it were erased, and the signed
 * checkpoint vouches for them. Throws `JournalDamage` where neither can be.
 */
export async function beginningOf(parts: BeginningParts): Promise<Base> {
  const { disk, dir, root } = parts
  const named = root.file.base
  const folder = path.join(dir, 'journal')
  const [first] = (await disk.readdir(folder)).filter(isSegmentName)
  const seq = first === undefined ? named.seq : Number(first.slice(0, 20))
  if (seq === named.seq) return named
  const found = await walk(parts, folder, seq)
  // What stands before was left by an erasing that was interrupted: the journal removes it.
  if (seq < named.seq && found.erased.has(named.seq)) return named
  if (found.isVouched && (seq === 0 || found.erased.has(seq))) return found.base
  const what = `the journal begins with record ${seq}, the root file says ${named.seq}, and no record says that those before were erased`
  throw new JournalDamage(path.join(folder, first ?? ''), 0, seq, what)
}

interface Walked {
  readonly base: Base
  /** Whether the records make the root of the signed checkpoint; or all of them stand before it: opening refuses that older state by itself, until it is accepted. */
  readonly isVouched: boolean
  /** Records before which all were erased, as records say. */
  readonly erased: ReadonlySet<number>
}

/** Reads the journal from its first segment on, as far as it can be read: the start says what is wrong with the rest. */
async function walk({ disk, dir, root, origin }: BeginningParts, folder: string, seq: number): Promise<Walked> {
  const note = await readWhole(disk, path.join(dir, 'checkpoint'), MAX_CHECKPOINT_BYTES)
  const checkpoint = new CheckpointSigner(origin, root.logKey).open(note?.toString() ?? '')
  const segments = await listSegments(disk, folder, seq)
  const header = segments[0]?.header
  const base =
    seq === 0 || typeof header !== 'object' ? WHOLE : { seq, writeSet: header.nextWriteSet - 1, root: header.root }
  const state = seq === 0 ? undefined : await regrow(disk, dir, seq, base.root)
  const tree = state === undefined ? new Tree(() => {}) : Tree.from(state, () => {})
  const erased = new Set<number>()
  let next = seq
  let isSigned = false
  for (const segment of segments) {
    if (typeof segment.header === 'string') break
    const bytes = (await readWhole(disk, segment.file, MAX_SEGMENT_BYTES)) ?? Buffer.alloc(0)
    for (let at = HEADER_BYTES; at < bytes.length; ) {
      const frame = parseFrame(bytes, at, segment.header.crc)
      if (typeof frame === 'string' || frame.seq !== next) return { base, isVouched: isSigned, erased }
      next++
      const leaf = leafOf(frame.seq, frame.time, frame.salted)
      tree.push(leaf, leafHash(leaf))
      isSigned ||= next === checkpoint?.size && tree.root().equals(checkpoint.root)
      const to = erasedBefore(frame.record)
      if (to !== undefined) erased.add(to)
      at += frame.length
    }
  }
  return { base, isVouched: isSigned || (checkpoint !== undefined && next < checkpoint.size), erased }
}

function erasedBefore(record: Buffer): number | undefined {
  const { boundaryOperation, outcome, transition } = decodeRecord(record)
  if (boundaryOperation !== 'eraseSegments' || outcome !== 'allowed') return undefined
  return Number(/>(\d+)$/.exec(transition ?? '')?.[1] ?? Number.NaN)
}
