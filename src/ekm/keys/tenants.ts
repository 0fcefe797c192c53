/**
 * Tenants: rows of kind `tenant` whose id is the path prefix. The body is JSON of version 1, written by `src/ekm/admin` and vouched for by the
 * boundary. A tenant's row also names its credentials, so that listing them opens no secret and removing one takes a single write set.
 */
import type { Row } from '../../boundary/words.ts'

export interface TenantBody {
  readonly v: 1
  /** Milliseconds since 1970. */
  readonly created: number
  /**
   * Names (CN, dNSName or URI, exactly) of the client certificates that may speak for this tenant. Empty: any client that the listener admits.
   */
  readonly clients: readonly string[]
  /** By access key id. One that is not listed here is not accepted. */
  readonly credentials: Readonly<Record<string, { readonly created: number }>>
  /** Requests a second, and requests under way; the configuration's where there is none. */
  readonly perSecond?: number | undefined
  readonly inFlight?: number | undefined
}

export interface Tenant extends TenantBody {
  readonly name: string
}

export function writeTenant({ v, created, clients, credentials, perSecond, inFlight }: TenantBody): Buffer {
  return Buffer.from(JSON.stringify({ v, created, clients, credentials, perSecond, inFlight }), 'utf8')
}

const read = new WeakMap<Row, Tenant>()

/** Throws an Error where a newer version wrote the row. The bytes are the boundary's word, so their shape is not doubted. */
export function readTenant(row: Row): Tenant {
  const known = read.get(row)
  if (known !== undefined) return known
  const body = JSON.parse((row.body ?? Buffer.alloc(0)).toString('utf8')) as TenantBody
  if (body.v !== 1)
    throw new Error(`The row of tenant ${row.id} has version ${body.v}, which this version of Holdfast cannot read.`)
  const tenant = { ...body, name: row.id }
  read.set(row, tenant)
  return tenant
}
