/**
 * Everything that a boundary's folder says of itself, recomputed from its bytes without any secret: headers, chains, times, leaves, roots, checkpoint,
 * tiles, bundles, and what snapshots say of the journal. Streaming, of any size, and while a service writes: what is newer than the checkpoint that was
 * there at the beginning may be unfinished. Of entries whose records were erased there are the leaves, or an archive. Names the first thing that is wrong.
 */
import { readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { FRAME_MAGIC, HEADER_BYTES, parseFrame, type SegmentHeader } from '../boundary/journal/frame.ts'
import { type Tile, Tree } from '../boundary/journal/merkle.ts'
import { segmentName } from '../boundary/journal/segments.ts'
import type { Base } from '../boundary/journal/types.ts'
import { sha256Of } from './archive.ts'
import { type ArchiveIndex, archivedFile, readIndex } from './archive-index.ts'
import { Bad } from './bad.ts'
import { LogChain } from './chain.ts'
import { type LogFolder, openFolder, walkLeaves } from './folder.ts'
import { type CheckpointText, parseCheckpoint, parseNote, parseVerifier, verifyNote, vkeyOf } from './note.ts'
import { type Entry, SegmentFile, segmentFiles } from './read.ts'
import { SnapshotHeads } from './verify-snapshots.ts'
import { PublishedTiles } from './verify-tiles.ts'

export interface VerifyReport {
  readonly entries: number
  /** Entries whose records are not there: their leaves were checked, and nothing else of them. */
  readonly erased: number
  /** Entries that were read from the archive. */
  readonly archived: number
  readonly segments: number
  readonly writeSets: number
  readonly bytes: number
  /** Tiles and bundles that were compared. */
  readonly tiles: number
  readonly snapshots: number
  readonly firstTime: number
  readonly lastTime: number
  /** Root of the tree of all entries. */
  readonly root: Buffer
  readonly checkpoint: CheckpointText | undefined
  /** Whether its signature is right, by which key, and whether that key was given or is only the folder's own word. */
  readonly signature: { readonly vkey: string; readonly pinned: boolean } | undefined
  /** Bytes behind the last whole entry: of a batch that is being written, or was never finished. Nothing in them was acknowledged. */
  readonly unfinishedBytes: number
  readonly bad: Bad | undefined
}

export interface VerifyOptions {
  /** The log's verifier key, from somewhere else than the folder. */
  readonly vkey?: string
  /** An archive, for entries that the journal no longer has. */
  readonly archive?: string
  /** Where the journal begins, for who knows it better than the root file: that may be of before an erasing, or of after it. */
  readonly base?: Base
  readonly onProgress?: (done: { readonly bytes: number; readonly total: number; readonly entries: number }) => void
}

const PROGRESS_ENTRIES = 2048

class Verification {
  readonly boundary: string
  readonly options: VerifyOptions
  readonly full: Tile[] = []
  readonly chain: LogChain
  readonly folder: LogFolder
  checkpoint: CheckpointText | undefined
  signature: VerifyReport['signature']
  segments = 0
  bytes = 0
  total = 0
  erased = 0
  archived = 0
  unfinishedBytes = 0
  tiles: PublishedTiles
  snapshots: SnapshotHeads

  constructor(folder: LogFolder, options: VerifyOptions) {
    this.folder = folder
    this.boundary = folder.dir
    this.options = options
    const id = folder.root?.boundaryId ?? folder.archive?.boundaryId
    this.chain = new LogChain(new Tree(tile => this.full.push(tile)), id)
    this.tiles = new PublishedTiles(this.boundary, 0)
    this.snapshots = new SnapshotHeads(this.boundary, folder.base.seq)
  }

  get seq(): number {
    return this.chain.seq
  }

  async run(): Promise<void> {
    await this.readCheckpoint()
    this.tiles = new PublishedTiles(this.boundary, this.checkpoint?.size ?? 0)
    await this.snapshots.list()
    const { base, archive } = this.folder
    const files = (await segmentFiles(this.boundary)).filter(file => basename(file) >= segmentName(base.seq))
    if (files.length === 0) throw new Bad(join(this.boundary, 'journal'), 0, 0, 'there is no segment')
    const older = await this.archivedBefore(base.seq)
    this.total += older.reduce((sum, { bytes }) => sum + bytes, 0)
    for (const file of files) {
      const segment = await SegmentFile.open(file)
      this.total += await segment.size()
      await segment.close()
    }
    await this.reached('', 0)
    for (const each of older) await this.archivedSegment(each)
    await this.leaves(base.seq)
    if (base.seq > 0 && !this.chain.tree.root().equals(base.root))
      throw new Bad(join(this.boundary, 'tile'), 0, base.seq, 'the leaves of the erased entries do not make their root')
    for (const [index, file] of files.entries())
      await this.segment(file, archive === undefined && index === files.length - 1)
    if (archive !== undefined) await this.afterArchive(archive)
    if (this.checkpoint !== undefined && this.checkpoint.size > this.seq)
      throw new Bad(
        files.at(-1) ?? '',
        this.bytes,
        this.seq,
        `the journal ends, and the checkpoint covers ${this.checkpoint.size} entries`,
      )
    await this.tiles.others(this.chain.tree)
    this.snapshots.end(this.seq)
  }

  async readCheckpoint(): Promise<void> {
    const file = join(this.boundary, 'checkpoint')
    const { root, archive } = this.folder
    const bytes = await readFile(file).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error
      return undefined
    })
    if (bytes === undefined) {
      if (this.options.vkey !== undefined) throw new Bad(file, 0, 0, 'there is no checkpoint that could be signed')
      return
    }
    const bad = (error: Error) => new Bad(file, 0, this.checkpoint?.size ?? 0, error.message)
    try {
      const note = parseNote(bytes)
      const checkpoint = parseCheckpoint(note.text)
      this.checkpoint = checkpoint
      const own = root === undefined ? archive?.vkey : vkeyOf(checkpoint.origin, root.logPublicKey)
      const vkey = this.options.vkey ?? own
      if (vkey === undefined) return
      const verifier = parseVerifier(vkey)
      verifyNote(note, [verifier])
      if (verifier.name !== checkpoint.origin) throw new Error(`the checkpoint is of ${checkpoint.origin}, another log`)
      this.signature = { vkey, pinned: this.options.vkey !== undefined }
    } catch (error) {
      throw bad(error as Error)
    }
  }

  /** The segments of the archive that was given which stand before entry `to`. */
  async archivedBefore(to: number): Promise<(ArchiveIndex['segments'][number] & { readonly file: string })[]> {
    const dir = this.options.archive
    if (dir === undefined) return []
    const index = await readIndex(dir)
    const { boundaryId } = this.chain
    if (boundaryId !== undefined && !boundaryId.equals(index.boundaryId))
      throw new Bad(dir, 0, 0, 'the archive is of another boundary’s log')
    return index.segments
      .filter(({ first }) => first < to)
      .map(segment => ({ ...segment, file: archivedFile(dir, segment) }))
  }

  async archivedSegment({
    file,
    first,
    entries,
    sha256,
  }: ArchiveIndex['segments'][number] & { readonly file: string }): Promise<void> {
    await this.leaves(first)
    const found = await sha256Of(file).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') throw new Bad(file, 0, first, 'the archived segment is missing')
      throw error
    })
    await this.segment(file, false)
    if (this.seq !== first + entries || found !== sha256)
      throw new Bad(file, 0, first, 'the archived segment is not the one in the index')
    this.archived += entries
  }

  /** Goes on to entry `to` by the leaves alone. */
  async leaves(to: number): Promise<void> {
    const from = this.seq
    const size = this.checkpoint?.size ?? to
    await walkLeaves(this.boundary, size, this.chain, to, () => this.reached('', 0))
    this.erased += this.seq - from
  }

  /** What an archive's segments must be, and the leaves of what follows them, up to the checkpoint. */
  async afterArchive({ segments }: ArchiveIndex): Promise<void> {
    for (const segment of segments) {
      const file = archivedFile(this.boundary, segment)
      if ((await sha256Of(file)) !== segment.sha256)
        throw new Bad(file, 0, segment.first, 'the segment is not the one in the index')
    }
    if (segments.length !== this.segments) throw new Bad(this.boundary, 0, this.seq, 'segments and index do not agree')
    await this.leaves(this.checkpoint?.size ?? this.seq)
  }

  async segment(file: string, isLast: boolean): Promise<void> {
    const segment = await SegmentFile.open(file)
    try {
      const size = await segment.size()
      let header: SegmentHeader
      try {
        header = await segment.readHeader()
      } catch (error) {
        // A last segment that is being made, or was never used.
        if (!isLast || size > HEADER_BYTES || this.mustReach > this.seq)
          throw new Bad(file, 0, this.seq, (error as Error).message)
        this.unfinishedBytes = size
        return
      }
      this.chain.header(file, header)
      this.segments++
      this.bytes += HEADER_BYTES
      await this.place(header.firstSeq, HEADER_BYTES)
      for (;;) {
        const entry = await this.next(segment, isLast)
        if (entry === undefined) break
        this.chain.entry(entry)
        this.bytes += entry.length
        await this.reached(file, entry.offset)
        await this.place(header.firstSeq, entry.offset + entry.length)
        if (this.seq % PROGRESS_ENTRIES === 0) this.progress()
      }
      this.progress()
    } finally {
      await segment.close()
    }
  }

  get mustReach(): number {
    return Math.max(this.checkpoint?.size ?? 0, this.snapshots.newest)
  }

  progress(): void {
    this.options.onProgress?.({ bytes: this.bytes, total: Math.max(this.total, this.bytes), entries: this.seq })
  }

  /** The next entry; undefined where the segment ends, or where only an unfinished batch follows. */
  async next(segment: SegmentFile, isLast: boolean): Promise<Entry | undefined> {
    let entry = await segment.next()
    if (typeof entry !== 'string') return entry
    const { file, offset } = segment
    if (!isLast) throw new Bad(file, offset, this.seq, entry)
    const rest = (await readFile(file)).subarray(offset)
    const torn = this.mustReach <= this.seq && !this.laterBatch(rest, segment.header?.crc ?? 0)
    // It may have been finished between the two looks.
    segment.refresh()
    const again = await segment.next()
    if (typeof again !== 'string') return again
    entry = again
    if (!torn) throw new Bad(file, offset, this.seq, entry)
    this.unfinishedBytes = rest.length
    return undefined
  }

  laterBatch(rest: Buffer, seed: number): boolean {
    for (let at = rest.indexOf(FRAME_MAGIC, 1); at >= 0; at = rest.indexOf(FRAME_MAGIC, at + 1)) {
      const frame = parseFrame(rest, at, seed)
      if (typeof frame !== 'string' && frame.batch > this.seq) return true
    }
    return false
  }

  /** What is published of the tree of this size must be what was recomputed. */
  async reached(file: string, offset: number): Promise<void> {
    for (const tile of this.full.splice(0)) await this.tiles.full(tile)
    if (this.checkpoint?.size !== this.seq) return
    if (!this.checkpoint.root.equals(this.chain.tree.root())) {
      const what = 'the entries up to here do not make the root of the checkpoint'
      throw new Bad(file === '' ? join(this.boundary, 'checkpoint') : file, offset, Math.max(0, this.seq - 1), what)
    }
    for (const tile of this.chain.tree.partial()) await this.tiles.partial(tile)
  }

  async place(segment: number, offset: number): Promise<void> {
    const { boundaryId, lastTime, writeSets: lastWriteSet, crc, tree } = this.chain
    if (!this.snapshots.has(this.seq) || boundaryId === undefined) return
    await this.snapshots.check(boundaryId, { lastTime, lastWriteSet, segment, offset, crc, tree: tree.state() })
  }
}

/** Verifies a boundary's folder. Rejects only where it cannot be read at all; what is wrong in it is in the report. */
export async function verifyFolder(boundary: string, options: VerifyOptions = {}): Promise<VerifyReport> {
  const found = await openFolder(boundary)
  const run = new Verification({ ...found, base: options.base ?? found.base }, options)
  let bad: Bad | undefined
  try {
    await run.run()
  } catch (error) {
    if (!(error instanceof Bad)) throw error
    bad = error
  }
  const { erased, archived, segments, bytes, checkpoint, signature, unfinishedBytes } = run
  const { writeSets, firstTime, lastTime, tree } = run.chain
  return {
    entries: run.seq,
    erased,
    archived,
    segments,
    writeSets,
    bytes,
    tiles: run.tiles.compared,
    snapshots: run.snapshots.compared,
    firstTime,
    lastTime,
    root: tree.root(),
    checkpoint,
    signature,
    unfinishedBytes,
    bad,
  }
}
