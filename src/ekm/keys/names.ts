/**
 * Names of tenants and external keys. A tenant is a path prefix of the XKS proxy API ("API operations", `XksProxyUriPath`); `/` is the tenant
 * without a prefix. A key's row id is `<tenant>/<external key id>`: key ids hold no slash, so the last one divides them.
 */

/** `XksProxyUriPath` is at most 128 characters, of which `/` and `/kms/xks/v1` are not the prefix's. */
export const MAX_PREFIX = 116
export const MAX_KEY_ID = 128
/** The tenant of a proxy whose path is `/kms/xks/v1` alone. */
export const ROOT_TENANT = '/'

const PREFIX = /^[A-Za-z0-9_-]+(?:\/[A-Za-z0-9_-]+)*$/
const KEY_ID = /^[A-Za-z0-9._-]+$/

export function isTenantName(name: string): boolean {
  return name === ROOT_TENANT || (name.length <= MAX_PREFIX && PREFIX.test(name))
}

export function isKeyId(id: string): boolean {
  return id.length <= MAX_KEY_ID && KEY_ID.test(id)
}

export function keyRowId(tenant: string, keyId: string): string {
  return `${tenant}/${keyId}`
}

/** Undefined where it is no row id of an external key. */
export function splitKeyRowId(rowId: string): { tenant: string; keyId: string } | undefined {
  const at = rowId.lastIndexOf('/')
  if (at < 1) return undefined
  const tenant = rowId.slice(0, at)
  const keyId = rowId.slice(at + 1)
  return isTenantName(tenant) && isKeyId(keyId) ? { tenant, keyId } : undefined
}

/** What goes into `XksProxyUriPath` for a tenant. */
export function uriPath(tenant: string): string {
  return tenant === ROOT_TENANT ? '/kms/xks/v1' : `/${tenant}/kms/xks/v1`
}
