/**
 * Copies closed segments of a log into an archive, with tiles, bundles and the checkpoint that cover them: each is checked against the signed tree before it
 * is copied and after, and the index, which is replaced last, says what is there. See docs/formats/archive.md.
 */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, readFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { datasync, isCode, realDisk, replaceFile } from '../boundary/journal/disk.ts'
import { type Tile, Tree } from '../boundary/journal/merkle.ts'
import { regrow } from '../boundary/journal/regrow.ts'
import { segmentName } from '../boundary/journal/segments.ts'
import type { Base } from '../boundary/journal/types.ts'
import { type ArchivedSegment, type ArchiveIndex, archivedFile, encodeIndex, endOf, indexFile, readIndex } from './archive-index.ts' // biome-ignore format: one line says it
import { copyTiles, removePartial } from './archive-tiles.ts'
import { Bad } from './bad.ts'
import { LogChain } from './chain.ts'
import { openFolder, walkLeaves } from './folder.ts'
import {
  type CheckpointText,
  NoteError,
  parseCheckpoint,
  parseNote,
  parseVerifier,
  verifyNote,
  vkeyOf,
} from './note.ts'
import { SegmentFile, segmentFiles } from './read.ts'
import { PublishedTiles } from './verify-tiles.ts'

const PIECE_BYTES = 1024 * 1024

export interface ArchiveOptions {
  /** The log's verifier key, from somewhere else than the folder. */
  readonly vkey?: string
  readonly onProgress?: (done: { readonly bytes: number; readonly total: number }) => void
}

export interface Archived {
  readonly index: ArchiveIndex
  /** Segments that were copied now, with their entries and bytes. */
  readonly copied: number
  readonly entries: number
  readonly bytes: number
  /** Entries that the archive's checkpoint covers. */
  readonly size: number
}

/** SHA-256 of a file, in hex. */
export async function sha256Of(file: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const piece of createReadStream(file, { highWaterMark: PIECE_BYTES })) hash.update(piece as Buffer)
  return hash.digest('hex')
}

/** Brings an archive up to date; makes it where there is none. Throws `NoteError` or `Bad`: nothing in the archive has changed then that its index names. */
export async function archiveLog(boundary: string, dir: string, options: ArchiveOptions = {}): Promise<Archived> {
  const { base, root } = await openFolder(boundary)
  if (root === undefined) throw new NoteError(`${boundary} has no root file: it is no boundary’s folder`)
  const note = await readFile(join(boundary, 'checkpoint'))
  const { checkpoint, vkey } = signed(note, root.logPublicKey, options.vkey)
  const old = await indexOf(dir)
  if (old !== undefined && !(old.boundaryId.equals(root.boundaryId) && old.vkey === vkey))
    throw new NoteError(`${dir} is an archive of another log: name another folder`)
  const end = old === undefined ? undefined : endOf(old)
  if (end !== undefined && end.seq < base.seq) {
    const what = `${dir} ends before entry ${end.seq}, and the journal begins with entry ${base.seq}: the entries between were erased`
    throw new NoteError(`${what}. Name another folder, in which an archive begins there`)
  }
  const from = end ?? { seq: 0, root: base.root }
  const walk = { from, begins: end?.seq ?? base.seq, checkpoint, boundaryId: root.boundaryId }
  const closed = await closedSegments(boundary, walk.begins, checkpoint.size)
  let [bytes, total] = [0, 0]
  for (const file of closed) total += 2 * (await sizeOf(file))
  const onBytes = (more: number): void => {
    bytes += more
    options.onProgress?.({ bytes, total })
  }
  const before = await walkLog({ ...walk, dir: boundary, files: closed, onBytes })
  await mkdir(join(dir, 'journal'), { recursive: true, mode: 0o700 })
  const covered = old === undefined ? 0 : await coveredBy(dir)
  await copyTiles(boundary, dir, covered, checkpoint.size)
  for (const segment of before) await copySegment(archivedFile(boundary, segment), archivedFile(dir, segment), segment)
  const copies = before.map(segment => archivedFile(dir, segment))
  const after = await walkLog({ ...walk, dir, files: copies, onBytes })
  for (const [at, segment] of before.entries())
    if (after[at]?.sha256 !== segment.sha256 || !after[at].root.equals(segment.root))
      throw new NoteError(
        `${archivedFile(dir, segment)} is not what was copied: the disk does not keep what it is given`,
      )
  await replaceFile(realDisk, join(dir, 'checkpoint'), note)
  await removePartial(dir, covered, checkpoint.size)
  const segments = [...(old?.segments ?? []), ...before]
  const index = { boundaryId: root.boundaryId, vkey, base: old?.base ?? base, segments }
  await replaceFile(realDisk, indexFile(dir), encodeIndex(index))
  const sum = (of: (segment: ArchivedSegment) => number) => before.reduce((all, segment) => all + of(segment), 0)
  return {
    index,
    copied: before.length,
    entries: sum(({ entries }) => entries),
    bytes: sum(each => each.bytes),
    size: checkpoint.size,
  }
}

