/** Pagination markers: opaque, without state, bound to operation, account and Region. They name a position, so a forged one shows nothing that a caller may not list. */
import { KmsError } from '../wire/errors.ts'
import type { Call } from './types.ts'

const VERSION = 1

const prefixOf = (call: Call): string => `${VERSION}\n${call.operation}\n${call.caller.account}\n${call.region}\n`

export function writeMarker(call: Call, lastId: string): string {
  return Buffer.from(prefixOf(call) + lastId).toString('base64url')
}

/** The id after which to go on; empty without a marker. */
export function readMarker(call: Call, marker: string | undefined): string {
  if (marker === undefined) return ''
  const text = Buffer.from(marker, 'base64url').toString()
  const prefix = prefixOf(call)
  if (!text.startsWith(prefix) || text.length === prefix.length || Buffer.from(text).toString('base64url') !== marker) {
    throw new KmsError('InvalidMarkerException', 'The marker is not one that this operation gave.')
  }
  return text.slice(prefix.length)
}

/** One page of rows that were asked for with one more than `limit`: what to show, and the marker where there is more. */
export function pageOf<T>(
  call: Call,
  rows: readonly T[],
  limit: number,
  idOf: (row: T) => string,
): { page: readonly T[]; NextMarker?: string; Truncated: boolean } {
  const page = rows.slice(0, limit)
  const last = page.at(-1)
  if (rows.length <= limit || last === undefined) return { page, Truncated: false }
  return { page, NextMarker: writeMarker(call, idOf(last)), Truncated: true }
}
