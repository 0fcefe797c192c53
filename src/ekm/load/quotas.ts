/** How much of the service a tenant may have: what its row says, and the configuration's word where that says nothing. */
import type { Replica } from '../../store/replica.ts'
import { readTenant, type Tenant } from '../keys/tenants.ts'
import type { Quota } from './admission.ts'

/** Costs two look-ups. A tenant whose row is not in memory has the quota of the configuration until it is. */
export function tenantQuotas(replica: Pick<Replica, 'get' | 'peek'>, usual: Quota): (tenant: string) => Quota {
  const quotas = new WeakMap<Tenant, Quota>()
  return name => {
    const row = replica.peek('tenant', name)
    if (row === null) return usual
    if (row === undefined) {
      // Not waited for; and where it cannot be had, whoever needs it finds out why.
      replica.get('tenant', name).catch(() => {})
      return usual
    }
    const tenant = readTenant(row)
    let quota = quotas.get(tenant)
    if (quota === undefined) {
      const { perSecond = usual.perSecond, inFlight = usual.inFlight } = tenant
      quota = { perSecond, inFlight }
      quotas.set(tenant, quota)
    }
    return quota
  }
}
