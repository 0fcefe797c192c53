/**
 * Grant tokens: base64 of a version, the grant's row id and a MAC over them and a salt, under a secret that stands in the grant's own row and is told to
 * nobody. So a token is good for its grant alone, for as long as that is there, and nothing has to be remembered. It is no secret and gives nothing by
 * itself: grants are in force from their creation (aws-kms.md §3.10).
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'

const VERSION = 1
const SALT_BYTES = 16
const MAC_BYTES = 32
const MAX_BYTES = 1 + SALT_BYTES + MAC_BYTES + 512

function macOf(secret: string, rowId: string, salt: Buffer): Buffer {
  return createHmac('sha256', Buffer.from(secret, 'hex'))
    .update('holdfast grant token')
    .update(Uint8Array.of(VERSION))
    .update(salt)
    .update(rowId)
    .digest()
}

/** Another one each time. `secret`: 32 hex digits. */
export function writeGrantToken(rowId: string, secret: string): string {
  const salt = randomBytes(SALT_BYTES)
  const mac = macOf(secret, rowId, salt)
  return Buffer.concat([Uint8Array.of(VERSION), salt, mac, Buffer.from(rowId)]).toString('base64')
}

export interface GrantToken {
  /** Of the grant that it says it is for. */
  readonly rowId: string
  /** Whether it was made for this grant, whose secret this is. */
  fits(secret: string): boolean
}

/** Undefined for what has not the form of a token. */
export function readGrantToken(text: string): GrantToken | undefined {
  if (text.length > Math.ceil(MAX_BYTES / 3) * 4) return undefined
  const bytes = Buffer.from(text, 'base64')
  if (bytes.toString('base64') !== text || bytes[0] !== VERSION) return undefined
  const salt = bytes.subarray(1, 1 + SALT_BYTES)
  const mac = bytes.subarray(1 + SALT_BYTES, 1 + SALT_BYTES + MAC_BYTES)
  const rowId = bytes.toString('utf8', 1 + SALT_BYTES + MAC_BYTES)
  if (mac.length !== MAC_BYTES || !/^[a-z0-9-]{1,32}\/[a-z0-9-]{1,64}#[0-9a-f]{64}$/.test(rowId)) return undefined
  return { rowId, fits: secret => timingSafeEqual(mac, macOf(secret, rowId, salt)) }
}
