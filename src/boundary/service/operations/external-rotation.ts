/**
 * The next version of an owner's external key: by the owner's command, or by itself when the current one has encrypted so often that it is time (decision
 * 0037). Older versions stay for decrypting.
 */
import type { KeyObject } from 'node:crypto'
import type { KeyRow } from '../../client/api.ts'
import type { InputOf } from '../../client/protocol/operations.ts'
import type { OpenedKey } from '../../crypto/sealed.ts'
import type { RecordFields } from '../../record-fields.ts'
import { BoundaryError, type KeyHeader, type RotationType } from '../../words.ts'
import { type Call, type Core, ownCall } from '../core.ts'
import { counterId } from '../keys/counters.ts'
import { readPlace } from '../keys/place.ts'
import { currentKey, follow, type KeyChange, transition } from '../transition.ts'
import { counterRows, makeExternal, versionId } from './external.ts'
import { newMaterial } from './material-info.ts'
import { madeByUs } from './token.ts'

const MAX_VERSION = 0xffff_ffff

/** A new object in the token of the current one; what others may have encrypted stays with the object that they used. */
function besides({ backing, tokenObject }: KeyHeader): string {
  const token = backing === 'TOKEN' ? readPlace(tokenObject).token : ''
  return token === '' ? '' : `token=${token}`
}

const newest = ({ materials }: KeyHeader): number =>
  materials.reduce((last, each) => Math.max(last, Number.parseInt(each.id, 16)), 0)

async function successor(
  core: Core,
  opened: OpenedKey,
  row: KeyRow,
  rotationType: RotationType,
  more: RecordFields,
): Promise<KeyChange> {
  const { header } = opened
  const { id } = row
  follow('rotateExternalKey', header)
  if (core.switches.stops(header.account)) throw new BoundaryError('KeyRevoked')
  const version = newest(header) + 1
  if (version > MAX_VERSION) throw new BoundaryError('LimitExceeded', 'versions')
  const now = core.clocks.lifecycle()
  const { spec, backing, mayEncrypt, mayDecrypt } = header
  const key = { id, version, mayEncrypt, mayDecrypt }
  const made = await makeExternal(core, key, { spec, backing, named: besides(header) })
  const { bytes, object, publicKey } = made
  const next = newMaterial(versionId(version), now)
  const materials = [
    ...header.materials.map(each => ({ ...each, state: 'NON_CURRENT' as const })),
    { ...next, description: object, rotationType, rotatedAt: now },
  ]
  return {
    header: { materials, tokenObject: object, publicKey },
    materials:
      bytes === undefined
        ? opened.materials
        : new Map<string, KeyObject | Buffer>([...opened.materials, [next.id, bytes]]),
    rows: counterRows(spec, id, row.scope, version),
    fields: { ...more, materialId: next.id },
  }
}

export async function rotateExternalKey(
  core: Core,
  { id, asserted }: InputOf<'rotateExternalKey'>,
  call: Call,
): Promise<KeyRow> {
  const decide = (opened: OpenedKey, row: KeyRow) => successor(core, opened, row, 'ON_DEMAND', {})
  return (await transition(core, { operation: 'rotateExternalKey', id, call, asserted, decide })).row
}

/**
 * The version after `worn`, asked for by nobody. False where there is nothing to do: another version is the current one already, or the key is not used now.
 * Throws what stands in the way.
 */
export async function renewExternalKey(core: Core, id: string, worn: number): Promise<boolean> {
  const { opened } = await currentKey(core, id)
  const { header } = opened
  if (newest(header) !== worn || header.state !== 'Enabled' || core.switches.stops(header.account)) return false
  if (core.service !== 'ekm') throw new BoundaryError('NotPermitted', 'a key of this store has one version')
  if (header.backing === 'TOKEN' && !(await madeByUs(core, id, readPlace(header.tokenObject))))
    throw new BoundaryError('NotPermitted', 'its object in the token was made by others, and so is the next one')
  const { most } = core.counters.limits
  const used = core.counters.used(counterId(id, worn))
  const evidence = `version ${worn} has been used ${used} times of at most ${most}`
  const decide = (now: OpenedKey, row: KeyRow) => {
    if (newest(now.header) !== worn) throw new BoundaryError('Conflict', 'there is a newer version')
    const change = `version ${worn}>${worn + 1}`
    return successor(core, now, row, 'AUTOMATIC', { transition: change, evidence, count: used })
  }
  const operation = 'rotateKeyAutomatically'
  await transition(core, { operation, id, call: ownCall(), asserted: undefined, decide })
  return true
}
