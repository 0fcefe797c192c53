/**
 * From the raw path to tenant, key and operation ("API operations"). Nothing is decoded: a path with anything but the characters that the
 * specification allows is no path of this API, so no two paths name one key.
 */
import { isKeyId, isTenantName, ROOT_TENANT } from '../../keys/names.ts'

export type XksOperation = 'health' | 'metadata' | 'encrypt' | 'decrypt'

export interface XksRoute {
  readonly tenant: string
  readonly operation: XksOperation
  /** Empty for health. */
  readonly keyId: string
}

/** Characters of the whole URI; the host's are not counted here, the path alone may not exceed it. */
export const MAX_URI = 256

const HEALTH = '/kms/xks/v1/health'
const KEYS = '/kms/xks/v1/keys/'
const KEY_OPERATIONS: ReadonlySet<string> = new Set(['metadata', 'encrypt', 'decrypt'])

/** Undefined where the path is none of the four. O(length), read from its end, so that a prefix may itself hold `kms/xks/v1`. */
export function parsePath(rawPath: string, query: string): XksRoute | undefined {
  if (query !== '' || rawPath.length > MAX_URI) return undefined
  if (rawPath.endsWith(HEALTH)) return route(rawPath.slice(0, -HEALTH.length), 'health', '')
  const slash = rawPath.lastIndexOf('/')
  const operation = rawPath.slice(slash + 1)
  if (slash < 1 || !KEY_OPERATIONS.has(operation)) return undefined
  const before = rawPath.lastIndexOf('/', slash - 1)
  const keyId = rawPath.slice(before + 1, slash)
  const base = rawPath.slice(0, before + 1)
  if (!isKeyId(keyId) || !base.endsWith(KEYS)) return undefined
  return route(base.slice(0, -KEYS.length), operation as XksOperation, keyId)
}

function route(prefix: string, operation: XksOperation, keyId: string): XksRoute | undefined {
  if (prefix === '') return { tenant: ROOT_TENANT, operation, keyId }
  const tenant = prefix.slice(1)
  if (prefix[0] !== '/' || tenant === ROOT_TENANT || !isTenantName(tenant)) return undefined
  return { tenant, operation, keyId }
}
