/** Key ids and material ids as bytes: a flag and 16 bytes for a key id, 32 bytes for a material id. See docs/formats/message.md. */
import { FormatError } from '../bytes.ts'

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/
const MULTI_REGION = /^mrk-[0-9a-f]{32}$/
const MATERIAL = /^[0-9a-f]{64}$/

export const KEY_ID_BYTES = 17
const FLAG_UUID = 0
const FLAG_MULTI_REGION = 1

/** Flag ‖ 16 bytes. Throws `RangeError` for anything but a lower-case UUID or `mrk-` and 32 hex digits. */
export function keyIdBytes(keyId: string): Buffer {
  const bytes = Buffer.alloc(KEY_ID_BYTES)
  if (UUID.test(keyId)) bytes.write(keyId.replaceAll('-', ''), 1, 'hex')
  else if (MULTI_REGION.test(keyId)) {
    bytes[0] = FLAG_MULTI_REGION
    bytes.write(keyId.slice(4), 1, 'hex')
  } else throw new RangeError('a key id is a lower-case UUID, or mrk- and 32 hex digits')
  return bytes
}

/** Reads flag ‖ 16 bytes at `at`. Throws `FormatError` for an unknown flag. */
export function readKeyId(bytes: Buffer, at: number): string {
  const flag = bytes[at]
  const hex = bytes.toString('hex', at + 1, at + KEY_ID_BYTES)
  if (flag === FLAG_MULTI_REGION) return `mrk-${hex}`
  if (flag !== FLAG_UUID) throw new FormatError('a key id of unknown form')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}

export function materialIdBytes(materialId: string): Buffer {
  if (!MATERIAL.test(materialId)) throw new RangeError('a material id is 64 hex digits')
  return Buffer.from(materialId, 'hex')
}
