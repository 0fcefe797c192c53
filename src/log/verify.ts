/**
 * Everything that a boundary's folder says of itself, recomputed from its bytes without any secret: headers, chains, times, leaves, roots, checkpoint,
 * tiles, bundles, and what snapshots say of the journal. Streaming, of any size, and while a service writes: what is newer than the checkpoint that was
 * there at the beginning may be unfinished. Names the first thing that is wrong.
 */
import { readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { FRAME_MAGIC, HEADER_BYTES, leafOf, parseFrame, type SegmentHeader } from '../boundary/journal/frame.ts'
import { leafHash, type Tile, Tree } from '../boundary/journal/merkle.ts'
import { segmentName } from '../boundary/journal/segments.ts'
import { parseRootFile } from '../boundary/root/rootfile.ts'
import { Bad } from './bad.ts'
import { type CheckpointText, parseCheckpoint, parseNote, parseVerifier, verifyNote, vkeyOf } from './note.ts'
import { type Entry, SegmentFile, segmentFiles } from './read.ts'
import { SnapshotHeads } from './verify-snapshots.ts'
import { PublishedTiles } from './verify-tiles.ts'

export interface VerifyReport {
  readonly entries: number
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
  readonly onProgress?: (done: { readonly bytes: number; readonly total: number; readonly entries: number }) => void
}

const PROGRESS_ENTRIES = 2048

class Verification {
  readonly boundary: string
  readonly options: VerifyOptions
  readonly full: Tile[] = []
  readonly tree = new Tree(tile => this.full.push(tile))
  checkpoint: CheckpointText | undefined
  signature: VerifyReport['signature']
  boundaryId: Buffer | undefined
  segments = 0
  bytes = 0
  total = 0
  writeSets = 0
  crc = 0
  firstTime = 0
  lastTime = 0
  unfinishedBytes = 0
  tiles: PublishedTiles
  snapshots: SnapshotHeads

  constructor(boundary: string, options: VerifyOptions) {
    this.boundary = boundary
    this.options = options
    this.tiles = new PublishedTiles(boundary, 0)
    this.snapshots = new SnapshotHeads(boundary)
  }

  get seq(): number {
    return this.tree.size
  }

  async run(): Promise<void> {
    await this.readCheckpoint()
    this.tiles = new PublishedTiles(this.boundary, this.checkpoint?.size ?? 0)
    await this.snapshots.list()
    const files = await segmentFiles(this.boundary)
    if (files.length === 0) throw new Bad(join(this.boundary, 'journal'), 0, 0, 'there is no segment')
    for (const file of files) {
      const segment = await SegmentFile.open(file)
      this.total += await segment.size()
      await segment.close()
    }
    await this.reached('', 0)
    for (const [index, file] of files.entries()) await this.segment(file, index === files.length - 1)
    if (this.checkpoint !== undefined && this.checkpoint.size > this.seq)
      throw new Bad(
        files.at(-1) ?? '',
        this.bytes,
        this.seq,
        `the journal ends, and the checkpoint covers ${this.checkpoint.size} entries`,
      )
    await this.tiles.others(this.tree)
    this.snapshots.end(this.seq)
  }

  async readCheckpoint(): Promise<void> {
    const file = join(this.boundary, 'checkpoint')
    const root = await readFile(join(this.boundary, 'root')).then(parseRootFile, () => undefined)
    this.boundaryId = root?.boundaryId
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
      const vkey = this.options.vkey ?? (root === undefined ? undefined : vkeyOf(checkpoint.origin, root.logPublicKey))
      if (vkey === undefined) return
      const verifier = parseVerifier(vkey)
      verifyNote(note, [verifier])
      if (verifier.name !== checkpoint.origin) throw new Error(`the checkpoint is of ${checkpoint.origin}, another log`)
      this.signature = { vkey, pinned: this.options.vkey !== undefined }
    } catch (error) {
      throw bad(error as Error)
    }
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
      this.checkHeader(file, header)
      this.segments++
      this.bytes += HEADER_BYTES
      this.crc = header.crc
      await this.place(header.firstSeq, HEADER_BYTES)
      for (;;) {
        const entry = await this.next(segment, isLast)
        if (entry === undefined) break
        this.entry(entry)
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

  checkHeader(file: string, header: SegmentHeader): void {
    this.boundaryId ??= header.boundaryId
    const what = !header.boundaryId.equals(this.boundaryId)
      ? 'the segment is another boundary’s'
      : basename(file) !== segmentName(header.firstSeq)
        ? 'the file’s name and its header do not agree'
        : header.firstSeq !== this.seq
          ? `the segment begins with entry ${header.firstSeq} where ${this.seq} should follow`
          : header.nextWriteSet !== this.writeSets + 1 ||
              header.lastTime !== this.lastTime ||
              header.lastCrc !== this.crc
            ? 'the segment does not follow the one before'
            : !header.root.equals(this.tree.root())
              ? 'the tree root in the segment’s header is not that of the entries before'
              : undefined
    if (what !== undefined) throw new Bad(file, 0, this.seq, what)
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
    const leaf = leafOf(seq, time, entry.salted)
    this.tree.push(leaf, leafHash(leaf))
    if (sealed !== undefined) this.writeSets++
    if (seq === 0) this.firstTime = time
    this.lastTime = time
    this.crc = entry.crc
  }

  /** What is published of the tree of this size must be what was recomputed. */
  async reached(file: string, offset: number): Promise<void> {
    for (const tile of this.full.splice(0)) await this.tiles.full(tile)
    if (this.checkpoint?.size !== this.seq) return
    if (!this.checkpoint.root.equals(this.tree.root())) {
      const what = 'the entries up to here do not make the root of the checkpoint'
      throw new Bad(file === '' ? join(this.boundary, 'checkpoint') : file, offset, Math.max(0, this.seq - 1), what)
    }
    for (const tile of this.tree.partial()) await this.tiles.partial(tile)
  }

  async place(segment: number, offset: number): Promise<void> {
    if (!this.snapshots.has(this.seq) || this.boundaryId === undefined) return
    const { lastTime, writeSets: lastWriteSet, crc, tree } = this
    await this.snapshots.check(this.boundaryId, { lastTime, lastWriteSet, segment, offset, crc, tree: tree.state() })
  }
}

/** Verifies a boundary's folder. Rejects only where it cannot be read at all; what is wrong in it is in the report. */
export async function verifyFolder(boundary: string, options: VerifyOptions = {}): Promise<VerifyReport> {
  const run = new Verification(boundary, options)
  let bad: Bad | undefined
  try {
    await run.run()
  } catch (error) {
    if (!(error instanceof Bad)) throw error
    bad = error
  }
  const { segments, writeSets, bytes, firstTime, lastTime, checkpoint, signature, unfinishedBytes } = run
  return {
    entries: run.seq,
    segments,
    writeSets,
    bytes,
    tiles: run.tiles.compared,
    snapshots: run.snapshots.compared,
    firstTime,
    lastTime,
    root: run.tree.root(),
    checkpoint,
    signature,
    unfinishedBytes,
    bad,
  }
}
