/** The index of an archive: which segments are in it, and what they must be. See docs/formats/archive.md. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { segmentName } from '../boundary/journal/segments.ts'
import type { Base } from '../boundary/journal/types.ts'
import { NoteError } from './note.ts'

const FORMAT = 'holdfast-log-archive-1'
const MAX_BYTES = 64 * 1024 * 1024
const COUNT = '(0|[1-9]\\d{0,15})'
const HASH = '([0-9a-f]{64})'
const BOUNDARY = /^boundary ([0-9a-f]{32})$/
const KEY = /^key (\S{1,512})$/
const BEGINS = new RegExp(`^begins ${COUNT} ${COUNT} ${HASH}$`)
const SEGMENT = new RegExp(`^segment ${COUNT} ${COUNT} ${COUNT} ${COUNT} ${HASH} ${HASH}$`)

export interface ArchivedSegment {
  /** Its first entry, after which its file is named. */
  readonly first: number
  readonly entries: number
  readonly bytes: number
  /** Time of its last entry. */
  readonly lastTime: number
  /** Of the file, in hex. */
  readonly sha256: string
  /** Of the tree of all entries up to its last one. */
  readonly root: Buffer
}

export interface ArchiveIndex {
  readonly boundaryId: Buffer
  /** The log's verifier key. */
  readonly vkey: string
  /** Where its first segment begins. */
  readonly base: Base
  readonly segments: readonly ArchivedSegment[]
}

export const indexFile = (dir: string): string => join(dir, 'index')

export const archivedFile = (dir: string, { first }: Pick<ArchivedSegment, 'first'>): string =>
  join(dir, 'journal', segmentName(first))

/** The entry that follows the last one in the archive, and the root before it. */
export function endOf({ base, segments }: ArchiveIndex): { readonly seq: number; readonly root: Buffer } {
  const last = segments.at(-1)
  return last === undefined ? base : { seq: last.first + last.entries, root: last.root }
}

export function encodeIndex({ boundaryId, vkey, base, segments }: ArchiveIndex): Buffer {
  const lines = [
    FORMAT,
    `boundary ${boundaryId.toString('hex')}`,
    `key ${vkey}`,
    `begins ${base.seq} ${base.writeSet} ${base.root.toString('hex')}`,
    ...segments.map(
      ({ first, entries, bytes, lastTime, sha256, root }) =>
        `segment ${first} ${entries} ${bytes} ${lastTime} ${sha256} ${root.toString('hex')}`,
    ),
  ]
  return Buffer.from(`${lines.join('\n')}\n`)
}

/** Throws `NoteError` for what is no index, or one whose segments do not follow each other. */
export async function readIndex(dir: string): Promise<ArchiveIndex> {
  const file = indexFile(dir)
  const bytes = await readFile(file)
  const bad = (line: number, what: string) => new NoteError(`${file}, line ${line}: ${what}`)
  if (bytes.length > MAX_BYTES) throw bad(1, 'an index is shorter')
  const lines = bytes.toString('utf8').split('\n')
  if (lines[0] !== FORMAT) throw bad(1, `an index of an archive begins with ${FORMAT}`)
  const [, boundaryId] = BOUNDARY.exec(lines[1] ?? '') ?? []
  const [, vkey] = KEY.exec(lines[2] ?? '') ?? []
  const [, seq, writeSet, root = ''] = BEGINS.exec(lines[3] ?? '') ?? []
  if (boundaryId === undefined || vkey === undefined || seq === undefined)
    throw bad(2, 'boundary, key or beginning is none')
  if (lines.at(-1) !== '') throw bad(lines.length, 'it is cut short')
  const base = { seq: Number(seq), writeSet: Number(writeSet), root: Buffer.from(root, 'hex') }
  let next = base.seq
  const segments = lines.slice(4, -1).map((line, at): ArchivedSegment => {
    const [, first, entries, size, lastTime, sha256 = '', rootAfter = ''] = SEGMENT.exec(line) ?? []
    if (first === undefined || Number(first) !== next || Number(entries) === 0)
      throw bad(at + 5, `this is no segment that begins with entry ${next}`)
    next += Number(entries)
    return {
      first: Number(first),
      entries: Number(entries),
      bytes: Number(size),
      lastTime: Number(lastTime),
      sha256,
      root: Buffer.from(rootAfter, 'hex'),
    }
  })
  return { boundaryId: Buffer.from(boundaryId, 'hex'), vkey, base, segments }
}
