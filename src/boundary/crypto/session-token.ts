/**
 * Session tokens: what a session of temporary credentials is made of, sealed by the boundary, so that front ends keep nothing of it. See
 * docs/formats/session-token.md.
 */
import { Reader, Writer } from '../bytes.ts'
import type { Keyring } from '../root/keyring.ts'
import { BoundaryError } from '../words.ts'
import { BOX_OVERHEAD, openBox, sealBox } from './box.ts'
import type { RandomOption } from './random.ts'

const VERSION = 1
/** Version 1, boundary id 16, expiry 8. */
const HEADER_BYTES = 25
export const MAX_SESSION_BODY = 8192

export interface SessionContent {
  readonly body: Buffer
  /** Milliseconds since 1970 of real time: the first instant at which the token is worth nothing. */
  readonly expiresAt: number
}

/** Throws `RangeError` for a body above `MAX_SESSION_BODY` bytes. */
export function sealSessionToken(keyring: Keyring, content: SessionContent, options?: RandomOption): Buffer {
  const { body, expiresAt } = content
  if (body.length > MAX_SESSION_BODY) throw new RangeError(`a session has at most ${MAX_SESSION_BODY} bytes`)
  const header = new Writer(HEADER_BYTES).u8(VERSION).raw(keyring.boundaryId).u64(expiresAt).done()
  return Buffer.concat([header, sealBox(keyring, 'session', header, body, options)])
}

/**
 * Throws `BoundaryError` InvalidSession, always the same, where the token is not this boundary's; ExpiredSession where it is and `now` (real time) has
 * reached its end. A token that opens was sealed under this boundary's id, so that is not compared again.
 */
export function openSessionToken(keyring: Keyring, token: Buffer, now: number): SessionContent {
  if (token.length < HEADER_BYTES + BOX_OVERHEAD || token.length > HEADER_BYTES + BOX_OVERHEAD + MAX_SESSION_BODY) {
    throw new BoundaryError('InvalidSession')
  }
  const header = token.subarray(0, HEADER_BYTES)
  let body: Buffer
  let expiresAt: number
  try {
    body = openBox(keyring, 'session', header, token.subarray(HEADER_BYTES))
    const reader = new Reader(header)
    if (reader.u8() !== VERSION) throw new BoundaryError('InvalidSession')
    reader.raw(16)
    expiresAt = reader.u64()
  } catch {
    throw new BoundaryError('InvalidSession')
  }
  if (now >= expiresAt) {
    body.fill(0)
    throw new BoundaryError('ExpiredSession')
  }
  return { body, expiresAt }
}
