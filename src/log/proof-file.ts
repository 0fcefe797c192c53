/** Proofs that leave the house: C2SP tlog-proof@v1, one entry with its path to a signed checkpoint, checked by anyone who has the verifier key. */
import { hash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { LEAF_BYTES, leafOf, SALT_BYTES } from '../boundary/journal/frame.ts'
import { ENTRY_BYTES, leafHash, TILE_WIDTH } from '../boundary/journal/merkle.ts'
import { segmentName } from '../boundary/journal/segments.ts'
import { endOf, readIndex } from './archive-index.ts'
import { erasedText } from './erased.ts'
import { openFolder } from './folder.ts'
import {
  type CheckpointText,
  decodeBase64,
  MAX_NOTE_BYTES,
  NoteError,
  parseCheckpoint,
  parseNote,
  type Verified,
  type Verifier,
  verifyNote,
} from './note.ts'
import { proveInclusion, verifyInclusion } from './proofs.ts'
import { SegmentFile, segmentFiles } from './read.ts'
import { readTile, tileSubtrees } from './tiles.ts'

const FIRST_LINE = 'c2sp.org/tlog-proof@v1'
const NO_ENTRY = 'there is no such entry'

export interface CheckedProof {
  readonly index: number
  readonly time: number
  readonly checkpoint: CheckpointText
  readonly signatures: readonly Verified[]
  /** The record, where the proof brings it. */
  readonly record: Buffer | undefined
}

interface ProvenEntry {
  readonly leaf: Buffer
  /** Salt and record; undefined where only the leaf is there. */
  readonly salted: Buffer | undefined
}

/**
 * Salt and record of one entry, and its leaf: of an entry that the journal no longer has, from the archive, or without one the leaf alone. Throws `NoteError`
 * where there is no such entry.
 */
async function readEntry(
  boundary: string,
  seq: number,
  size: number,
  archive: string | undefined,
): Promise<ProvenEntry> {
  const { base, archive: own } = await openFolder(boundary)
  const after = own === undefined ? Number.POSITIVE_INFINITY : endOf(own).seq
  if (seq >= base.seq && seq < after) return entryIn(boundary, seq)
  if (archive !== undefined) {
    const index = await readIndex(archive)
    if (seq >= index.base.seq && seq < endOf(index).seq) return entryIn(archive, seq)
  }
  if (seq >= size) throw new NoteError(NO_ENTRY)
  const bundle = readTile(boundary, 'entries', Math.floor(seq / TILE_WIDTH), size)
  const at = (seq % TILE_WIDTH) * ENTRY_BYTES + 2
  return { leaf: bundle.subarray(at, at + LEAF_BYTES), salted: undefined }
}

async function entryIn(folder: string, seq: number): Promise<ProvenEntry> {
  const file = (await segmentFiles(folder))
    .filter(each => each.slice(-segmentName(0).length) <= segmentName(seq))
    .at(-1)
  if (file === undefined) throw new NoteError(NO_ENTRY)
  const segment = await SegmentFile.open(file)
  try {
    await segment.readHeader()
    for (;;) {
      const entry = await segment.next()
      if (typeof entry !== 'object') throw new NoteError(entry ?? NO_ENTRY)
      if (entry.seq === seq)
        return { leaf: leafOf(entry.seq, entry.time, entry.salted), salted: Buffer.from(entry.salted) }
    }
  } finally {
    await segment.close()
  }
}

/**
 * The proof that entry `seq` is in the newest checkpoint. Throws `NoteError`: no such entry, not in a checkpoint yet, a record that was erased and is in no
 * archive that was named, or tiles that do not fit.
 */
export async function makeProof(boundary: string, seq: number, withRecord: boolean, archive?: string): Promise<string> {
  const note = readFileSync(join(boundary, 'checkpoint'))
  const { size, root } = parseCheckpoint(parseNote(note).text)
  const { leaf, salted } = await readEntry(boundary, seq, size, archive)
  if (withRecord && salted === undefined) throw new NoteError(await erasedText(boundary, seq))
  if (seq >= size)
    throw new NoteError(`entry ${seq} is newer than the checkpoint, which covers ${size}; try again in a second`)
  const path = proveInclusion(tileSubtrees(boundary, size), seq, size)
  if (!verifyInclusion(seq, size, leafHash(leaf), path, root))
    throw new NoteError('journal, tiles and checkpoint do not agree: holdfast log verify says where')
  const extra = withRecord && salted !== undefined ? Buffer.concat([leaf, salted]) : leaf
  const lines = [
    FIRST_LINE,
    `extra ${extra.toString('base64')}`,
    `index ${seq}`,
    ...path.map(each => each.toString('base64')),
  ]
  return `${lines.join('\n')}\n\n${note.toString('utf8')}`
}

/** Checks a proof against verifier keys and nothing else. Throws `NoteError` with what is wrong. */
export function checkProof(bytes: Buffer, verifiers: readonly Verifier[]): CheckedProof {
  if (bytes.length > MAX_NOTE_BYTES) throw new NoteError(`a proof is longer than ${MAX_NOTE_BYTES} bytes`)
  const text = bytes.toString('utf8')
  const end = text.indexOf('\n\n')
  const lines = text.slice(0, end).split('\n')
  if (end < 0 || lines[0] !== FIRST_LINE) throw new NoteError(`a proof begins with ${FIRST_LINE}`)
  const extra = decodeBase64(/^extra (.+)$/.exec(lines[1] ?? '')?.[1] ?? '')
  if (extra === undefined || extra.length < LEAF_BYTES) throw new NoteError('the proof brings no leaf')
  const index = /^index (0|[1-9]\d{0,15})$/.exec(lines[2] ?? '')?.[1]
  const path = lines.slice(3).map(decodeBase64)
  if (index === undefined || !path.every(each => each?.length === 32)) throw new NoteError('the proof is malformed')
  const note = parseNote(Buffer.from(text.slice(end + 2)))
  const signatures = verifyNote(note, verifiers)
  const checkpoint = parseCheckpoint(note.text)
  if (!verifiers.some(({ name }) => name === checkpoint.origin))
    throw new NoteError(`the checkpoint is of ${checkpoint.origin}, another log`)
  const leaf = extra.subarray(0, LEAF_BYTES)
  const seq = Number(index)
  if (Number(leaf.readBigUInt64BE(0)) !== seq) throw new NoteError('the leaf is that of another entry')
  if (!verifyInclusion(seq, checkpoint.size, leafHash(leaf), path as Buffer[], checkpoint.root))
    throw new NoteError(`entry ${seq} is not in the tree that the checkpoint signs`)
  const salted = extra.subarray(LEAF_BYTES)
  if (salted.length > 0 && !hash('sha256', salted, 'buffer').equals(leaf.subarray(16)))
    throw new NoteError('the record is not the one that the leaf stands for')
  const record = salted.length > SALT_BYTES ? salted.subarray(SALT_BYTES) : undefined
  return { index: seq, time: Number(leaf.readBigUInt64BE(8)), checkpoint, signatures, record }
}
