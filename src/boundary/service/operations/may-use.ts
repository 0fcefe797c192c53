/** What is against a use of a key that is open: its state, its dates, the kill switches, an owner's holds, and that it was changed meanwhile. */
import type { EncodedAsserted } from '../../record-fields.ts'
import { BoundaryError } from '../../words.ts'
import type { Core } from '../core.ts'
import { type OpenKey, Stale } from '../keys/open-keys.ts'
import { USE_STATES } from '../keys/states.ts'

/** Throws what the key's state, dates and the kill switches say against any use of it. */
export function mayUse(core: Core, key: OpenKey): void {
  const refusal = USE_STATES[key.state]
  if (refusal !== undefined) throw new BoundaryError(refusal)
  if (core.switches.stops(key.account)) throw new BoundaryError('KeyRevoked')
  if (key.expiresAt !== 0 && key.expiresAt <= core.clocks.lifecycle()) throw new BoundaryError('KeyPendingImport')
}

/** Throws what is against this use by whoever asks: an owner's kill switches and holds. A provider's boundary has none of either. */
export function mayAsk(core: Core, key: OpenKey, asserted: EncodedAsserted): void {
  if (core.switches.stopsCaller(asserted)) throw new BoundaryError('KeyRevoked')
  core.holds.check(key.id, asserted)
}

/** Throws Stale where the key has another revision by now, and what its dates and the switches say. */
export function mayStillUse(core: Core, key: OpenKey): void {
  const current = core.book.current('key', key.id)
  if (current === undefined || current.deleted) throw new BoundaryError('KeyGone')
  if (current.revision !== key.revision) throw new Stale(key.id)
  mayUse(core, key)
}
