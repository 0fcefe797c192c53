/**
 * Making a backup: what the boundary has written up to a checkpoint that it signs for this, checked on the way, and with a full one the store's rows.
 * The rows are copied first, so that a store is never ahead of the journal beside it. See docs/formats/backup.md.
 */
import { existsSync } from 'node:fs'
import { open, readdir, readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { Encrypter } from 'age-encryption'
import { FormatError } from '../boundary/bytes.ts'
import { encodeRows } from '../boundary/crypto/rows.ts'
import { isCode } from '../boundary/journal/disk.ts'
import { TILE_WIDTH } from '../boundary/journal/merkle.ts'
import { segmentName } from '../boundary/journal/segments.ts'
import { tilePath } from '../boundary/journal/tiles.ts'
import { Bad } from '../log/bad.ts'
import { parseCheckpoint, parseNote, parseVerifier, verifyNote, vkeyOf } from '../log/note.ts'
import { StoreError } from '../store/errors.ts'
import { copyStore, type StoreCopy } from '../store/sqlite/copy.ts'
import { encrypted } from './age.ts'
import { BackupError } from './errors.ts'
import {
  type BackupEnd,
  type BackupHeader,
  type BackupKind,
  encodeEnd,
  encodePartHead,
  encodePieceHead,
  encodeStart,
  PART_END,
  type PartKind,
  type Place,
} from './format.ts'
import { beginning, JournalSource } from './journal.ts'
import type { Live, Signed } from './live.ts'
import { edgeOf, readEdge } from './tree.ts'

/** Once what had come meanwhile is no more than this, the backup ends. */
const LITTLE_BYTES = 1024 * 1024
const MOST_ROUNDS = 8
const PIECE_BYTES = 1024 * 1024

export interface ContentOptions {
  readonly data: string
  readonly live: Live
  readonly kind: BackupKind
  readonly number: number
  /** SHA-256 of the file before. */
  readonly previous: Buffer
  readonly source: JournalSource
  readonly from: Place
  /** A configuration file to take along. */
  readonly config: string | undefined
  readonly onProgress: (done: { readonly what: string; readonly bytes: number }) => void
}

/** What was written, once it was read to its end. */
export interface ContentEnd extends BackupEnd {
  readonly rows: number
  /** Number of the last write set that the store's rows are of; undefined where there are none. */
  readonly storeUpTo: number | undefined
  readonly logKey: string
}

/** Where a full backup begins. */
export async function fullSource(
  boundary: string,
  boundaryId: Buffer,
): Promise<{ from: Place; source: JournalSource }> {
  const from = await beginning(boundary)
  return { from, source: await JournalSource.open(boundary, boundaryId, from) }
}

/** The clear bytes of one backup file, as a stream; `end` is there when it has been read. */
export class Content {
  readonly #options: ContentOptions
  readonly #boundary: string
  #parts = 0
  #rows = 0
  #storeUpTo: number | undefined
  #bytes = 0
  end: ContentEnd | undefined

  constructor(options: ContentOptions) {
    this.#options = options
    this.#boundary = join(options.data, 'boundary')
  }

  async *bytes(): AsyncGenerator<Buffer, void, undefined> {
    const { live, kind, number, previous, from, config } = this.#options
    const { boundaryId, service, dev, logPublicKey } = live.root
    const origin = await this.#origin()
    const header: BackupHeader = {
      kind,
      number,
      boundaryId,
      service,
      dev,
      origin,
      logPublicKey,
      createdAt: Date.now(),
      previous,
      from,
    }
    yield encodeStart(header)
    if (config !== undefined) yield* this.#part('configuration', basename(config), [await readFile(config)])
    if (kind === 'full') {
      yield* this.#store()
      yield* this.#tilesBefore(from.size)
    }
    const until = yield* this.#journal(vkeyOf(origin, logPublicKey))
    const to = this.#options.source.checker.place
    yield* this.#snapshot(kind === 'full' ? 0 : from.size, to.size)
    const end = { until, to, parts: this.#parts }
    yield encodeEnd(end)
    this.end = { ...end, rows: this.#rows, storeUpTo: this.#storeUpTo, logKey: vkeyOf(origin, logPublicKey) }
  }

  /** Name of the log, as its checkpoint has it. */
  async #origin(): Promise<string> {
    try {
      return parseCheckpoint(parseNote(await readFile(join(this.#boundary, 'checkpoint'))).text).origin
    } catch (error) {
      throw new BackupError('Damaged', `${this.#boundary}/checkpoint: ${(error as Error).message}`)
    }
  }

  async *#part(kind: PartKind, name: string, pieces: AsyncIterable<Buffer> | Iterable<Buffer>): AsyncGenerator<Buffer> {
    this.#parts++
    yield encodePartHead(kind, name)
    for await (const piece of pieces) {
      for (let at = 0; at < piece.length; at += PIECE_BYTES) {
        const bytes = piece.subarray(at, at + PIECE_BYTES)
        yield encodePieceHead(bytes.length)
        yield bytes
        this.#bytes += bytes.length
      }
      this.#options.onProgress({ what: kind, bytes: this.#bytes })
    }
    yield PART_END
  }

  async *#store(): AsyncGenerator<Buffer> {
    const file = join(this.#options.data, 'front-end', 'store.db')
    // Without a store there is nothing to copy: the next start makes it out of the journal.
    if (!existsSync(file)) return
    let copy: StoreCopy | undefined
    try {
      copy = copyStore(file)
      this.#storeUpTo = copy.appliedUpTo
      // Each list is one piece, since it is read as one.
      this.#parts++
      yield encodePartHead('rows', String(copy.appliedUpTo))
      for (const rows of copy.rows) {
        const bytes = Buffer.from(encodeRows(rows))
        yield encodePieceHead(bytes.length)
        yield bytes
        this.#rows += rows.length
        this.#bytes += bytes.length
        this.#options.onProgress({ what: 'rows', bytes: this.#bytes })
      }
      yield PART_END
    } catch (error) {
      if (!(error instanceof StoreError)) throw error
      throw new BackupError(
        'Damaged',
        `${file} cannot be copied (${error.message}). It is derived from the journal: stop the service, move the file away, and start; docs/lost-store.md`,
      )
    } finally {
      copy?.close()
    }
  }

  /** What of the tree cannot be derived any more, because its segments were erased: every full tile below, and the edge. */
  async *#tilesBefore(size: number): AsyncGenerator<Buffer> {
    const read = async function* (boundary: string, ...[level, index, width]: Parameters<typeof tilePath>) {
      try {
        yield await readEdge(boundary, level, index, width)
      } catch (error) {
        if (!isCode(error, 'ENOENT')) throw error
        throw new BackupError('Damaged', `${(error as Error).message}, and its segments were erased`)
      }
    }
    for (let level = 0, here = size; here > 0; level++, here = Math.floor(here / TILE_WIDTH))
      for (let index = 0; index < Math.floor(here / TILE_WIDTH); index++)
        for (const of of level === 0 ? (['entries', 0] as const) : [level])
          yield* this.#part('tile', tilePath(of, index, TILE_WIDTH), read(this.#boundary, of, index, TILE_WIDTH))
    for (const { level, index, width } of edgeOf(size))
      yield* this.#part('tile', tilePath(level, index, width), read(this.#boundary, level, index, width))
  }

  /** Up to a checkpoint that was signed for this; then what came meanwhile, until that is little. Returns before when everything acknowledged is in it. */
  async *#journal(vkey: string): AsyncGenerator<Buffer, number> {
    const { live } = this.#options
    const verifier = parseVerifier(vkey)
    for (let round = 1; ; round++) {
      const until = Date.now()
      const signed = await live.signed()
      const before = this.#bytes
      const { checker } = this.#options.source
      if (signed.covers >= checker.tree.size) yield* this.#segments(signed, signed.covers)
      const note = parseNote(Buffer.from(signed.note))
      verifyNote(note, [verifier])
      const checkpoint = parseCheckpoint(note.text)
      if (checkpoint.size === checker.tree.size) {
        if (!checkpoint.root.equals(checker.tree.root()))
          throw new BackupError(
            'Damaged',
            'the records of the journal do not make the root that its boundary has signed',
          )
        yield* this.#part('checkpoint', '', [Buffer.from(signed.note)])
      }
      yield* this.#segments(signed)
      const { size, segment, offset } = checker.place
      if (checker.unfinished > 0 || size !== signed.size || segment !== signed.segment || offset !== signed.offset)
        throw new BackupError('Damaged', `the journal ends with record ${size} where the boundary says ${signed.size}`)
      if (!live.isRunning || this.#bytes - before <= LITTLE_BYTES || round === MOST_ROUNDS) return until
    }
  }

  /** Journal parts up to a place, or to a number of records before it. */
  async *#segments(to: Signed, until?: number): AsyncGenerator<Buffer> {
    const { source } = this.#options
    let part: number | undefined
    const piece = function* (segment: number, bytes: Buffer): Generator<Buffer> {
      if (segment !== part) {
        if (part !== undefined) yield PART_END
        yield encodePartHead('journal', segmentName(segment))
        part = segment
      }
      for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
        const some = bytes.subarray(at, at + PIECE_BYTES)
        yield encodePieceHead(some.length)
        yield some
      }
    }
    const one = function* (that: Content, segment: number, bytes: Buffer): Generator<Buffer> {
      if (bytes.length === 0) return
      if (segment !== part) that.#parts++
      yield* piece(segment, bytes)
      that.#bytes += bytes.length
      that.#options.onProgress({ what: 'journal', bytes: that.#bytes })
    }
    yield* one(this, source.checker.place.segment, source.release(until))
    for await (const { segment, bytes } of source.upTo(to, until)) yield* one(this, segment, bytes)
    if (part !== undefined) yield PART_END
  }

  /** The newest snapshot of what is in this backup and not in the one before: a start from it need not read everything. */
  async *#snapshot(after: number, upTo: number): AsyncGenerator<Buffer> {
    const folder = join(this.#boundary, 'snapshot')
    // Whichever is there may be replaced by a newer one meanwhile.
    for (let attempt = 0; attempt < 3; attempt++) {
      const sizes = (await readdir(folder))
        .filter(name => name.endsWith('.snap'))
        .map(name => Number.parseInt(name, 10))
      const newest = sizes.filter(size => size > after && size <= upTo).sort((a, b) => b - a)[0]
      if (newest === undefined) return
      const name = `${String(newest).padStart(20, '0')}.snap`
      const handle = await open(join(folder, name), 'r').catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOENT') throw error
        return undefined
      })
      if (handle === undefined) continue
      yield* this.#part(
        'snapshot',
        name,
        handle.createReadStream({ highWaterMark: PIECE_BYTES }) as AsyncIterable<Buffer>,
      )
      return
    }
  }

  /** The same, encrypted. What is wrong with the journal is told as BackupError `Damaged`. */
  async *encrypted(encrypter: Encrypter): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      yield* await encrypted(encrypter, this.bytes())
    } catch (error) {
      if (!(error instanceof Bad || error instanceof FormatError)) throw error
      throw new BackupError(
        'Damaged',
        `the journal is damaged, and no backup was made: ${error.message}. holdfast log verify ${this.#options.data} says more`,
      )
    }
  }
}
