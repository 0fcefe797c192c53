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
  const encoded = pairs.map(([name, value]) => {
    // UTF-8 encoding would turn different lone surrogates into one replacement character, and two contexts into one.
    if (!name.isWellFormed() || !value.isWellFormed())
      throw new BoundaryError('InvalidRequest', 'an encryption context is not well-formed Unicode')
    const pair = { name: Buffer.from(name), value: Buffer.from(value) }
    total += pair.name.length + pair.value.length
    if (total > MAX_CONTEXT_BYTES) throw tooLarge()
    return pair
  })
  encoded.sort((a, b) => Buffer.compare(a.name, b.name))
  const bytes = Buffer.allocUnsafe(2 + encoded.length * 4 + total)
  let at = bytes.writeUInt16BE(encoded.length)
  let before: Buffer | undefined
  for (const { name, value } of encoded) {
    if (before?.equals(name)) throw new BoundaryError('InvalidRequest', 'an encryption context names a key twice')
    before = name
    at = bytes.writeUInt16BE(name.length, at)
    at += name.copy(bytes, at)
    at = bytes.writeUInt16BE(value.length, at)
    at += value.copy(bytes, at)
  }
  return bytes
}

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
