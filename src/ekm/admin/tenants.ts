/** Tenants: path prefixes of the XKS proxy API, each with its own keys and credentials. */
import type { PutRow } from '../../boundary/client/api.ts'
import type { Row } from '../../boundary/words.ts'
import { type AdminControl, AdminError, allRows, change, currentRow, type ReadControl } from '../../store/admin.ts'
import { starterPolicy } from '../access/cedar/names.ts'
import { isTenantName, MAX_PREFIX, uriPath } from '../keys/names.ts'
import { readTenant, type Tenant, type TenantBody, writeTenant } from '../keys/tenants.ts'

export interface TenantInfo {
  readonly tenant: string
  /** What the provider is to be told: `XksProxyUriPath`. */
  readonly uriPath: string
  readonly created: number
  readonly clients: readonly string[]
  readonly credentials: readonly string[]
  /** Requests a second, and under way at once; null where the service's configuration decides. */
  readonly perSecond: number | null
  readonly inFlight: number | null
}

/** Bytes: with any tenant before it a kill switch can name it, and a record holds it whole. */
const MAX_NAME = 256
const MAX_CLIENTS = 32
/** Bounds of a quota, as those of the configuration (`load`). */
const MIN_PER_SECOND = 0.01
const MAX_PER_SECOND = 1_000_000
const MAX_IN_FLIGHT = 100_000

/**
 * With a policy, since without one nothing is allowed: the given text, which must have been accepted, or one that lets the tenant's callers use its keys.
 * Throws `AdminError` where the name is malformed or taken.
 */
export function createTenant(
  control: AdminControl,
  name: string,
  clients: readonly string[] = [],
  policy: Buffer = Buffer.from(starterPolicy(name)),
): Promise<TenantInfo> {
  if (!isTenantName(name))
    throw new AdminError(
      `A tenant is a path prefix of at most ${MAX_PREFIX} letters, digits, "-" and "_", in segments divided by "/" (or "/" alone for no prefix); ${JSON.stringify(name)} is not one.`,
    )
  checkClients(clients)
  return change(control, 'CreateTenant', name, async () => {
    if ((await currentRow(control, 'tenant', name)) !== undefined)
      throw new AdminError(`The tenant ${name} exists already. See: holdfast ekm tenant list`)
    const body: TenantBody = { v: 1, created: Date.now(), clients, credentials: {} }
    return { rows: [tenantRow(name, 0, body), policyRow(name, 0, policy)], result: infoOf({ ...body, name }) }
  })
}

/** Replaces the names in the client certificates that may speak for a tenant. Throws `AdminError` where there is no such tenant. */
export function setClients(control: AdminControl, name: string, clients: readonly string[]): Promise<TenantInfo> {
  checkClients(clients)
  return change(control, 'SetTenantClients', name, async () => {
    const { row, tenant } = await findTenant(control, name)
    const changed = { ...tenant, clients }
    return { rows: [tenantRow(name, row.revision, changed)], result: infoOf(changed) }
  })
}

export interface TenantQuota {
  readonly perSecond?: number | undefined
  readonly inFlight?: number | undefined
}

/** Replaces a tenant's quota; what is left out is the configuration's to say. Throws `AdminError` where there is no such tenant. */
export function setQuota(control: AdminControl, name: string, quota: TenantQuota): Promise<TenantInfo> {
  const { perSecond, inFlight } = quota
  if (perSecond !== undefined && !(perSecond >= MIN_PER_SECOND && perSecond <= MAX_PER_SECOND))
    throw new AdminError(`Requests a second are ${MIN_PER_SECOND} to ${MAX_PER_SECOND}.`)
  if (inFlight !== undefined && !(Number.isInteger(inFlight) && inFlight >= 1 && inFlight <= MAX_IN_FLIGHT))
    throw new AdminError(`Requests under way are a whole number, 1 to ${MAX_IN_FLIGHT}.`)
  return change(control, 'SetTenantQuota', name, async () => {
    const { row, tenant } = await findTenant(control, name)
    const changed = { ...tenant, perSecond, inFlight }
    return { rows: [tenantRow(name, row.revision, changed)], result: infoOf(changed) }
  })
}

function checkClients(clients: readonly string[]): void {
  if (clients.length > MAX_CLIENTS || clients.some(client => client === '' || Buffer.byteLength(client) > MAX_NAME))
    throw new AdminError(`Give at most ${MAX_CLIENTS} client names, each of 1 to ${MAX_NAME} bytes.`)
}

export async function listTenants(control: ReadControl): Promise<TenantInfo[]> {
  const tenants: TenantInfo[] = []
  for await (const row of allRows(control, 'tenant')) tenants.push(infoOf(readTenant(row)))
  return tenants
}

/** The tenant meant: the one given, or the only one there is. Throws `AdminError`. */
export async function tenantOrOnly(control: ReadControl, name: string | undefined): Promise<string> {
  if (name !== undefined) return (await findTenant(control, name)).tenant.name
  const tenants = await listTenants(control)
  const [only] = tenants
  if (only === undefined) throw new AdminError('There is no tenant yet. Make one: holdfast ekm tenant create PREFIX')
  if (tenants.length > 1) throw new AdminError('There are several tenants; say which one with --tenant PREFIX.')
  return only.tenant
}

/** Throws `AdminError` where there is none. */
export async function findTenant(control: ReadControl, name: string): Promise<{ row: Row; tenant: Tenant }> {
  const row = await currentRow(control, 'tenant', name)
  if (row === undefined) throw new AdminError(`There is no tenant ${name}. Make it: holdfast ekm tenant create ${name}`)
  return { row, tenant: readTenant(row) }
}

export function tenantRow(name: string, expected: number, body: TenantBody): PutRow {
  return { kind: 'tenant', id: name, scope: name, link: '', expected, body: writeTenant(body) }
}

/** `policy`: a tenant, or `*` for the whole service. */
export function policyRow(policy: string, expected: number, body: Buffer): PutRow {
  return { kind: 'owner-policy', id: policy, scope: policy, link: '', expected, body }
}

function infoOf({ name, created, clients, credentials, perSecond, inFlight }: Tenant): TenantInfo {
  return {
    tenant: name,
    uriPath: uriPath(name),
    created,
    clients,
    credentials: Object.keys(credentials),
    perSecond: perSecond ?? null,
    inFlight: inFlight ?? null,
  }
}
