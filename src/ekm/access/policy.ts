/**
 * The owner's policy: who may do what with a key, by what the provider claims of its caller. Evaluated after state and usage and before the
 * boundary; health is never a question of it.
 */
import type { KeyHeader } from '../../boundary/words.ts'
import type { Call } from '../core.ts'
import type { AuthenticatedCaller } from './caller.ts'

/** What an operation is to the owner, whatever its protocol calls it. */
export const ACTIONS = ['wrap', 'unwrap', 'digest', 'sign', 'describe'] as const
export type Action = (typeof ACTIONS)[number]

/** What a policy that forbids can order to be revoked of the call that it has denied. */
export type RevokeScope = 'key' | 'principal' | 'protocol' | 'tenant'

export interface Decision {
  readonly allowed: boolean
  /** Ids of the policies that decided, for the record; none where nothing allows the call. */
  readonly policies: readonly string[]
  /** With a denial: the kill switch is to be turned, by order of this policy. */
  readonly revoke?: { readonly scope: RevokeScope; readonly policy: string }
}

export interface Policy {
  /** Called for every use; answers at once wherever it can. Throws or rejects with a `BoundaryError` where the policy cannot be read. */
  decide(call: Call, action: Action, key: KeyHeader): Decision | Promise<Decision>
}

const ALLOWED: Decision = { allowed: true, policies: [] }
const DENIED: Decision = { allowed: false, policies: [] }

/** The rule that no policy lifts: callers of a tenant use keys of that tenant, and no others. */
export function isOwnKey(
  { tenant }: Pick<AuthenticatedCaller, 'tenant'>,
  { account }: Pick<KeyHeader, 'account'>,
): boolean {
  return account === tenant
}

/** That rule and no other: a credential of a tenant may use that tenant's keys, each for what it is meant for. */
export const ownTenantOnly: Policy = { decide: (call, _action, key) => (isOwnKey(call.caller, key) ? ALLOWED : DENIED) }
