/**
 * Reading backups: a chain is decrypted and checked from its first byte to its last, whether it is put somewhere or not. Every file must go on exactly
 * where the one before ends, and the records must make the roots that the boundary has signed.
 */
import { createHash } from 'node:crypto'
import type { Decrypter } from 'age-encryption'
import { FormatError } from '../boundary/bytes.ts'
import { decodeRows } from '../boundary/crypto/rows.ts'
import { type Tile, Tree } from '../boundary/journal/merkle.ts'
import { segmentName } from '../boundary/journal/segments.ts'
import { tilePath } from '../boundary/journal/tiles.ts'
import type { TreeHead } from '../boundary/journal/types.ts'
import type { Row } from '../boundary/words.ts'
import { Bad } from '../log/bad.ts'
import { NoteError, parseCheckpoint, parseNote, parseVerifier, verifyNote, vkeyOf } from '../log/note.ts'
import { decrypted } from './age.ts'
import type { ChainInput } from './chain.ts'
import { JournalChecker } from './check.ts'
import { BackupError } from './errors.ts'
import { type BackupEnd, type BackupHeader, BackupReader, type Place, samePlace } from './format.ts'
import { Generations } from './generations.ts'
import { treeAt } from './tree.ts'

const SEGMENT = /^\d{20}\.seg$/
const SNAPSHOT = /^\d{20}\.snap$/
const TILE = /^tile\/(?:entries|\d{1,2})\/(?:x\d{3}\/)*\d{3}(?:\.p\/\d{1,3})?$/
/** A configuration file's own name: nothing that leads elsewhere. */
const FILE = /^[^/\p{Cc}]{1,255}$/u
const MAX_SMALL_BYTES = 1024 * 1024

/** Where what is read goes. Buffers are valid during the call only. */
export interface Target {
  /** Bytes that follow the last ones of this segment. */
  journal(segment: string, bytes: Buffer): Promise<void>
  /** A full tile that the records made. */
  full(tile: Tile): void
  /** A checkpoint of all records so far, and the partial tiles of that size. */
  checkpoint(note: Buffer, partial: () => readonly Tile[]): Promise<void>
  tile(name: string, bytes: Buffer): Promise<void>
  snapshot(name: string, pieces: AsyncIterable<Buffer>): Promise<void>
  /** The store's rows, as of a write set. */
  rows(upTo: number, rows: AsyncIterable<readonly Row[]>): Promise<void>
  configuration(name: string, bytes: Buffer): Promise<void>
}

async function drain(pieces: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of pieces);
}

/** Checks, and keeps nothing. */
export const NOWHERE: Target = {
  journal: async () => {},
  full: () => {},
  checkpoint: async () => {},
  tile: async () => {},
  snapshot: (_name, pieces) => drain(pieces),
  rows: (_upTo, rows) => drain(rows),
  configuration: async () => {},
}

export interface ReadOptions {
  readonly decrypter: Decrypter
  readonly target: Target
  /** Public key of the log that the backup must be of, from somewhere else. */
  readonly logPublicKey?: Buffer
  /** 16 bytes: whose backup it must be. */
  readonly boundaryId?: Buffer
  /** Roots that are known from elsewhere: where the backup reaches them, they must be its own. */
  readonly known?: readonly TreeHead[]
  readonly onProgress: (done: { readonly what: string; readonly bytes: number }) => void
}

export interface ReadResult {
  readonly header: BackupHeader
  readonly end: BackupEnd
  /** Where the journal in it begins. */
  readonly begins: Place
  /** What its records say of the generations of the root. */
  readonly generations: Generations
  readonly files: number
  /** Of the last checkpoint in it. */
  readonly checkpoint: TreeHead
  readonly note: string
  readonly vkey: string
  readonly rows: number
  readonly storeUpTo: number | undefined
  /** Records that the newest snapshot covers, 0 for none. */
  readonly snapshot: number
  readonly configuration: string | undefined
}

