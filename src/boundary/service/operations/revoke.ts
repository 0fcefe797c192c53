/**
 * The owner's kill switches: one key, one tenant, everything; and their undoing. In force for every use that starts after the answer, whatever the
 * front end does, because every use passes the boundary.
 */
import type { InputOf } from '../../client/protocol/operations.ts'
import type { OpenedKey } from '../../crypto/sealed.ts'
import type { RecordFields } from '../../record-fields.ts'
import { BoundaryError } from '../../words.ts'
import { baseFields, type Call, type Core, refuse } from '../core.ts'
import { ALL_SWITCH, encodeSwitch, tenantSwitch } from '../keys/switches.ts'
import { follow, type KeyChange, nextRow, transition } from '../transition.ts'

const turn =
  (operation: 'revoke' | 'restore') =>
  async (core: Core, { target, asserted }: InputOf<'revoke'>, call: Call): Promise<void> => {
    if ('key' in target) {
      const decide = ({ header }: OpenedKey): KeyChange => {
        if (header.origin !== 'OWNER')
          throw new BoundaryError('NotPermitted', 'a provider’s key is disabled, not revoked')
        const state = follow(operation, header)
        return state === undefined ? {} : { header: { state, previousState: header.state } }
      }
      await transition(core, { operation, id: target.key, call, asserted, decide })
      return
    }
    const id = 'all' in target ? ALL_SWITCH : tenantSwitch(target.tenant)
    const revoked = operation === 'revoke'
    const fields: RecordFields = { ...baseFields(core, operation, call, asserted), transition: `${operation} ${id}` }
    let durable: Promise<{ writeSet: number }> | undefined
    try {
      if (core.service !== 'ekm') throw new BoundaryError('NotPermitted', 'this boundary holds a provider’s keys')
      // Turning what is turned already is recorded and changes nothing.
      if (core.switches.revoked(id) !== revoked) {
        const scope = 'all' in target ? '' : target.tenant
        const body = encodeSwitch(revoked, core.clocks.lifecycle())
        const row = nextRow(core, { kind: 'switch', id, scope, link: '', body })
        durable = core.book.commit({ ...fields, outcome: 'allowed' }, [row])
      }
    } catch (error) {
      return refuse(core, fields, error)
    }
    if (durable !== undefined) call.writeSet = (await durable).writeSet
    else await core.book.record({ ...fields, outcome: 'allowed' })
  }

export const revoke = turn('revoke')
export const restore = turn('restore')
