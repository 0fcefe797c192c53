/**
 * The owner's kill switches: one key, one tenant, one protocol, one principal, everything; and their undoing. In force for every use that starts after the
 * answer, whatever the front end does, because every use passes the boundary. `trip` is the same for the owner's rules, which the front end applies: it can
 * only take away.
 */
import type { RevokeTarget } from '../../client/api.ts'
import type { InputOf } from '../../client/protocol/operations.ts'
import type { OpenedKey } from '../../crypto/sealed.ts'
import type { BoundaryOperation, EncodedAsserted, RecordFields } from '../../record-fields.ts'
import { BoundaryError } from '../../words.ts'
import { baseFields, type Call, type Core, refuse } from '../core.ts'
import { ALL_SWITCH, encodeSwitch, principalSwitch, protocolSwitch, tenantSwitch } from '../keys/switches.ts'
import { follow, type KeyChange, nextRow, transition } from '../transition.ts'

interface Turn {
  readonly operation: BoundaryOperation
  readonly revoked: boolean
  /** Of a rule. */
  readonly fields: Pick<RecordFields, 'rule' | 'evidence'>
}

type SwitchTarget = Exclude<RevokeTarget, { readonly key: string }>

function switchOf(target: SwitchTarget): { id: string; scope: string } {
  if ('all' in target) return { id: ALL_SWITCH, scope: '' }
  if ('tenant' in target) return { id: tenantSwitch(target.tenant), scope: target.tenant }
  return { id: 'protocol' in target ? protocolSwitch(target.protocol) : principalSwitch(target.principal), scope: '' }
}

async function turn(
  core: Core,
  { operation, revoked, fields: more }: Turn,
  { target, asserted }: { target: RevokeTarget; asserted: EncodedAsserted },
  call: Call,
): Promise<void> {
  if ('key' in target) {
    const decide = ({ header }: OpenedKey): KeyChange => {
      if (header.origin !== 'OWNER')
        throw new BoundaryError('NotPermitted', 'a provider’s key is disabled, not revoked')
      const state = follow(revoked ? 'revoke' : 'restore', header)
      return { ...(state === undefined ? {} : { header: { state, previousState: header.state } }), fields: more }
    }
    await transition(core, { operation, id: target.key, call, asserted, decide })
    return
  }
  const { id, scope } = switchOf(target)
  const fields: RecordFields = {
    ...baseFields(core, operation, call, asserted),
    ...more,
    transition: `${revoked ? 'revoke' : 'restore'} ${id}`.slice(0, 256),
  }
  let durable: Promise<{ writeSet: number }> | undefined
  try {
    if (core.service !== 'ekm') throw new BoundaryError('NotPermitted', 'this boundary holds a provider’s keys')
    // Turning what is turned already is recorded and changes nothing.
    if (core.switches.revoked(id) !== revoked) {
      const cause = more.rule === undefined ? '' : `${more.rule}: ${more.evidence ?? ''}`
      const body = encodeSwitch(revoked, core.clocks.lifecycle(), cause)
      const row = nextRow(core, { kind: 'switch', id, scope, link: '', body })
      durable = core.book.commit({ ...fields, outcome: 'allowed' }, [row])
    }
  } catch (error) {
    return refuse(core, fields, error)
  }
  if (durable !== undefined) call.writeSet = (await durable).writeSet
  else await core.book.record({ ...fields, outcome: 'allowed' })
}

export const revoke = (core: Core, input: InputOf<'revoke'>, call: Call): Promise<void> =>
  turn(core, { operation: 'revoke', revoked: true, fields: {} }, input, call)

export const restore = (core: Core, input: InputOf<'restore'>, call: Call): Promise<void> =>
  turn(core, { operation: 'restore', revoked: false, fields: {} }, input, call)

export async function trip(core: Core, input: InputOf<'trip'>, call: Call): Promise<void> {
  const { rule, evidence } = input
  if (rule === '') throw new BoundaryError('InvalidRequest', 'a rule has a name')
  return turn(core, { operation: 'trip', revoked: true, fields: { rule, evidence } }, input, call)
}
