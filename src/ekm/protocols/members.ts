/**
 * Members of a JSON object, read one by one: presence, type and length. What is not asked for is passed over. Each reader is given the protocol's own
 * refusal.
 */
import { isUtf8 } from 'node:buffer'
import { decodeCanonical, encodedLength } from './xks/base64.ts'

export type Members = Readonly<Record<string, unknown>>
/** Makes what is thrown: `message` names members and bounds, never values. */
export type Invalid = (message: string) => Error

export function isObject(value: unknown): value is Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The body as an object. Its size was bounded before. */
export function readObject(body: Buffer, invalid: Invalid): Members {
  if (!isUtf8(body)) throw invalid('The body is not UTF-8.')
  let value: unknown
  try {
    value = JSON.parse(body.toString('utf8'))
  } catch {
    throw invalid('The body is not JSON.')
  }
  if (!isObject(value)) throw invalid('The body is not a JSON object.')
  return value
}

/** Undefined where it is not there. */
export function own(members: Members, name: string): unknown {
  return Object.hasOwn(members, name) ? members[name] : undefined
}

/** `max`: bytes of UTF-8. */
export function optionalString(members: Members, name: string, max: number, invalid: Invalid): string | undefined {
  const value = own(members, name)
  if (value === undefined) return undefined
  if (typeof value !== 'string') throw invalid(`${name} is not a string.`)
  if (Buffer.byteLength(value) > max) throw invalid(`${name} is longer than ${max} bytes.`)
  // Halves of characters, which JSON can say, are all the same in UTF-8: two names would be bound to one ciphertext.
  if (!value.isWellFormed()) throw invalid(`${name} is no text of Unicode.`)
  return value
}

export function string(members: Members, name: string, max: number, invalid: Invalid): string {
  const value = optionalString(members, name, max, invalid)
  if (value === undefined) throw invalid(`${name} is missing.`)
  return value
}

/** Of canonical Base64: 1 to `max` bytes. */
export function base64(members: Members, name: string, max: number, invalid: Invalid): Buffer {
  const text = string(members, name, encodedLength(max), invalid)
  const bytes = decodeCanonical(text)
  if (bytes === undefined) throw invalid(`${name} is not canonical Base64 (RFC 4648, section 4, with padding).`)
  if (bytes.length === 0) throw invalid(`${name} is empty.`)
  if (bytes.length > max) throw invalid(`${name} is longer than ${max} bytes.`)
  return bytes
}
