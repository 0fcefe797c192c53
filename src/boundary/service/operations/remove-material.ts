/**
 * Imported key material that goes: deleted by its owner, or expired (aws-kms.md §3.6). The entry stays, so that the same bytes may come back.
 */
import type { KeyRow } from '../../client/api.ts'
import type { InputOf, OutputOf } from '../../client/protocol/operations.ts'
import type { OpenedKey } from '../../crypto/sealed.ts'
import { BoundaryError, type MaterialInfo } from '../../words.ts'
import { type Call, type Core, ownCall } from '../core.ts'
import { dueNow } from '../keys/due.ts'
import { changedLists, isPending, type Others, settled } from '../keys/regions.ts'
import { follow, type KeyChange, type MemberChange, transition } from '../transition.ts'
import { imported } from './import.ts'
import { materialMissing } from './state.ts'

/**
 * The key without these materials. One that waited for its rotation is forgotten, by a primary for its whole set; of the others the entry stays, so that
 * the same bytes may come back, and the key cannot be used until they do. A replica changes only what it has itself.
 */
function without(key: OpenedKey, others: Others, ids: ReadonlySet<string>): KeyChange {
  const { header } = key
  const forgets = ({ id, state }: MaterialInfo): boolean =>
    ids.has(id) && isPending(state) && header.multiRegion !== 'REPLICA'
  const forgotten = new Set(header.materials.filter(forgets).map(material => material.id))
  const listed = (materials: readonly MaterialInfo[]) => materials.filter(({ id }) => !forgotten.has(id))
  const lists = new Map<string, readonly MaterialInfo[]>()
  for (const [id, member] of others) lists.set(id, listed(member.header.materials))
  const own = listed(header.materials).map(material =>
    ids.has(material.id) ? { ...material, present: false } : material,
  )
  const after = settled(lists.set(header.id, own))
  const materials = after.get(header.id) ?? own
  const usable = header.state === 'Enabled' || header.state === 'Disabled'
  const state = usable && materialMissing({ materials }) ? 'PendingImport' : header.state
  const changes = new Map<string, MemberChange>()
  for (const [id, change] of changedLists(others, after)) {
    const kept = new Map([...(others.get(id)?.materials ?? [])].filter(([each]) => !forgotten.has(each)))
    changes.set(id, { ...change, materials: kept })
  }
  return {
    header: { materials, state },
    materials: new Map([...key.materials].filter(([id]) => !ids.has(id))),
    others: changes,
  }
}

export async function deleteImportedKeyMaterial(
  core: Core,
  input: InputOf<'deleteImportedKeyMaterial'>,
  call: Call,
): Promise<OutputOf<'deleteImportedKeyMaterial'>> {
  const { id, asserted } = input
  let { materialId } = input
  const decide = (key: OpenedKey, _row: KeyRow, others: Others): KeyChange => {
    const { header } = key
    imported(header)
    follow('deleteImportedKeyMaterial', header)
    if (materialId === '') materialId = header.materials.find(material => material.state === 'CURRENT')?.id ?? ''
    const found = header.materials.find(material => material.id === materialId)
    if (found === undefined && input.materialId !== '')
      throw new BoundaryError('IncorrectKeyMaterial', 'no such material')
    // What waits for its rotation can be given up where it is not.
    const there = found !== undefined && (found.present || (isPending(found.state) && header.multiRegion === 'PRIMARY'))
    if (!there) return { fields: { materialId } }
    return { ...without(key, others, new Set([materialId])), fields: { materialId } }
  }
  const { row } = await transition(core, {
    operation: 'deleteImportedKeyMaterial',
    id,
    call,
    asserted,
    wholeSet: true,
    decide,
  })
  return { row, materialId }
}

/** Destroys materials that have expired. */
export async function expireMaterial(core: Core, id: string): Promise<void> {
  const decide = (key: OpenedKey, _row: KeyRow, others: Others): KeyChange => {
    const now = core.clocks.lifecycle()
    if (dueNow(key.header, now) !== 'expireKeyMaterial') throw new BoundaryError('InvalidState', key.header.state)
    const expired = key.header.materials.filter(
      material => material.present && material.expirationModel === 'KEY_MATERIAL_EXPIRES' && material.validTo <= now,
    )
    return {
      ...without(key, others, new Set(expired.map(material => material.id))),
      fields: { materialId: expired[0]?.id ?? '' },
    }
  }
  const operation = 'expireKeyMaterial'
  await transition(core, { operation, id, call: ownCall(), asserted: undefined, wholeSet: true, decide })
}
