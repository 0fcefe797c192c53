/**
 * Rotation of KMS keys: by themselves when they are due, and on demand (aws-kms.md §3.7). Old materials stay for decrypting.
 */
import type { KeyObject } from 'node:crypto'
import type { KeyRow } from '../../client/api.ts'
import type { InputOf } from '../../client/protocol/operations.ts'
import type { OpenedKey } from '../../crypto/sealed.ts'
import { BoundaryError, type KeyHeader, type MaterialInfo, type RotationType } from '../../words.ts'
import { type Call, type Core, ownCall } from '../core.ts'
import { dueNow } from '../keys/due.ts'
import { follow, type KeyChange, ownedByCustomer, transition } from '../transition.ts'
import { DAY, freshMaterial, newMaterial } from './create.ts'

export const MAX_ON_DEMAND = 25
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

function withFresh(
  core: Core,
  key: OpenedKey,
  rotationType: RotationType,
): Required<Pick<KeyChange, 'materials'>> & {
  infos: MaterialInfo[]
  id: string
} {
  const now = core.clocks.lifecycle()
  const { id, bytes } = freshMaterial(key.header.id)
  const infos = succeeded(key.header.materials, { ...newMaterial(id, now), rotationType, rotatedAt: now })
  return { id, infos, materials: new Map<string, KeyObject | Buffer>([...key.materials, [id, bytes]]) }
}

export async function setKeyRotation(
  core: Core,
  { id, enabled, periodDays, asserted }: InputOf<'setKeyRotation'>,
  call: Call,
): Promise<KeyRow> {
  const decide = ({ header }: OpenedKey): KeyChange => {
    ownedByCustomer(header)
    follow('setKeyRotation', header)
    rotatable(header)
    if (!enabled) {
      if (!header.rotationEnabled) return {}
      return { header: { rotationEnabled: false, rotationPeriodDays: 0, nextRotationAt: 0 } }
    }
    const days = periodDays === 0 ? DEFAULT_DAYS : periodDays
    if (days < MIN_DAYS || days > MAX_DAYS) {
      throw new BoundaryError('InvalidRequest', `the rotation period is ${MIN_DAYS} to ${MAX_DAYS} days`)
    }
    if (header.rotationEnabled && header.rotationPeriodDays === days) return {}
    const nextRotationAt = core.clocks.lifecycle() + days * DAY
    return { header: { rotationEnabled: true, rotationPeriodDays: days, nextRotationAt } }
  }
  return (await transition(core, { operation: 'setKeyRotation', id, call, asserted, decide })).row
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
  const decide = (key: OpenedKey): KeyChange => {
    const { header } = key
    ownedByCustomer(header)
    follow('rotateKeyOnDemand', header)
    if (header.onDemandRotations >= MAX_ON_DEMAND)
      throw new BoundaryError('LimitExceeded', `${MAX_ON_DEMAND} rotations`)
    const onDemandRotations = header.onDemandRotations + 1
    const now = core.clocks.lifecycle()
    if (header.spec !== 'SYMMETRIC_DEFAULT') throw new BoundaryError('InvalidState', `key spec ${header.spec}`)
    if (header.origin === 'EXTERNAL') {
      const pending = header.materials.find(material => material.state === 'PENDING_ROTATION' && material.present)
      if (pending === undefined) throw new BoundaryError('NoPendingMaterial')
      const next: MaterialInfo = { ...pending, state: 'CURRENT', rotationType: 'ON_DEMAND', rotatedAt: now }
      return {
        header: { materials: succeeded(header.materials, next), onDemandRotations },
        fields: { materialId: pending.id },
      }
    }
    rotatable(header)
    if (nearAutomatic(header, now))
      throw new BoundaryError('Conflict', 'an automatic rotation is less than 20 minutes away')
    const { id: materialId, infos, materials } = withFresh(core, key, 'ON_DEMAND')
    return { header: { materials: infos, onDemandRotations }, materials, fields: { materialId } }
  }
  return (await transition(core, { operation: 'rotateKeyOnDemand', id, call, asserted, decide })).row
}

/** The rotation that is due. Missed ones are not made up for one by one: the next is a period from now. */
export async function rotateAutomatically(core: Core, id: string): Promise<void> {
  const decide = (key: OpenedKey): KeyChange => {
    const now = core.clocks.lifecycle()
    if (dueNow(key.header, now) !== 'rotateKeyAutomatically') throw new BoundaryError('InvalidState', key.header.state)
    rotatable(key.header)
    const { id: materialId, infos, materials } = withFresh(core, key, 'AUTOMATIC')
    const nextRotationAt = now + key.header.rotationPeriodDays * DAY
    return { header: { materials: infos, nextRotationAt }, materials, fields: { materialId } }
  }
  await transition(core, { operation: 'rotateKeyAutomatically', id, call: ownCall(), asserted: undefined, decide })
}
