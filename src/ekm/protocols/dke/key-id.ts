/**
 * GUIDs of key versions, which stand in every encrypted document for as long as it lives: 12 bytes of SHA-256 over the key's name and 4 of the version's
 * number, as a UUID of version 8 (RFC 9562 §5.8). They need no store, and a GUID of another key is not taken for a version of this one.
 */
import { createHash } from 'node:crypto'
import { keyRowId } from '../../keys/names.ts'

const GUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i
const LABEL = 'holdfast dke key id v1\0'

/** `version`: from 1. */
export function versionGuid(tenant: string, keyId: string, version: number): string {
  const bytes = createHash('sha256').update(LABEL).update(keyRowId(tenant, keyId)).digest().subarray(0, 16)
  bytes.writeUInt32BE(version, 12)
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x80
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80
  const hex = bytes.toString('hex')
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-')
}

export function isGuid(text: string): boolean {
  return GUID.test(text)
}

/** The version that a GUID of this key names, whether or not there is one of that number; undefined for every other GUID. */
export function guidVersion(tenant: string, keyId: string, guid: string): number | undefined {
  const version = Number.parseInt(guid.slice(-8), 16)
  return version > 0 && versionGuid(tenant, keyId, version) === guid.toLowerCase() ? version : undefined
}
