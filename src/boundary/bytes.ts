/**
 * The one binary encoding of the boundary: big-endian integers and length-prefixed byte strings, written and read with bounds checked.
 * Every format in docs/formats is made of these.
 */
import { isUtf8 } from 'node:buffer'

/** Thrown by `Reader` on anything that does not fit. The message names the place, never the bytes. */
export class FormatError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'FormatError'
  }
}

/** A later version than this program knows. */
export class UnknownVersion extends FormatError {
  /** `what` begins the sentence. */
  constructor(what: string, version: number, known: number) {
    super(`${differs(what, version, known)}: a newer holdfast made it: use that one, or a later one`)
    this.name = 'UnknownVersion'
  }
}

const differs = (what: string, version: number, known: number): string =>
  `${what} has version ${version}, and this program knows version ${known}`

/**
 * To be called before anything else is read, tags and codes of authenticity included: what they stand over has another form in another version. Throws
 * `UnknownVersion` for one above `known`, and `FormatError` for one below `oldest`, which no holdfast that was released has made.
 */
export function checkVersion(what: string, version: number, known: number, oldest = known): void {
  if (version > known) throw new UnknownVersion(what, version, known)
  if (version < oldest) throw new FormatError(differs(what, version, known))
}

/** Grows as needed; `done` returns the bytes written. */
export class Writer {
  #buffer: Buffer
  #at = 0

  constructor(size = 256) {
    this.#buffer = Buffer.allocUnsafe(size)
  }

  get length(): number {
    return this.#at
  }

  #room(bytes: number): void {
    const needed = this.#at + bytes
    if (needed <= this.#buffer.length) return
    const larger = Buffer.allocUnsafe(Math.max(needed, this.#buffer.length * 2))
    this.#buffer.copy(larger, 0, 0, this.#at)
    this.#buffer = larger
  }

  u8(value: number): this {
    this.#room(1)
    this.#at = this.#buffer.writeUInt8(value, this.#at)
    return this
  }

  u16(value: number): this {
    this.#room(2)
    this.#at = this.#buffer.writeUInt16BE(value, this.#at)
    return this
  }

  u32(value: number): this {
    this.#room(4)
    this.#at = this.#buffer.writeUInt32BE(value, this.#at)
    return this
  }

  /** A non-negative safe integer (below 2^53) as 8 bytes. */
  u64(value: number): this {
    if (!Number.isSafeInteger(value) || value < 0) throw new RangeError('u64 must be a non-negative safe integer')
    this.#room(8)
    this.#buffer.writeUInt32BE(Math.floor(value / 0x1_0000_0000), this.#at)
    this.#buffer.writeUInt32BE(value >>> 0, this.#at + 4)
    this.#at += 8
    return this
  }

  /** The bytes alone: for fields of fixed size. */
  raw(bytes: Uint8Array): this {
    this.#room(bytes.length)
    this.#buffer.set(bytes, this.#at)
    this.#at += bytes.length
    return this
  }

  /** u16 length, then the bytes. */
  short(bytes: Uint8Array): this {
    if (bytes.length > 0xffff) throw new RangeError('longer than 65535 bytes')
    return this.u16(bytes.length).raw(bytes)
  }

  /** u32 length, then the bytes. */
  long(bytes: Uint8Array): this {
    return this.u32(bytes.length).raw(bytes)
  }

  /** u16 length in bytes, then UTF-8. */
  string(text: string): this {
    const length = Buffer.byteLength(text)
    if (length > 0xffff) throw new RangeError('longer than 65535 bytes')
    this.u16(length)
    this.#room(length)
    this.#buffer.write(text, this.#at, length, 'utf8')
    this.#at += length
    return this
  }

  /** The bytes written so far; a view, valid until the next write. */
  done(): Buffer {
    return this.#buffer.subarray(0, this.#at)
  }
}

/** Reads what `Writer` wrote. Byte strings are views of the input, not copies. */
export class Reader {
  readonly #buffer: Buffer
  #at: number
  readonly #end: number

  constructor(buffer: Buffer, start = 0, end = buffer.length) {
    this.#buffer = buffer
    this.#at = start
    this.#end = end
  }

  get offset(): number {
    return this.#at
  }

  get left(): number {
    return this.#end - this.#at
  }

  #take(bytes: number): number {
    const from = this.#at
    if (bytes > this.#end - from)
      throw new FormatError(`cut short: ${bytes} bytes wanted at ${from}, ${this.#end - from} left`)
    this.#at = from + bytes
    return from
  }

  u8(): number {
    return this.#buffer.readUInt8(this.#take(1))
  }

  u16(): number {
    return this.#buffer.readUInt16BE(this.#take(2))
  }

  u32(): number {
    return this.#buffer.readUInt32BE(this.#take(4))
  }

  u64(): number {
    const at = this.#take(8)
    const value = this.#buffer.readUInt32BE(at) * 0x1_0000_0000 + this.#buffer.readUInt32BE(at + 4)
    if (!Number.isSafeInteger(value)) throw new FormatError(`number out of range at ${at}`)
    return value
  }

  raw(bytes: number): Buffer {
    const at = this.#take(bytes)
    return this.#buffer.subarray(at, at + bytes)
  }

  short(): Buffer {
    return this.raw(this.u16())
  }

  long(max = 0xffff_ffff): Buffer {
    const length = this.u32()
    if (length > max) throw new FormatError(`${length} bytes where at most ${max} may stand`)
    return this.raw(length)
  }

  string(): string {
    const length = this.u16()
    const at = this.#take(length)
    if (length === 0) return ''
    const text = this.#buffer.toString('utf8', at, at + length)
    // Bytes that are not UTF-8 become replacement characters, and two encodings one text.
    if (text.includes('\ufffd') && !isUtf8(this.#buffer.subarray(at, at + length)))
      throw new FormatError(`not UTF-8 at ${at}`)
    return text
  }

  /** Everything must have been read: a format with something behind it is refused. */
  end(): void {
    if (this.#at !== this.#end) throw new FormatError(`${this.#end - this.#at} bytes too many at ${this.#at}`)
  }
}
