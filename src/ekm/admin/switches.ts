/**
 * The kill switch, and its undoing: one key, one tenant, or everything. Both go to the boundary itself, over its control socket, so they work with
 * the front end dead or hostile; revoking is in force for every use that starts after it has resolved.
 */
import type { BoundaryControl, RevokeTarget } from '../../boundary/client/api.ts'
import { operator, type ReadControl } from '../../store/admin.ts'
import { describeKey, explained, type KeyInfo, listKeys, resolveKey } from './keys.ts'
import { findTenant } from './tenants.ts'

export type SwitchControl = ReadControl & Pick<BoundaryControl, 'revoke' | 'restore'>

export interface SwitchResult {
  /** `key <id>`, `tenant <name>` or `all keys`. */
  readonly target: string
  /** Real milliseconds since 1970 at which the boundary had answered. */
  readonly answeredAt: number
  /** How long it took, in milliseconds. */
  readonly took: number
}

/** Throws `AdminError` where the target does not exist. A target that is revoked already stays so. */
export function revoke(control: SwitchControl, target: RevokeTarget): Promise<SwitchResult> {
  return turn(control, 'revoke', target)
}

/** By one person, for now: approvals by M of N come later. Undoes the same kind of revocation only: a key's own, a tenant's, or everything's. */
export function restore(control: SwitchControl, target: RevokeTarget): Promise<SwitchResult> {
  return turn(control, 'restore', target)
}

/** Of the keys that a restored target covers, those that are revoked for another reason. Throws `AdminError` where the target does not exist. */
export async function stillRevoked(control: ReadControl, target: RevokeTarget): Promise<KeyInfo[]> {
  if ('key' in target) return [await describeKey(control, target.key)].filter(key => key.state === 'Revoked')
  const revoked: KeyInfo[] = []
  for await (const key of listKeys(control, 'tenant' in target ? target.tenant : undefined))
    if (key.state === 'Revoked') revoked.push(key)
  return revoked
}

async function turn(control: SwitchControl, act: 'revoke' | 'restore', asked: RevokeTarget): Promise<SwitchResult> {
  const target = await existing(control, asked)
  const name = nameOf(target)
  const started = performance.now()
  try {
    await control[act](target, operator(act === 'revoke' ? 'Revoke' : 'Restore', name))
  } catch (error) {
    throw explained(error, { KeyGone: `There is no ${name}.` })
  }
  return { target: name, answeredAt: Date.now(), took: performance.now() - started }
}

async function existing(control: SwitchControl, target: RevokeTarget): Promise<RevokeTarget> {
  if ('key' in target) return { key: await resolveKey(control, target.key) }
  if ('tenant' in target) return { tenant: (await findTenant(control, target.tenant)).tenant.name }
  return target
}

function nameOf(target: RevokeTarget): string {
  if ('key' in target) return `key ${target.key}`
  return 'tenant' in target ? `tenant ${target.tenant}` : 'all keys'
}
