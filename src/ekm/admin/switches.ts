/**
 * The kill switch, and its undoing: one key, one tenant, one protocol, one principal, or everything. Both go to the boundary itself, over its control socket, so they work with
 * the front end dead or hostile; revoking is in force for every use that starts after it has resolved.
 */
import type { BoundaryControl, RevokeTarget } from '../../boundary/client/api.ts'
import { decodeSwitch } from '../../boundary/service/keys/switches.ts'
import type { Asserted } from '../../boundary/words.ts'
import { AdminError, allRows, operator, type ReadControl } from '../../store/admin.ts'
import { isProtocol, PROTOCOL_NAMES } from '../keys/protocols.ts'
import { MAX_NAME } from '../keys/switched.ts'
import { describeKey, explained, type KeyInfo, listKeys, resolveKey } from './keys.ts'
import { findTenant } from './tenants.ts'

export type SwitchControl = ReadControl & Pick<BoundaryControl, 'revoke' | 'restore'>

export interface SwitchResult {
  /** `key <id>`, `tenant <name>`, `protocol <name>`, `principal <name>` or `all keys`. */
  readonly target: string
  /** Real milliseconds since 1970 at which the boundary had answered. */
  readonly answeredAt: number
  /** How long it took, in milliseconds. */
  readonly took: number
}

/** Who turns a switch, for the record: whoever runs this process, unless somebody else is known. */
export type By = (operation: string, subject: string) => Asserted

/** Throws `AdminError` where the target does not exist. A target that is revoked already stays so. */
export function revoke(control: SwitchControl, target: RevokeTarget, by: By = operator): Promise<SwitchResult> {
  return turn(control, 'revoke', target, by)
}

/** By one person, for now: approvals by M of N come later. Undoes the same kind of revocation only: a key's own, a tenant's, or everything's. */
export function restore(control: SwitchControl, target: RevokeTarget, by: By = operator): Promise<SwitchResult> {
  return turn(control, 'restore', target, by)
}

export interface SwitchInfo {
  /** `tenant/<name>`, `protocol/<name>`, `principal/<name>` or `all`. */
  readonly switch: string
  /** Milliseconds since 1970, of lifecycle time. */
  readonly since: number
  /** The rule that turned it and what it saw; empty where a person did. */
  readonly cause: string
}

/** Those that are off. A key that is revoked by itself has no switch: `key list` shows it. */
export async function listSwitches(control: ReadControl): Promise<SwitchInfo[]> {
  const off: SwitchInfo[] = []
  for await (const { id, body } of allRows(control, 'switch')) {
    if (body === null) continue
    const { revoked, since, cause } = decodeSwitch(body)
    if (revoked) off.push({ switch: id, since, cause })
  }
  return off
}

/** Of the keys that a restored target covers, those that are revoked for another reason. Throws `AdminError` where the target does not exist. */
export async function stillRevoked(control: ReadControl, target: RevokeTarget): Promise<KeyInfo[]> {
  if ('key' in target) return [await describeKey(control, target.key)].filter(key => key.state === 'Revoked')
  const revoked: KeyInfo[] = []
  for await (const key of listKeys(control, 'tenant' in target ? target.tenant : undefined))
    if (key.state === 'Revoked') revoked.push(key)
  return revoked
}

async function turn(
  control: SwitchControl,
  act: 'revoke' | 'restore',
  asked: RevokeTarget,
  by: By,
): Promise<SwitchResult> {
  const target = await existing(control, asked)
  const name = nameOf(target)
  const started = performance.now()
  try {
    await control[act](target, by(act === 'revoke' ? 'Revoke' : 'Restore', name))
  } catch (error) {
    throw explained(error, { KeyGone: `There is no ${name}.` })
  }
  return { target: name, answeredAt: Date.now(), took: performance.now() - started }
}

async function existing(control: SwitchControl, target: RevokeTarget): Promise<RevokeTarget> {
  if ('key' in target) return { key: await resolveKey(control, target.key) }
  if ('tenant' in target) return { tenant: (await findTenant(control, target.tenant)).tenant.name }
  if ('protocol' in target && !isProtocol(target.protocol))
    throw new AdminError(`There is no protocol ${target.protocol}. There are: ${PROTOCOL_NAMES.join(', ')}`)
  // It need not have asked yet: whoever is not to use any key can be stopped before the first time.
  if ('principal' in target && (target.principal === '' || Buffer.byteLength(target.principal) > MAX_NAME))
    throw new AdminError(`The name of a principal has 1 to ${MAX_NAME} bytes; stop a longer one by policy.`)
  return target
}

function nameOf(target: RevokeTarget): string {
  if ('key' in target) return `key ${target.key}`
  if ('protocol' in target) return `protocol ${target.protocol}`
  if ('principal' in target) return `principal ${target.principal}`
  return 'tenant' in target ? `tenant ${target.tenant}` : 'all keys'
}
