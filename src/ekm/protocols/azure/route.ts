/**
 * From the raw path and query to tenant, key and operation ("URI format"). Nothing is decoded: a path with anything but the characters that the
 * documentation allows is no path of this API, so no two paths name one key.
 */
import { isTenantName, ROOT_TENANT } from '../../keys/names.ts'

export type AzureOperation = 'info' | 'metadata' | 'wrapkey' | 'unwrapkey'

export interface AzureRoute {
  readonly tenant: string
  readonly operation: AzureOperation
  /** Empty for info. */
  readonly keyId: string
}

export const API_VERSION = '0.1-preview'

/** Of prefix, key and the longest operation, with their slashes. */
const MAX_PATH = 64 + 64 + 12
const MAX_QUERY = 256
/** Narrower than what a tenant or a key may be called elsewhere. */
const PREFIX = /^[A-Za-z0-9/-]{1,64}$/
const KEY_ID = /^[A-Za-z0-9-]{1,64}$/
const KEY_OPERATIONS: ReadonlySet<string> = new Set(['metadata', 'wrapkey', 'unwrapkey'])

/** Undefined where the path is none of the four. Read from its end, so that a prefix may itself end like an operation. */
export function parsePath(rawPath: string): AzureRoute | undefined {
  if (rawPath.length > MAX_PATH) return undefined
  const slash = rawPath.lastIndexOf('/')
  const operation = rawPath.slice(slash + 1)
  if (operation === 'info') return route(rawPath.slice(0, slash), operation, '')
  const before = rawPath.lastIndexOf('/', slash - 1)
  if (slash < 1 || before < 0 || !KEY_OPERATIONS.has(operation)) return undefined
  const keyId = rawPath.slice(before + 1, slash)
  return KEY_ID.test(keyId) ? route(rawPath.slice(0, before), operation as AzureOperation, keyId) : undefined
}

function route(prefix: string, operation: AzureOperation, keyId: string): AzureRoute | undefined {
  if (prefix === '') return { tenant: ROOT_TENANT, operation, keyId }
  const tenant = prefix.slice(1)
  if (prefix[0] !== '/' || tenant === ROOT_TENANT || !PREFIX.test(tenant) || !isTenantName(tenant)) return undefined
  return { tenant, operation, keyId }
}

/** Whether `api-version` is given once and is ours. Other parameters are passed over. */
export function isOurVersion(query: string): boolean {
  if (query.length > MAX_QUERY) return false
  const versions = query.split('&').filter(each => each === 'api-version' || each.startsWith('api-version='))
  return versions.length === 1 && versions[0] === `api-version=${API_VERSION}`
}