class Chain {
  readonly #options: ReadOptions
  #header: BackupHeader | undefined
  #begins: Place | undefined
  #end: BackupEnd | undefined
  readonly #generations = new Generations()
  #checker: JournalChecker | undefined
  #hash: Buffer = Buffer.alloc(0)
  #note = ''
  #checkpoint: TreeHead | undefined
  #vkey = ''
  /** Tiles at the edge of what was erased, until the journal begins. */
  readonly #edge = new Map<string, Buffer>()
  #rows = 0
  #storeUpTo: number | undefined
  #snapshot = 0
  #configuration: string | undefined
  #bytes = 0

  constructor(options: ReadOptions) {
    this.#options = options
  }

  async file(input: ChainInput): Promise<void> {
    const hash = createHash('sha256')
    const { onProgress } = this.#options
    const that = this
    const source = (async function* () {
      for await (const chunk of input.open()) {
        hash.update(chunk)
        that.#bytes += chunk.length
        onProgress({ what: input.name, bytes: that.#bytes })
        yield chunk
      }
    })()
    try {
      const reader = new BackupReader(await decrypted(this.#options.decrypter, source, input.name))
      this.#begin(await reader.header(), input)
      for (let part = await reader.part(); part !== undefined; part = await reader.part())
        await this.#part(part.kind, part.name, reader)
      await this.#finish(await reader.end())
    } catch (error) {
      if (
        error instanceof FormatError ||
        error instanceof NoteError ||
        error instanceof Bad ||
        error instanceof RangeError
      )
        throw new BackupError('Damaged', `${input.name}: ${error.message}`)
      throw error
    }
    this.#hash = hash.digest()
  }

  #begin(header: BackupHeader, { name, file }: ChainInput): void {
    const refused = (what: string) => new BackupError('Refused', `${name} ${what}`)
    const { boundaryId, logPublicKey } = this.#options
    if (boundaryId !== undefined && !header.boundaryId.equals(boundaryId))
      throw refused(
        `is a backup of boundary ${header.boundaryId.toString('hex')}, and the root is of ${boundaryId.toString('hex')}`,
      )
    if (logPublicKey !== undefined && !header.logPublicKey.equals(logPublicKey))
      throw refused('names another key of the log than the root')
    if (file !== undefined && (file.number !== header.number || file.kind !== header.kind))
      throw refused(`says that it is file ${header.number}, ${header.kind}: it was given another name`)
    const before = this.#header
    if (before === undefined) {
      if (header.kind !== 'full') throw refused('is an increment: give the folder that has the full backup before it')
      this.#vkey = vkeyOf(header.origin, logPublicKey ?? header.logPublicKey)
      this.#begins = header.from
    } else {
      const follows =
        header.kind === 'increment' &&
        header.boundaryId.equals(before.boundaryId) &&
        header.logPublicKey.equals(before.logPublicKey) &&
        header.previous.equals(this.#hash) &&
        this.#end !== undefined &&
        samePlace(header.from, this.#end.to)
      if (!follows)
        throw new BackupError('Damaged', `${name} does not go on from the file before it: one of them was exchanged`)
    }
    this.#header = header
  }

  /** There when the journal begins, since the edge of what was erased comes before. */
  async #journal(): Promise<JournalChecker> {
    if (this.#checker !== undefined) return this.#checker
    const { boundaryId, from } = this.#header as BackupHeader
    const { target, known } = this.#options
    const edge = async (...of: Parameters<typeof tilePath>): Promise<Buffer> => {
      const found = this.#edge.get(tilePath(...of))
      if (found === undefined) throw new FormatError(`${tilePath(...of)} is missing`)
      return found
    }
    const onFull = (tile: Tile): void => target.full(tile)
    const tree = from.size === 0 ? new Tree(onFull) : await treeAt(from.size, edge, onFull)
    const checker = new JournalChecker(boundaryId, from, tree)
    checker.onRecord = record => this.#generations.record(record)
    checker.expect(from)
    for (const head of known ?? []) checker.expect(head)
    this.#checker = checker
    return checker
  }

  async #part(kind: string, name: string, reader: BackupReader): Promise<void> {
    const { target } = this.#options
    switch (kind) {
      case 'journal': {
        const checker = await this.#journal()
        if (!SEGMENT.test(name)) throw new FormatError('a segment of an impossible name')
        if (name !== segmentName(checker.place.segment)) {
          checker.nextSegment()
          if (name !== segmentName(checker.place.segment))
            throw new FormatError(`${name} is not the segment that follows`)
        }
        for await (const piece of reader.pieces()) {
          const bytes = checker.push(piece)
          await target.journal(name, bytes)
        }
        if (checker.unfinished > 0) throw new FormatError(`${name} ends inside a frame`)
        return
      }
      case 'checkpoint':
        return this.#signed(await small(reader))
      case 'tile': {
        if (!TILE.test(name)) throw new FormatError('a tile of an impossible name')
        const bytes = await small(reader)
        if (name.includes('.p/')) this.#edge.set(name, bytes)
        return target.tile(name, bytes)
      }
      case 'snapshot': {
        if (!SNAPSHOT.test(name)) throw new FormatError('a snapshot of an impossible name')
        this.#snapshot = Number.parseInt(name, 10)
        return target.snapshot(name, reader.pieces())
      }
      case 'rows': {
        const upTo = Number(name)
        if (!/^(0|[1-9]\d{0,15})$/.test(name)) throw new FormatError('rows of no write set')
        this.#storeUpTo = upTo
        return target.rows(upTo, this.#lists(reader))
      }
      case 'configuration': {
        if (!FILE.test(name) || name === '.' || name === '..')
          throw new FormatError('a configuration of an impossible name')
        this.#configuration = name
        return target.configuration(name, await small(reader))
      }
    }
  }

  async *#lists(reader: BackupReader): AsyncGenerator<readonly Row[]> {
    for await (const piece of reader.pieces()) {
      const rows = decodeRows(piece)
      this.#rows += rows.length
      yield rows
    }
  }

  async #signed(bytes: Buffer): Promise<void> {
    const checker = await this.#journal()
    const note = parseNote(bytes)
    verifyNote(note, [parseVerifier(this.#vkey)])
    const { size, root, origin } = parseCheckpoint(note.text)
    if (origin !== this.#header?.origin) throw new FormatError('a checkpoint of another log')
    if (size !== checker.tree.size || !root.equals(checker.tree.root()))
      throw new FormatError(`the records do not make the root that was signed for ${size} of them`)
    this.#checkpoint = { size, root }
    this.#note = bytes.toString('utf8')
    await this.#options.target.checkpoint(bytes, () => checker.tree.partial())
  }

  async #finish(end: BackupEnd): Promise<void> {
    const checker = await this.#journal()
    // A segment of which nothing stands here but its name has no part.
    if (!samePlace(end.to, checker.place))
      throw new FormatError(`it ends with record ${checker.tree.size}, and says ${end.to.size}`)
    if (this.#storeUpTo !== undefined && this.#storeUpTo > end.to.lastWriteSet)
      throw new FormatError('its store is ahead of its journal')
    if (this.#snapshot > end.to.size) throw new FormatError('its snapshot is ahead of its journal')
    this.#end = end
  }

  result(files: number): ReadResult {
    const header = this.#header
    const end = this.#end
    const begins = this.#begins
    if (header === undefined || begins === undefined || end === undefined || this.#checkpoint === undefined)
      throw new BackupError('Damaged', 'the backup holds no checkpoint')
    return {
      header,
      end,
      begins,
      generations: this.#generations,
      files,
      checkpoint: this.#checkpoint,
      note: this.#note,
      vkey: this.#vkey,
      rows: this.#rows,
      storeUpTo: this.#storeUpTo,
      snapshot: this.#snapshot,
      configuration: this.#configuration,
    }
  }
}

async function small(reader: BackupReader): Promise<Buffer> {
  const pieces: Buffer[] = []
  let length = 0
  for await (const piece of reader.pieces()) {
    length += piece.length
    if (length > MAX_SMALL_BYTES) throw new FormatError('a part is longer than it may be')
    pieces.push(Buffer.from(piece))
  }
  return Buffer.concat(pieces)
}

/** Reads a chain, oldest file first. Rejects with BackupError. */
export async function readChain(inputs: readonly ChainInput[], options: ReadOptions): Promise<ReadResult> {
  const chain = new Chain(options)
  for (const input of inputs) await chain.file(input)
  return chain.result(inputs.length)
}
