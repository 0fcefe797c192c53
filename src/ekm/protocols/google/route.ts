/**
 * From the raw path to tenant, key and operation: `[/<tenant>]/<key>:wrap` and `:unwrap`. Nothing is decoded, so no two paths name one key.
 */
import { isKeyId, isTenantName, MAX_KEY_ID, MAX_PREFIX, ROOT_TENANT } from '../../keys/names.ts'

export type GoogleOperation = 'wrap' | 'unwrap'

export interface GoogleRoute {
  readonly operation: GoogleOperation
  readonly tenant: string
  readonly keyId: string
}

const OPERATIONS: ReadonlySet<string> = new Set<GoogleOperation>(['wrap', 'unwrap'])
/** Those of Cloud EKM whose messages are not public, and of its confidential mode. */
const OTHERS: ReadonlySet<string> = new Set([
  'asymmetricSign',
  'getPublicKey',
  'createKey',
  'destroyKey',
  'checkCryptoSpacePermissions',
  'confidentialwrap',
  'confidentialunwrap',
])
const MAX_PATH = MAX_PREFIX + MAX_KEY_ID + 32

/** Undefined where it is no path of this API; `unimplemented` where it is one that Holdfast does not speak. O(length). */
export function parsePath(rawPath: string): GoogleRoute | 'unimplemented' | undefined {
  if (rawPath.length > MAX_PATH || rawPath[0] !== '/') return undefined
  const colon = rawPath.lastIndexOf(':')
  const operation = colon < 0 ? '' : rawPath.slice(colon + 1)
  if (OTHERS.has(operation)) return 'unimplemented'
  if (!OPERATIONS.has(operation)) return undefined
  const slash = rawPath.lastIndexOf('/', colon)
  const keyId = rawPath.slice(slash + 1, colon)
  const tenant = slash === 0 ? ROOT_TENANT : rawPath.slice(1, slash)
  if (!isKeyId(keyId) || !isTenantName(tenant) || (slash > 0 && tenant === ROOT_TENANT)) return undefined
  return { operation: operation as GoogleOperation, tenant, keyId }
}
