/**
 * When something will happen to a key by itself: the end of a change of its Regions or of its waiting period, the expiry of imported material, its next
 * rotation. Dates are data of the key, of lifecycle time; the scanner acts on them.
 */
import type { KeyHeader } from '../../words.ts'

/** What is due of a key at a time, in the order in which it is to be done. */
export type Due = 'finishRegions' | 'deleteKey' | 'expireKeyMaterial' | 'rotateKeyAutomatically'

const expires = (header: KeyHeader): number => {
  let first = 0
  for (const material of header.materials) {
    if (!material.present || material.expirationModel !== 'KEY_MATERIAL_EXPIRES') continue
    if (first === 0 || material.validTo < first) first = material.validTo
  }
  return first
}

/** Only an enabled key rotates by itself; an overdue rotation is made up for when the key is enabled again. Replicas follow their primary. */
const rotates = (header: KeyHeader): number =>
  header.rotationEnabled && header.state === 'Enabled' && header.multiRegion !== 'REPLICA' ? header.nextRotationAt : 0

/** Before every date. */
const AT_ONCE = 1
const finishes = (header: KeyHeader): number =>
  header.state === 'Creating' || header.state === 'Updating' ? AT_ONCE : 0

const deletes = (header: KeyHeader): number => (header.state === 'PendingDeletion' ? header.deletionDate : 0)

/** The first date at which something is due; 0 for none. */
export function dueAt(header: KeyHeader): number {
  let first = 0
  for (const at of [finishes(header), deletes(header), expires(header), rotates(header)]) {
    if (at !== 0 && (first === 0 || at < first)) first = at
  }
  return first
}

/** What is due at or before `now`. */
export function dueNow(header: KeyHeader, now: number): Due | undefined {
  const past = (at: number): boolean => at !== 0 && at <= now
  if (past(finishes(header))) return 'finishRegions'
  if (past(deletes(header))) return 'deleteKey'
  if (past(expires(header))) return 'expireKeyMaterial'
  if (past(rotates(header))) return 'rotateKeyAutomatically'
  return undefined
}

/** When material that a use needs ends: a use after it is refused even before the scanner has come by. 0 for never. */
export const expiresAt = expires
