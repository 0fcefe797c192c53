/**
 * Rotation of KMS keys: by themselves when they are due, and on demand (aws-kms.md §3.7). Old materials stay for decrypting.
 */
import { createSecretKey, type KeyObject } from 'node:crypto'
import type { KeyRow } from '../../client/api.ts'
import type { InputOf } from '../../client/protocol/operations.ts'
import type { OpenedKey } from '../../crypto/sealed.ts'
import { BoundaryError, type KeyHeader, type MaterialInfo, type RotationType } from '../../words.ts'
import { type Call, type Core, ownCall } from '../core.ts'
import { dueNow } from '../keys/due.ts'
import { notReplica, type Others } from '../keys/regions.ts'
import { follow, type KeyChange, type MemberChange, ownedByCustomer, transition } from '../transition.ts'
import { DAY, freshMaterial } from './create.ts'
import { newMaterial } from './material-info.ts'

/** On-demand and automatic rotation keep this distance, in milliseconds. */
const CONFLICT = 20 * 60_000
const DEFAULT_DAYS = 365
const MIN_DAYS = 90
const MAX_DAYS = 2560

function rotatable(header: KeyHeader): void {
  if (header.spec !== 'SYMMETRIC_DEFAULT' || header.origin !== 'AWS_KMS') {
    throw new BoundaryError('InvalidState', `origin ${header.origin}`)
  }
}

/** The list with `next` as the current material, and the one before it kept for decrypting. */
const succeeded = (materials: readonly MaterialInfo[], next: MaterialInfo): MaterialInfo[] => [
  ...materials
    .filter(material => material.id !== next.id)
    .map(material => (material.state === 'CURRENT' ? { ...material, state: 'NON_CURRENT' as const } : material)),
  next,
]

/** What a rotation changes: in the key, and in the other members of its set. */
type Rotated = Pick<KeyChange, 'header' | 'materials' | 'others' | 'fields'>

/** The same headers for all members of a set. */
const everywhere = (others: Others, header: Partial<KeyHeader>): ReadonlyMap<string, MemberChange> =>
  new Map([...others.keys()].map(id => [id, { header }]))

/** Fresh material becomes the current one in the key and, in the same write set, in every replica; `more` with it. */
function toFresh(
  core: Core,
  key: OpenedKey,
  others: Others,
  rotationType: RotationType,
  more: Partial<KeyHeader>,
): Rotated {
  const now = core.clocks.lifecycle()
  const { id, bytes } = freshMaterial(key.header.id)
  const material = createSecretKey(bytes)
  bytes.fill(0)
  const info: MaterialInfo = { ...newMaterial(id, now), rotationType, rotatedAt: now }
  const change = ({ header, materials }: OpenedKey): MemberChange => ({
    header: { ...more, materials: succeeded(header.materials, info) },
    materials: new Map<string, KeyObject>([...materials, [id, material]]),
  })
  return {
    ...change(key),
    others: new Map([...others].map(([other, member]) => [other, change(member)])),
    fields: { materialId: id },
  }
}

/** The imported material that waits, which every member has, becomes the current one in all of them. */
function toPending(key: OpenedKey, others: Others, now: number, more: Partial<KeyHeader>): Rotated {
  const isNext = (material: MaterialInfo): boolean => material.state === 'PENDING_ROTATION' && material.present
  const next = key.header.materials.find(isNext)
  if (next === undefined) throw new BoundaryError('NoPendingMaterial')
  const change = ({ header }: OpenedKey): MemberChange => {
    const pending = header.materials.find(material => material.id === next.id && isNext(material))
    if (pending === undefined) throw new BoundaryError('NoPendingMaterial')
    const current: MaterialInfo = { ...pending, state: 'CURRENT', rotationType: 'ON_DEMAND', rotatedAt: now }
    return { header: { ...more, materials: succeeded(header.materials, current) } }
  }
  return {
    ...change(key),
    others: new Map([...others].map(([other, member]) => [other, change(member)])),
    fields: { materialId: next.id },
  }
}

export async function setKeyRotation(
  core: Core,
  { id, enabled, periodDays, asserted }: InputOf<'setKeyRotation'>,
  call: Call,
): Promise<KeyRow> {
  const decide = ({ header }: OpenedKey, _row: KeyRow, others: Others): KeyChange => {
    ownedByCustomer(header)
    notReplica(header)
    follow('setKeyRotation', header)
    rotatable(header)
    const all = (change: Partial<KeyHeader>): KeyChange => ({ header: change, others: everywhere(others, change) })
    if (!enabled) {
      if (!header.rotationEnabled) return {}
      return all({ rotationEnabled: false, rotationPeriodDays: 0, nextRotationAt: 0 })
    }
    const days = periodDays === 0 ? DEFAULT_DAYS : periodDays
    if (days < MIN_DAYS || days > MAX_DAYS) {
      throw new BoundaryError('InvalidRequest', `the rotation period is ${MIN_DAYS} to ${MAX_DAYS} days`)
    }
    if (header.rotationEnabled && header.rotationPeriodDays === days) return {}
    const nextRotationAt = core.clocks.lifecycle() + days * DAY
    return all({ rotationEnabled: true, rotationPeriodDays: days, nextRotationAt })
  }
  return (await transition(core, { operation: 'setKeyRotation', id, call, asserted, wholeSet: true, decide })).row
}

function nearAutomatic(header: KeyHeader, now: number): boolean {
  const last = header.materials.findLast(material => material.rotationType === 'AUTOMATIC')
  if (last !== undefined && now - last.rotatedAt < CONFLICT) return true
  return header.rotationEnabled && header.nextRotationAt - now < CONFLICT
}

export async function rotateKeyOnDemand(
  core: Core,
  { id, asserted }: InputOf<'rotateKeyOnDemand'>,
  call: Call,
): Promise<KeyRow> {
  const decide = (key: OpenedKey, _row: KeyRow, others: Others): KeyChange => {
    const { header } = key
    ownedByCustomer(header)
    notReplica(header)
    follow('rotateKeyOnDemand', header)
    const most = core.quotas.onDemandRotations
    if (header.onDemandRotations >= most) throw new BoundaryError('LimitExceeded', `${most} rotations`)
    const more = { onDemandRotations: header.onDemandRotations + 1 }
    const now = core.clocks.lifecycle()
    if (header.spec !== 'SYMMETRIC_DEFAULT') throw new BoundaryError('InvalidState', `key spec ${header.spec}`)
    if (header.origin === 'EXTERNAL') return toPending(key, others, now, more)
    rotatable(header)
    if (nearAutomatic(header, now))
      throw new BoundaryError('Conflict', 'an automatic rotation is less than 20 minutes away')
    return toFresh(core, key, others, 'ON_DEMAND', more)
  }
  return (await transition(core, { operation: 'rotateKeyOnDemand', id, call, asserted, wholeSet: true, decide })).row
}

/** The rotation that is due. Missed ones are not made up for one by one: the next is a period from now. */
export async function rotateAutomatically(core: Core, id: string): Promise<void> {
  const decide = (key: OpenedKey, _row: KeyRow, others: Others): KeyChange => {
    const now = core.clocks.lifecycle()
    if (dueNow(key.header, now) !== 'rotateKeyAutomatically') throw new BoundaryError('InvalidState', key.header.state)
    rotatable(key.header)
    const nextRotationAt = now + key.header.rotationPeriodDays * DAY
    return toFresh(core, key, others, 'AUTOMATIC', { nextRotationAt })
  }
  const operation = 'rotateKeyAutomatically'
  await transition(core, { operation, id, call: ownCall(), asserted: undefined, wholeSet: true, decide })
}
