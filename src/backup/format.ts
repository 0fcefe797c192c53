/** What stands inside a backup's age file. See docs/formats/backup.md. */
import { FormatError, Reader, Writer } from '../boundary/bytes.ts'

const MAGIC = Buffer.from('HOLDBACK')
const VERSION = 1
/** A piece of a part is at most this long; writers stay far below. */
export const MAX_PIECE_BYTES = 4 * 1024 * 1024
const MAX_HEADER_BYTES = 4096
const MAX_NAME_BYTES = 1024

export const KINDS = ['full', 'increment'] as const
export type BackupKind = (typeof KINDS)[number]
const SERVICES = ['kms', 'ekm'] as const

/** Codes of parts; 0 is the end. */
export const PARTS = { journal: 1, checkpoint: 2, tile: 3, snapshot: 4, rows: 5, configuration: 6 } as const
export type PartKind = keyof typeof PARTS
const kindOfPart = new Map(Object.entries(PARTS).map(([kind, code]) => [code as number, kind as PartKind]))

/** A place in a journal, and all that it takes to go on from there. */
export interface Place {
  /** Records before it. */
  readonly size: number
  /** Time of the last of them, 0 for none. */
  readonly lastTime: number
  readonly lastWriteSet: number
  /** Segment, by its first sequence number, and offset in it. */
  readonly segment: number
  readonly offset: number
  /** crc of the last frame, or of the segment's header where it has no frame yet; at offset 0 that of the last frame of the segment before. */
  readonly crc: number
  /** Of the tree of these records. */
  readonly root: Buffer
}

export interface BackupHeader {
  readonly kind: BackupKind
  /** Of the file in its chain, from 1. */
  readonly number: number
  readonly boundaryId: Buffer
  readonly service: (typeof SERVICES)[number]
  readonly dev: boolean
  /** Name of the log, and the public key that its checkpoints are signed with. */
  readonly origin: string
  readonly logPublicKey: Buffer
  /** Milliseconds since 1970. */
  readonly createdAt: number
  /** SHA-256 of the file before; zeros in a full backup. */
  readonly previous: Buffer
  readonly from: Place
}

export interface BackupEnd {
  /** Everything that was acknowledged before this time is in it. */
  readonly until: number
  readonly to: Place
  readonly parts: number
}

export function writePlace(writer: Writer, place: Place): Writer {
  return writer
    .u64(place.size)
    .u64(place.lastTime)
    .u64(place.lastWriteSet)
    .u64(place.segment)
    .u64(place.offset)
    .u32(place.crc)
    .raw(place.root)
}

export function readPlace(reader: Reader): Place {
  return {
    size: reader.u64(),
    lastTime: reader.u64(),
    lastWriteSet: reader.u64(),
    segment: reader.u64(),
    offset: reader.u64(),
    crc: reader.u32(),
    root: Buffer.from(reader.raw(32)),
  }
}

export const samePlace = (a: Place, b: Place): boolean =>
  writePlace(new Writer(), a).done().equals(writePlace(new Writer(), b).done())

/** Magic, version and header: how a stream begins. */
export function encodeStart(header: BackupHeader): Buffer {
  const inner = new Writer()
    .u8(KINDS.indexOf(header.kind))
    .u32(header.number)
    .raw(header.boundaryId)
    .u8(SERVICES.indexOf(header.service))
    .u8(header.dev ? 1 : 0)
    .string(header.origin)
    .raw(header.logPublicKey)
    .u64(header.createdAt)
    .raw(header.previous)
  writePlace(inner, header.from)
  return Buffer.from(new Writer().raw(MAGIC).u16(VERSION).long(inner.done()).done())
}

export function encodePartHead(kind: PartKind, name: string): Buffer {
  return Buffer.from(new Writer().u8(PARTS[kind]).string(name).done())
}

/** The length that stands before a piece. */
export function encodePieceHead(bytes: number): Buffer {
  if (bytes < 1 || bytes > MAX_PIECE_BYTES) throw new RangeError(`a piece is 1 to ${MAX_PIECE_BYTES} bytes`)
  return Buffer.from(new Writer(4).u32(bytes).done())
}

