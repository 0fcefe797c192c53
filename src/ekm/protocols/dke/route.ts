/**
 * From the raw path to tenant, key and version: `[/<tenant>]/<key>` and `[/<tenant>]/<key>/<guid>/decrypt`. Nothing is decoded, so no two paths name one
 * key; `decrypt` and the GUID are taken in any case, as Microsoft's sample service does.
 */
import { isKeyId, isTenantName, ROOT_TENANT } from '../../keys/names.ts'
import { isGuid } from './key-id.ts'

export type DkeOperation = 'publickey' | 'decrypt'

export interface DkeRoute {
  readonly operation: DkeOperation
  readonly tenant: string
  readonly keyId: string
  /** Empty for publickey. */
  readonly guid: string
}

export const METHODS: Readonly<Record<DkeOperation, 'GET' | 'POST'>> = { publickey: 'GET', decrypt: 'POST' }

const MAX_PATH = 512

/** Undefined where the path is neither. O(length). */
export function parsePath(rawPath: string): DkeRoute | undefined {
  if (rawPath.length > MAX_PATH || rawPath[0] !== '/') return undefined
  const segments = rawPath.slice(1).split('/')
  const guid = segments.at(-2) ?? ''
  const decrypts = segments.length >= 3 && segments.at(-1)?.toLowerCase() === 'decrypt' && isGuid(guid)
  const name = decrypts ? segments.slice(0, -2) : segments
  const keyId = name.at(-1) ?? ''
  const tenant = name.length === 1 ? ROOT_TENANT : name.slice(0, -1).join('/')
  // Two empty segments would be the slash that the root is called.
  if (!isKeyId(keyId) || !isTenantName(tenant) || (name.length > 1 && tenant === ROOT_TENANT)) return undefined
  return { operation: decrypts ? 'decrypt' : 'publickey', tenant, keyId, guid: decrypts ? guid : '' }
}
