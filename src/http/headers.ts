/**
 * Header fields as a protocol sees them: one value for each name, and none that two readers could read differently.
 */
import type { Headers } from './types.ts'

/** Fields that security depends on: sent twice, a request is refused, so that nobody reads another one than was verified. */
export const SINGLE_HEADERS: ReadonlySet<string> = new Set([
  'authorization',
  'content-length',
  'content-type',
  'expect',
  'host',
  'transfer-encoding',
  'x-amz-content-sha256',
  'x-amz-date',
  'x-amz-security-token',
  'x-amz-source-arn',
  'x-amz-target',
])

/**
 * Names and values alternately, as sent, to values by lower-case name; undefined where a request must be refused for its headers: too many of them, one of
 * `SINGLE_HEADERS` twice, or two ways to tell the body's length (RFC 9112 §6.1).
 */
export function singleValues(raw: readonly string[], maxCount: number): Headers | undefined {
  if (raw.length > maxCount * 2) return undefined
  const headers: Record<string, string | undefined> = Object.create(null)
  for (let at = 0; at + 1 < raw.length; at += 2) {
    const name = (raw[at] ?? '').toLowerCase()
    const value = raw[at + 1] ?? ''
    const known = headers[name]
    if (known === undefined) headers[name] = value
    else if (SINGLE_HEADERS.has(name)) return undefined
    else headers[name] = `${known},${value}`
  }
  if (headers['content-length'] !== undefined && headers['transfer-encoding'] !== undefined) return undefined
  return headers
}

const TARGET = /^\/[\x21-\x7e]*$/

/** Path and query of a request's target, undecoded; undefined for any form but the origin form in printable ASCII (RFC 9112 §3.2.1). */
export function splitTarget(target: string): { readonly rawPath: string; readonly query: string } | undefined {
  if (!TARGET.test(target) || target.includes('#')) return undefined
  const mark = target.indexOf('?')
  return mark < 0 ? { rawPath: target, query: '' } : { rawPath: target.slice(0, mark), query: target.slice(mark + 1) }
}