/** Behind the last piece of a part. */
export const PART_END = Buffer.alloc(4)

export function encodeEnd(end: BackupEnd): Buffer {
  const writer = new Writer().u8(0).u64(end.until).u32(end.parts)
  return Buffer.from(writePlace(writer, end.to).done())
}

const END_BYTES = 8 + 4 + 5 * 8 + 4 + 32

/** Reads a stream from front to back. Everything that does not fit throws `FormatError`. */
export class BackupReader {
  readonly #source: AsyncIterator<Uint8Array>
  #rest: Buffer = Buffer.alloc(0)
  #parts = 0

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source[Symbol.asyncIterator]()
  }

  async #take(bytes: number): Promise<Buffer> {
    if (this.#rest.length < bytes) {
      const chunks = [this.#rest]
      let have = this.#rest.length
      while (have < bytes) {
        const { done, value } = await this.#source.next()
        if (done === true) throw new FormatError('the backup is cut short')
        chunks.push(Buffer.from(value.buffer, value.byteOffset, value.byteLength))
        have += value.byteLength
      }
      this.#rest = Buffer.concat(chunks)
    }
    const taken = this.#rest.subarray(0, bytes)
    this.#rest = this.#rest.subarray(bytes)
    return taken
  }

  async header(): Promise<BackupHeader> {
    const start = new Reader(await this.#take(14))
    if (!start.raw(MAGIC.length).equals(MAGIC)) throw new FormatError('this is no backup of Holdfast')
    const version = start.u16()
    if (version !== VERSION)
      throw new FormatError(`a backup of version ${version}, and this program knows version ${VERSION}`)
    const length = start.u32()
    if (length > MAX_HEADER_BYTES) throw new FormatError('a header of impossible length')
    const reader = new Reader(await this.#take(length))
    const kind = KINDS[reader.u8()]
    const number = reader.u32()
    const boundaryId = Buffer.from(reader.raw(16))
    const service = SERVICES[reader.u8()]
    const dev = reader.u8()
    const origin = reader.string()
    const logPublicKey = Buffer.from(reader.raw(32))
    const createdAt = reader.u64()
    const previous = Buffer.from(reader.raw(32))
    const from = readPlace(reader)
    reader.end()
    if (kind === undefined || service === undefined || dev > 1)
      throw new FormatError('a header names what this program does not know')
    return { kind, number, boundaryId, service, dev: dev === 1, origin, logPublicKey, createdAt, previous, from }
  }

  /** The next part, whose pieces must all be read before the next one is asked for; undefined at the end. */
  async part(): Promise<{ readonly kind: PartKind; readonly name: string } | undefined> {
    const code = (await this.#take(1)).readUInt8(0)
    if (code === 0) return undefined
    const kind = kindOfPart.get(code)
    if (kind === undefined) throw new FormatError(`a part of kind ${code}, which this program does not know`)
    const length = (await this.#take(2)).readUInt16BE(0)
    if (length > MAX_NAME_BYTES) throw new FormatError('a name of impossible length')
    const name = new Reader(
      new Writer()
        .u16(length)
        .raw(await this.#take(length))
        .done(),
    ).string()
    this.#parts++
    return { kind, name }
  }

  /** The pieces of the part that was asked for last. A piece is valid until the next one. */
  async *pieces(): AsyncGenerator<Buffer, void, undefined> {
    for (;;) {
      const length = (await this.#take(4)).readUInt32BE(0)
      if (length === 0) return
      if (length > MAX_PIECE_BYTES) throw new FormatError('a piece of impossible length')
      yield await this.#take(length)
    }
  }

  /** After the last part. */
  async end(): Promise<BackupEnd> {
    const reader = new Reader(await this.#take(END_BYTES))
    const end = { until: reader.u64(), parts: reader.u32(), to: readPlace(reader) }
    if (end.parts !== this.#parts) throw new FormatError('another number of parts than there should be')
    if (this.#rest.length > 0 || (await this.#source.next()).done !== true)
      throw new FormatError('something stands behind the end')
    return end
  }
}
