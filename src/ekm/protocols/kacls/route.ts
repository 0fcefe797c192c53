/** From the raw path to tenant and method: `[/<tenant>]/v1/<method>`. Nothing is decoded, so no two paths name one method. */
import { WORKSPACE_METHODS, type WorkspaceMethod } from '../../access/workspace-rules.ts'
import { isTenantName, ROOT_TENANT } from '../../keys/names.ts'

export type KaclsMethod = WorkspaceMethod | 'status' | 'certs'

export interface KaclsRoute {
  readonly tenant: string
  readonly method: KaclsMethod
}

/** By the last part of the path. */
export const METHODS: ReadonlyMap<string, KaclsMethod> = new Map<string, KaclsMethod>([
  ...(['status', 'certs', ...Object.keys(WORKSPACE_METHODS)] as KaclsMethod[]).map(name => [name, name] as const),
  // What it was called before.
  ['takeout_unwrap', 'privilegedunwrap'],
])

const MAX_PATH = 256
const VERSION = '/v1'

/** Undefined where the path is none of a method. O(length). */
export function parsePath(rawPath: string): KaclsRoute | undefined {
  if (rawPath.length > MAX_PATH) return undefined
  const slash = rawPath.lastIndexOf('/')
  const method = METHODS.get(rawPath.slice(slash + 1))
  const base = rawPath.slice(0, Math.max(slash, 0))
  if (method === undefined || !base.endsWith(VERSION)) return undefined
  const prefix = base.slice(0, -VERSION.length)
  if (prefix === '') return { tenant: ROOT_TENANT, method }
  const tenant = prefix.slice(1)
  if (prefix[0] !== '/' || tenant === ROOT_TENANT || !isTenantName(tenant)) return undefined
  return { tenant, method }
}

export function verbOf(method: KaclsMethod): 'GET' | 'POST' {
  return method === 'status' || method === 'certs' ? 'GET' : 'POST'
}
