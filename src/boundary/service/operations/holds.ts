/**
 * Decisions about keys on hold: asked by uses, listed and decided on the control socket by name, each decision with its record.
 */
import type { InputOf, OutputOf } from '../../client/protocol/operations.ts'
import type { RecordFields } from '../../record-fields.ts'
import { BoundaryError } from '../../words.ts'
import { baseFields, type Call, type Core, refuse } from '../core.ts'

/** The longest that one request may wait, in milliseconds. */
const MAX_WAIT = 60_000
/** The longest that a decision may hold, in seconds: a day. */
const MAX_SECONDS = 86_400

export async function awaitDecision(core: Core, { ask, milliseconds }: InputOf<'awaitDecision'>): Promise<void> {
  await core.holds.wait(ask, Math.min(milliseconds, MAX_WAIT))
}

export const listAsks = (core: Core): Promise<OutputOf<'listAsks'>> => Promise.resolve(core.holds.list())

export async function decideAsk(core: Core, input: InputOf<'decideAsk'>, call: Call): Promise<void> {
  const { ask: id, approve, by, seconds, asserted } = input
  let fields: RecordFields = {
    ...baseFields(core, 'decideAsk', call, asserted),
    transition: `${approve ? 'approve' : 'deny'} ${id}`,
  }
  let until = 0
  try {
    const ask = core.holds.find(id)
    if (ask === undefined) throw new BoundaryError('KeyGone', 'nobody asks this')
    fields = { ...fields, keyId: ask.keyId, evidence: `by ${by}`.slice(0, 300) }
    const hold = core.holds.get(ask.keyId)
    if (hold === undefined) throw new BoundaryError('InvalidState', 'the key is not on hold')
    if (by === '' || (hold.approvers.length > 0 && !hold.approvers.includes(by)))
      throw new BoundaryError('NotPermitted', 'not one of those who may decide')
    const length = seconds === 0 ? hold.decisionSeconds : seconds
    if (length > MAX_SECONDS) throw new BoundaryError('InvalidRequest', `a decision holds at most ${MAX_SECONDS} s`)
    until = core.clocks.real() + length * 1000
  } catch (error) {
    return refuse(core, fields, error)
  }
  // The record first: nothing is used on a decision that the log does not have.
  await core.book.record({ ...fields, outcome: 'allowed' })
  core.holds.decide(id, approve, by, until)
}