function signed(
  note: Buffer,
  logPublicKey: Buffer,
  given: string | undefined,
): { checkpoint: CheckpointText; vkey: string } {
  const parsed = parseNote(note)
  const checkpoint = parseCheckpoint(parsed.text)
  const vkey = given ?? vkeyOf(checkpoint.origin, logPublicKey)
  const verifier = parseVerifier(vkey)
  verifyNote(parsed, [verifier])
  if (verifier.name !== checkpoint.origin) throw new NoteError(`the checkpoint is of ${checkpoint.origin}, another log`)
  return { checkpoint, vkey }
}

async function indexOf(dir: string): Promise<ArchiveIndex | undefined> {
  try {
    return await readIndex(dir)
  } catch (error) {
    if (isCode(error, 'ENOENT')) return undefined
    throw error
  }
}

/** Entries that the checkpoint of an archive covers: full tiles of these are there. */
async function coveredBy(dir: string): Promise<number> {
  return parseCheckpoint(parseNote(await readFile(join(dir, 'checkpoint'))).text).size
}

/** Segments from entry `from` on that others follow, and that the checkpoint covers whole: of the others the next run takes care. */
async function closedSegments(boundary: string, from: number, size: number): Promise<string[]> {
  const files = (await segmentFiles(boundary)).filter(file => basename(file) >= segmentName(from))
  return files.filter((_, at) => basename(files[at + 1] ?? '~') <= segmentName(size))
}

async function sizeOf(file: string): Promise<number> {
  const segment = await SegmentFile.open(file)
  try {
    return await segment.size()
  } finally {
    await segment.close()
  }
}

interface Walk {
  readonly dir: string
  /** Where the tree is known: its tiles make this root. */
  readonly from: Pick<Base, 'seq' | 'root'>
  /** The first entry of the first file. */
  readonly begins: number
  readonly files: readonly string[]
  readonly checkpoint: CheckpointText
  readonly boundaryId: Buffer
  readonly onBytes: (more: number) => void
}

/** Walks segments, and the leaves before and after them, up to the checkpoint, whose root they must make. Throws `Bad`. */
async function walkLog(walk: Walk): Promise<ArchivedSegment[]> {
  const { dir, from, checkpoint } = walk
  const full: Tile[] = []
  const onFull = (tile: Tile): void => {
    full.push(tile)
  }
  const tiles = new PublishedTiles(dir, checkpoint.size)
  const reached = async (): Promise<void> => {
    for (const tile of full.splice(0)) await tiles.full(tile)
  }
  const state = from.seq === 0 ? undefined : await regrow(realDisk, dir, from.seq, from.root)
  if (from.seq > 0 && state === undefined)
    throw new Bad(join(dir, 'tile'), 0, from.seq, 'the tiles do not make the tree with which the archive ends')
  const chain = new LogChain(state === undefined ? new Tree(onFull) : Tree.from(state, onFull), walk.boundaryId)
  await walkLeaves(dir, checkpoint.size, chain, walk.begins, reached)
  const segments: ArchivedSegment[] = []
  for (const file of walk.files) {
    const segment = await SegmentFile.open(file)
    const first = chain.seq
    try {
      chain.header(file, await segment.readHeader())
      for (;;) {
        const entry = await segment.next()
        if (typeof entry === 'string') throw new Bad(file, segment.offset, chain.seq, entry)
        if (entry === undefined) break
        chain.entry(entry)
        await reached()
      }
      const bytes = segment.offset
      walk.onBytes(bytes)
      const root = Buffer.from(chain.tree.root())
      segments.push({
        first,
        entries: chain.seq - first,
        bytes,
        lastTime: chain.lastTime,
        sha256: await sha256Of(file),
        root,
      })
    } finally {
      await segment.close()
    }
  }
  await walkLeaves(dir, checkpoint.size, chain, checkpoint.size, reached)
  if (!chain.tree.root().equals(checkpoint.root))
    throw new Bad(join(dir, 'checkpoint'), 0, chain.seq, 'the entries do not make the root of the checkpoint')
  for (const tile of chain.tree.partial()) await tiles.partial(tile)
  return segments
}

/** Through a temporary file, synced; what is read again later is what counts. */
async function copySegment(from: string, to: string, { bytes, sha256 }: ArchivedSegment): Promise<void> {
  const temporary = `${to}.new`
  await realDisk.unlink(temporary).catch((error: unknown) => {
    if (!isCode(error, 'ENOENT')) throw error
  })
  const out = await realDisk.open(temporary, 'create')
  const hash = createHash('sha256')
  try {
    let at = 0
    for await (const piece of createReadStream(from, { highWaterMark: PIECE_BYTES })) {
      out.write(piece as Buffer, at)
      hash.update(piece as Buffer)
      at += (piece as Buffer).length
    }
    if (at !== bytes || hash.digest('hex') !== sha256) throw new NoteError(`${from} changed while it was copied`)
    await datasync(out)
  } finally {
    await out.close()
  }
  await realDisk.rename(temporary, to)
  await realDisk.syncDir(dirname(to))
}
