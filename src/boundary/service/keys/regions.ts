/**
 * Multi-Region sets as data (aws-kms.md §3.8): which rows are its members, which of its members hold a material, and how one change reaches all.
 *
 * Every member names the whole set, so the set is what its members say as long as they change together, in one write set.
 */
import type { OpenedKey } from '../../crypto/sealed.ts'
import { BoundaryError, type KeyHeader, type MaterialInfo, type MaterialState } from '../../words.ts'
import { bareKeyId } from './open-keys.ts'

/** Id of a key of several Regions, without its Region. */
export const MULTI_REGION_ID = /^mrk-[0-9a-f]{32}$/

/** The Region in a key's row id. */
export const regionOf = (id: string): string => id.slice(0, id.indexOf('/'))

/** Row id of the member of a key's set in a Region. */
export const memberId = (region: string, id: string): string => `${region}/${bareKeyId(id)}`

/** What transitions of a key wait for: members of a set have one lock, so that a change of all of them needs no order of several. */
export function lockName(id: string): string {
  const bare = bareKeyId(id)
  return MULTI_REGION_ID.test(bare) ? bare : id
}

/** Row ids of the set's other members; none for a key of one Region. */
export function otherIds(header: KeyHeader): string[] {
  if (header.multiRegion === 'NONE') return []
  return [header.primaryRegion, ...header.replicaRegions]
    .map(region => memberId(region, header.id))
    .filter(id => id !== header.id)
}

/** Throws Internal where a member does not say the same of the set as another: nothing is changed that is not understood. */
export function agree(one: KeyHeader, other: KeyHeader): void {
  const region = regionOf(other.id)
  const same =
    bareKeyId(one.id) === bareKeyId(other.id) &&
    one.account === other.account &&
    one.spec === other.spec &&
    one.usage === other.usage &&
    one.origin === other.origin &&
    one.primaryRegion === other.primaryRegion &&
    one.replicaRegions.join() === other.replicaRegions.join() &&
    other.multiRegion === (region === other.primaryRegion ? 'PRIMARY' : 'REPLICA')
  if (!same) throw new BoundaryError('Internal', 'the members of a multi-Region set do not agree')
}

/** Throws NotPermitted for a replica: what only the primary of a set may change. Keys of one Region may. */
export function notReplica(header: KeyHeader): void {
  if (header.multiRegion === 'REPLICA') throw new BoundaryError('NotPermitted', 'it is a replica')
}

/** Throws NotPermitted for all but the primary of a set. */
export function primaryOnly(header: KeyHeader): void {
  if (header.multiRegion !== 'PRIMARY') throw new BoundaryError('NotPermitted', 'it is not a multi-Region primary')
}

/** Material that waits for its rotation. */
export const isPending = (state: MaterialState): boolean =>
  state === 'PENDING_ROTATION' || state === 'PENDING_MULTI_REGION_IMPORT_AND_ROTATION'

/**
 * The lists of materials of all members, by row id, with the states of pending material that follow from them: it can be rotated to when every member
 * has it, and not before (aws-kms.md §3.6).
 */
export function settled(
  members: ReadonlyMap<string, readonly MaterialInfo[]>,
): ReadonlyMap<string, readonly MaterialInfo[]> {
  const missing = new Set<string>()
  for (const materials of members.values()) for (const { id, present } of materials) if (!present) missing.add(id)
  const stateOf = ({ id, state }: MaterialInfo): MaterialState => {
    if (!isPending(state)) return state
    return missing.has(id) ? 'PENDING_MULTI_REGION_IMPORT_AND_ROTATION' : 'PENDING_ROTATION'
  }
  return new Map(
    [...members].map(([id, materials]) => [id, materials.map(info => ({ ...info, state: stateOf(info) }))]),
  )
}

/** What a member that does not have an imported material knows of it. */
export const absent = (material: MaterialInfo): MaterialInfo => ({
  ...material,
  present: false,
  expirationModel: 'NONE',
  validTo: 0,
  description: '',
})

/** The other members of a set, by row id. */
export type Others = ReadonlyMap<string, OpenedKey>

/** Of the other members those whose list of materials is another one now: a row that stays as it is is not written again. */
export function changedLists(
  others: Others,
  lists: ReadonlyMap<string, readonly MaterialInfo[]>,
): ReadonlyMap<string, { readonly header: { readonly materials: readonly MaterialInfo[] } }> {
  const changed = new Map<string, { header: { materials: readonly MaterialInfo[] } }>()
  for (const [id, { header }] of others) {
    const materials = lists.get(id) ?? header.materials
    const same =
      materials.length === header.materials.length &&
      materials.every(({ id: material, state }, at) => {
        const before = header.materials[at]
        return before?.id === material && before.state === state
      })
    if (!same) changed.set(id, { header: { materials } })
  }
  return changed
}
