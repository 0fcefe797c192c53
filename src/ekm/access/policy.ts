/**
 * The owner's policy: who may do what with a key, by what the provider claims of its caller. Evaluated after state and usage and before the
 * boundary; health is never a question of it.
 */
import type { KeyHeader } from '../../boundary/words.ts'
import type { Call } from '../core.ts'

/** True allows. Pure and fast: it is called for every use. */
export type Policy = (call: Call, key: KeyHeader) => boolean

/** A credential of a tenant may use that tenant's keys, each for what it is meant for. Nothing else is allowed to anyone. */
export const ownTenantOnly: Policy = (call, key) => key.account === call.caller.tenant
