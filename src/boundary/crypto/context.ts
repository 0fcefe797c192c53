/**
 * The canonical encoding of an encryption context: pairs sorted by the bytes of their names, counted, every name and value with its length.
 * See docs/formats/context.md.
 */
import { isUtf8 } from 'node:buffer'
import { FormatError, Reader } from '../bytes.ts'
import type { EncryptionContext } from '../client/api.ts'
import { BoundaryError } from '../words.ts'

/** Bytes of all names and values together. */
export const MAX_CONTEXT_BYTES = 8192

const EMPTY = Buffer.from([0, 0])

/**
 * The canonical bytes. The order of the pairs does not matter; no pairs give `00 00`. Throws `BoundaryError` InvalidRequest for a duplicate
 * name, a string that is not well-formed Unicode, or more than 8192 bytes of names and values.
 */
export function encodeContext(pairs: EncryptionContext): Buffer {
  if (pairs.length === 0) return EMPTY
  if (pairs.length > MAX_CONTEXT_BYTES) throw tooLarge()
  let total = 0
  for (const [name, value] of pairs) {
    // UTF-8 encoding would turn different lone surrogates into one replacement character, and two contexts into one.
    if (!name.isWellFormed() || !value.isWellFormed())
      throw new BoundaryError('InvalidRequest', 'an encryption context is not well-formed Unicode')
    total += Buffer.byteLength(name) + Buffer.byteLength(value)
    if (total > MAX_CONTEXT_BYTES) throw tooLarge()
  }
  const sorted = pairs.length === 1 ? pairs : [...pairs].sort(byNameBytes)
  const bytes = Buffer.allocUnsafe(2 + sorted.length * 4 + total)
  let at = bytes.writeUInt16BE(sorted.length)
  let before: string | undefined
  for (const [name, value] of sorted) {
    if (name === before) throw new BoundaryError('InvalidRequest', 'an encryption context names a key twice')
    before = name
    at = putString(bytes, at, name)
    at = putString(bytes, at, value)
  }
  return bytes
}

function putString(bytes: Buffer, at: number, text: string): number {
  const length = bytes.write(text, at + 2)
  bytes[at] = length >>> 8
  bytes[at + 1] = length & 0xff
  return at + 2 + length
}

/**
 * The order of the names' UTF-8 bytes, which is that of their code points. UTF-16 sorts otherwise in one case: a surrogate stands below U+E000 to U+FFFF,
 * though its code point is above them.
 */
function byNameBytes([a]: readonly [string, string], [b]: readonly [string, string]): number {
  const shorter = Math.min(a.length, b.length)
  for (let at = 0; at < shorter; at++) {
    const x = a.charCodeAt(at)
    const y = b.charCodeAt(at)
    if (x !== y) return rank(x) - rank(y)
  }
  return a.length - b.length
}

const rank = (unit: number): number => (unit < 0xd800 ? unit : unit < 0xe000 ? unit + 0x2000 : unit - 0x800)

function tooLarge(): BoundaryError {
  return new BoundaryError('InvalidRequest', `an encryption context is larger than ${MAX_CONTEXT_BYTES} bytes`)
}

/** Reads canonical bytes back, in canonical order. Throws `FormatError` for anything that `encodeContext` would not have written. */
export function decodeContext(bytes: Buffer): EncryptionContext {
  const reader = new Reader(bytes)
  const count = reader.u16()
  const pairs: [string, string][] = []
  let before: Buffer | undefined
  let total = 0
  for (let index = 0; index < count; index++) {
    const name = reader.short()
    const value = reader.short()
    total += name.length + value.length
    if (!isUtf8(name) || !isUtf8(value)) throw new FormatError('a context string is not UTF-8')
    if (before !== undefined && Buffer.compare(before, name) >= 0)
      throw new FormatError('context names are not in order')
    before = name
    pairs.push([name.toString(), value.toString()])
  }
  if (total > MAX_CONTEXT_BYTES) throw new FormatError('the context is too large')
  reader.end()
  return pairs
}
