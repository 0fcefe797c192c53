/**
 * The JSON body of a request, bounded in depth before it is parsed and refused unless every string in it has one UTF-8 form: two encryption
 * contexts must never become the same bytes (promise 6).
 */
import { isUtf8 } from 'node:buffer'
import { KmsError } from './errors.ts'

/** The deepest input of the API has four levels. */
const MAX_DEPTH = 16

const malformed = (text: string): KmsError => new KmsError('SerializationException', text)

/** How many brackets open; stops at the bound, since fewer brackets than levels allowed need no closer look. */
function openings(text: string): number {
  let count = 0
  for (let at = text.indexOf('{'); at >= 0 && count <= MAX_DEPTH; at = text.indexOf('{', at + 1)) count++
  for (let at = text.indexOf('['); at >= 0 && count <= MAX_DEPTH; at = text.indexOf('[', at + 1)) count++
  return count
}

/** True when the text nests deeper than `MAX_DEPTH`; reads brackets outside strings only. */
function tooDeep(text: string): boolean {
  let depth = 0
  let inString = false
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (inString) {
      if (code === 0x5c) at++
      else if (code === 0x22) inString = false
    } else if (code === 0x22) inString = true
    else if (code === 0x7b || code === 0x5b) {
      depth++
      if (depth > MAX_DEPTH) return true
    } else if (code === 0x7d || code === 0x5d) depth--
  }
  return false
}

/** Whether every string in a parsed value is free of lone surrogates, which UTF-8 cannot tell apart. */
function wellFormed(value: unknown): boolean {
  if (typeof value === 'string') return value.isWellFormed()
  if (typeof value !== 'object' || value === null) return true
  if (Array.isArray(value)) return value.every(wellFormed)
  return Object.entries(value).every(([name, item]) => name.isWellFormed() && wellFormed(item))
}

/** Parses a request's body; an empty one is `{}`. Throws SerializationException. */
export function parseBody(body: Buffer): Readonly<Record<string, unknown>> {
  if (body.length === 0) return {}
  if (!isUtf8(body)) throw malformed('The body is not UTF-8')
  const text = body.toString('utf8')
  if (openings(text) > MAX_DEPTH && tooDeep(text)) throw malformed('The body nests too deep')
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw malformed('The body is not JSON')
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw malformed('The body is not a JSON object')
  // Only an escape can put a lone surrogate into a text that was valid UTF-8.
  if (text.includes('\\u') && !wellFormed(value)) throw malformed('A string holds a lone surrogate')
  return value as Record<string, unknown>
}
