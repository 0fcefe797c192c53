/**
 * A reader of the little CBOR (RFC 8949) that an attestation document is made of: unsigned and negative integers, byte and text strings, arrays, maps and
 * null. Everything else is refused: floats, other simple values, tags within, strings in pieces, map keys that come twice, bytes behind the end.
 *
 * Maps and arrays may have an indefinite length, since the documents of today's Nitro Secure Module begin with such a map. Numbers need not have their
 * shortest form: nothing compares encodings, only values.
 */

export type CborValue = number | string | Buffer | null | readonly CborValue[] | CborMap
export type CborMap = ReadonlyMap<number | string, CborValue>

/** What is not CBOR as it is read here. The message names the reason, never the bytes. */
export class CborError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'CborError'
  }
}

/** An attestation document needs three: the map, its `pcrs` or `cabundle`, and what is in these. */
const MAX_DEPTH = 4
/** Values in one reading. A document has at most 9 fields, 32 registers and a handful of certificates. */
const MAX_VALUES = 256

const MAJOR = { unsigned: 0, negative: 1, bytes: 2, text: 3, array: 4, map: 5, tag: 6 } as const
const INDEFINITE = 31
const BREAK = 0xff
const NULL = 0xf6

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * The one value that `bytes` hold, and nothing behind it. Byte strings are views of `bytes`. `optionalTag`: a tag that may stand before it.
 * Throws CborError on anything else; no input makes it allocate more than a few times its own length.
 */
export function readCbor(bytes: Buffer, optionalTag?: number): CborValue {
  const reader = new Reader(bytes)
  if (optionalTag !== undefined) reader.skipTag(optionalTag)
  const value = reader.value(0)
  reader.end()
  return value
}

class Reader {
  readonly #bytes: Buffer
  #at = 0
  #values = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  skipTag(tag: number): void {
    if ((this.#peek() ?? 0) >> 5 !== MAJOR.tag) return
    if (this.#argument(this.#byte() & 0x1f) !== tag) throw new CborError('another tag')
  }

  end(): void {
    if (this.#at !== this.#bytes.length) throw new CborError('bytes behind the end')
  }

  value(depth: number): CborValue {
    if (depth >= MAX_DEPTH) throw new CborError('too deep')
    if (++this.#values > MAX_VALUES) throw new CborError('too many values')
    const initial = this.#byte()
    if (initial === NULL) return null
    const info = initial & 0x1f
    switch (initial >> 5) {
      case MAJOR.unsigned:
        return this.#argument(info)
      case MAJOR.negative:
        return -1 - this.#argument(info)
      case MAJOR.bytes:
        return this.#raw(this.#argument(info))
      case MAJOR.text:
        return this.#text(this.#argument(info))
      case MAJOR.array:
        return this.#array(info, depth)
      case MAJOR.map:
        return this.#map(info, depth)
      default:
        throw new CborError('a kind of value that has no place here')
    }
  }

  #array(info: number, depth: number): CborValue[] {
    const items: CborValue[] = []
    for (const _ of this.#members(info)) items.push(this.value(depth + 1))
    return items
  }

  #map(info: number, depth: number): CborMap {
    const map = new Map<number | string, CborValue>()
    for (const _ of this.#members(info)) {
      const key = this.value(depth + 1)
      if (typeof key !== 'number' && typeof key !== 'string')
        throw new CborError('a map key that is no number and no text')
      if (map.has(key)) throw new CborError('a map key that comes twice')
      map.set(key, this.value(depth + 1))
    }
    return map
  }

  /** Yields once for each member that is to be read: as often as the length says, or until the break. */
  *#members(info: number): Generator<void> {
    if (info !== INDEFINITE) {
      const length = this.#argument(info)
      // Each member is at least a byte.
      if (length > this.#bytes.length - this.#at) throw new CborError('cut short')
      for (let i = 0; i < length; i++) yield
      return
    }
    while (this.#peek() !== BREAK) yield
    this.#at++
  }

  /** The argument of an initial byte (RFC 8949 §3): a number below 2^53. */
  #argument(info: number): number {
    if (info < 24) return info
    if (info > 27) throw new CborError('a length that has no place here')
    const size = 1 << (info - 24)
    const raw = this.#raw(size)
    if (size < 8) return raw.readUIntBE(0, size)
    const value = raw.readUInt32BE(0) * 0x1_0000_0000 + raw.readUInt32BE(4)
    if (!Number.isSafeInteger(value)) throw new CborError('a number that is too large')
    return value
  }

  #text(length: number): string {
    try {
      return utf8.decode(this.#raw(length))
    } catch (error) {
      if (error instanceof CborError) throw error
      throw new CborError('text that is not UTF-8')
    }
  }

  #raw(length: number): Buffer {
    if (length > this.#bytes.length - this.#at) throw new CborError('cut short')
    this.#at += length
    return this.#bytes.subarray(this.#at - length, this.#at)
  }

  #byte(): number {
    const byte = this.#peek()
    if (byte === undefined) throw new CborError('cut short')
    this.#at++
    return byte
  }

  #peek(): number | undefined {
    return this.#bytes[this.#at]
  }
}
