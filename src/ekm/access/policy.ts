/**
 * The owner's policy: who may do what with a key, by what the provider claims of its caller. Evaluated after state and usage and before the
 * boundary; health is never a question of it.
 */
import type { KeyHeader } from '../../boundary/words.ts'
import type { Call } from '../core.ts'

/** What an operation is to the owner, whatever its protocol calls it. */
export const ACTIONS = ['wrap', 'unwrap', 'digest', 'sign', 'describe'] as const
export type Action = (typeof ACTIONS)[number]

export interface Decision {
  readonly allowed: boolean
  /** Ids of the policies that decided, for the record; none where nothing allows the call. */
  readonly policies: readonly string[]
}

export interface Policy {
  /** Called for every use; answers at once wherever it can. Rejects with a `BoundaryError` where the policy cannot be read. */
  decide(call: Call, action: Action, key: KeyHeader): Decision | Promise<Decision>
}

const ALLOWED: Decision = { allowed: true, policies: [] }
const DENIED: Decision = { allowed: false, policies: [] }

/** A credential of a tenant may use that tenant's keys, each for what it is meant for. Nothing else is allowed to anyone. */
export const ownTenantOnly: Policy = {
  decide: (call, _action, key) => (key.account === call.caller.tenant ? ALLOWED : DENIED),
}
