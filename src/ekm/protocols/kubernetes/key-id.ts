/**
 * The `key_id` that the API server stores beside what it has encrypted: it names tenant, key and version, is no secret, and changes with a rotation and
 * with nothing else, since every change makes the API server encrypt anew. It is made of what the boundary's row says, so every front end of an owner
 * says the same.
 */
import { keyRowId } from '../../keys/names.ts'

export function keyIdOf(tenant: string, keyId: string, version: number): string {
  return `${keyRowId(tenant, keyId)}:v${version}`
}

/** The version that a `key_id` of ours names; 0 for any other text. */
export function versionIn(keyId: string): number {
  return Number(/:v([1-9]\d{0,9})$/.exec(keyId)?.[1] ?? 0)
}
