/**
 * Pagination markers: without state, signed, and good for one list only: that operation, of that account, Region and key. A marker names the last
 * entry that was shown, and lists go on after it in the order of names that never change: what was there throughout is neither lost nor repeated.
 *
 * Every front end of a boundary signs with the same key, so a marker outlives the process that gave it. Format: docs/formats/marker.md.
 */
import { createHmac, createSecretKey, type KeyObject, timingSafeEqual } from 'node:crypto'
import { Writer } from '../../boundary/bytes.ts'
import { KmsError } from '../wire/errors.ts'
import type { Call } from './types.ts'

const VERSION = 1
const TAG_BYTES = 16

/** The key that signs markers; there from the first connection to the boundary on. */
export class MarkerKey {
  #key: KeyObject | undefined

  /** Takes 32 bytes over and wipes them. */
  take(bytes: Buffer): void {
    this.#key = createSecretKey(bytes)
    bytes.fill(0)
  }

  /** Throws KMSInternalException before the first connection. */
  tag(bytes: Buffer): Buffer {
    if (this.#key === undefined)
      throw new KmsError('KMSInternalException', undefined, { cause: new Error('there is no marker key yet') })
    return createHmac('sha256', this.#key).update(bytes).digest().subarray(0, TAG_BYTES)
  }
}

function tagOf(call: Call, position: string, of: string): Buffer {
  const { operation, region, keyId } = call
  const writer = new Writer(256)
  for (const part of [operation, call.caller.account, region, keyId, of, position]) writer.string(part)
  return call.services.markers.tag(writer.done())
}

/** `of`: what else the list is of, where it is not a key. */
export function writeMarker(call: Call, position: string, of = ''): string {
  return Buffer.concat([Buffer.of(VERSION), tagOf(call, position, of), Buffer.from(position)]).toString('base64url')
}

/** The position after which to go on; empty without a marker. Call it when the key is found: the marker is bound to `call.keyId`. */
export function readMarker(call: Call, marker: string | undefined, of = ''): string {
  if (marker === undefined) return ''
  const bytes = Buffer.from(marker, 'base64url')
  const position = bytes.subarray(1 + TAG_BYTES).toString()
  const whole = bytes.length > 1 + TAG_BYTES && bytes[0] === VERSION && bytes.toString('base64url') === marker
  if (!whole || !timingSafeEqual(bytes.subarray(1, 1 + TAG_BYTES), tagOf(call, position, of)))
    throw new KmsError('InvalidMarkerException', 'The marker is not one that this operation gave.')
  return position
}

/** One page of rows that were asked for with one more than `limit`: what to show, and the marker where there is more. */
export function pageOf<T>(
  call: Call,
  rows: readonly T[],
  limit: number,
  idOf: (row: T) => string,
  of = '',
): { page: readonly T[]; NextMarker?: string; Truncated: boolean } {
  const page = rows.slice(0, limit)
  const last = page.at(-1)
  if (rows.length <= limit || last === undefined) return { page, Truncated: false }
  return { page, NextMarker: writeMarker(call, idOf(last), of), Truncated: true }
}
