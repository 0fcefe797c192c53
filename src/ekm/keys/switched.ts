/** The owner's kill switches, as the replica has their rows. */
import {
  ALL_SWITCH,
  decodeSwitch,
  ofTenant,
  principalSwitch,
  protocolSwitch,
  tenantSwitch,
} from '../../boundary/service/keys/switches.ts'
import type { Row } from '../../boundary/words.ts'
import type { Replica } from '../../store/replica.ts'
import type { Call } from '../core.ts'

/** Of a principal that can have a kill switch: what a row's id takes. */
export const MAX_NAME = 480

/** What stops everything of a tenant that comes by a protocol, whoever asks. */
export const switchesOver = (protocol: string, tenant: string): string[] => [
  ALL_SWITCH,
  tenantSwitch(tenant),
  protocolSwitch(protocol),
]

/** What stops a call: the above, and those of its caller and of whoever it is said to be for. */
export function switchesOf({ caller, claims }: Call): string[] {
  const ids = switchesOver(caller.protocol, caller.tenant)
  for (const name of [caller.principal, claims.principal, claims.email, claims.pool]) {
    if (name === undefined) continue
    for (const one of [name, ofTenant(caller.tenant, name)]) if (one.length <= MAX_NAME) ids.push(principalSwitch(one))
  }
  return ids
}

/** Whether one of them is turned. */
export async function anyTurned(replica: Pick<Replica, 'get' | 'peek'>, switches: readonly string[]): Promise<boolean> {
  for (const id of switches) {
    const known = replica.peek('switch', id)
    const row: Row | null | undefined = known === undefined ? await replica.get('switch', id) : known
    if (row?.body && decodeSwitch(row.body).revoked) return true
  }
  return false
}
