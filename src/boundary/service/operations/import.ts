/**
 * Imported key material (aws-kms.md §3.6): parameters and import. A key that is EXTERNAL may have several materials; each is known by an
 * id that follows from key and material, so that only the same bytes can come back under it.
 */
import { createHash, type KeyObject } from 'node:crypto'
import { isAsymmetric } from '../../algorithms.ts'
import type { ImportMaterial, KeyRow } from '../../client/api.ts'
import type { InputOf, OutputOf } from '../../client/protocol/operations.ts'
import { makeImportToken, type OpenedImportToken, openImportToken } from '../../crypto/import-token.ts'
import { type ImportedMaterial, readMaterial } from '../../crypto/imported.ts'
import { materialId as idOf, type OpenedKey } from '../../crypto/sealed.ts'
import { BoundaryError, type KeyHeader, type KeySpec, type MaterialInfo } from '../../words.ts'
import type { Call, Core } from '../core.ts'
import { bareKeyId } from '../keys/open-keys.ts'
import { absent, changedLists, isPending, notReplica, type Others, settled } from '../keys/regions.ts'
import { making } from '../slow.ts'
import { threads } from '../threads/threads.ts'
import { follow, type KeyChange, ownedByCustomer, transition } from '../transition.ts'
import { DAY } from './create.ts'
import { materialMissing } from './state.ts'

const TOKEN_DAYS = 1
/** AWS: at most a year ahead. */
const MAX_VALID = 365 * DAY

export function imported(header: KeyHeader): void {
  ownedByCustomer(header)
  if (header.origin !== 'EXTERNAL') throw new BoundaryError('InvalidState', `origin ${header.origin}`)
}

export async function importParameters(
  core: Core,
  { id, algorithm, modulusBits, asserted }: InputOf<'importParameters'>,
  call: Call,
): Promise<OutputOf<'importParameters'>> {
  let made: OutputOf<'importParameters'> | undefined
  const decide = async ({ header }: OpenedKey): Promise<KeyChange> => {
    imported(header)
    follow('importParameters', header)
    const validTo = core.clocks.lifecycle() + TOKEN_DAYS * DAY
    const spec = header.spec
    const wanted = { keyId: id, spec, algorithm, modulusBits, validTo }
    const { token, publicKey } = await making.run(() => makeImportToken(core.keyring, wanted))
    made = { token, publicKey, validTo }
    return { fields: { wrappingKeyDigest: createHash('sha256').update(publicKey).digest() } }
  }
  await transition(core, { operation: 'importParameters', id, call, asserted, decide })
  if (made === undefined) throw new BoundaryError('Internal')
  return made
}

async function unwrapped(spec: KeySpec, token: OpenedImportToken, wrapped: Buffer): Promise<ImportedMaterial> {
  const bytes = await token.unwrap(wrapped, threads)
  try {
    return await (isAsymmetric(spec) ? making.run(() => readMaterial(spec, bytes)) : readMaterial(spec, bytes))
  } finally {
    bytes.fill(0)
  }
}

/** The id of a material for this key. A private key is the same in every encoding that it may have: its public key tells. */
function idIn(header: KeyHeader, material: KeyObject, publicKey: Buffer): string {
  const first = header.materials[0]
  if (first !== undefined && publicKey.length > 0 && publicKey.equals(header.publicKey)) return first.id
  return idOf(bareKeyId(header.id), material)
}

/** Which material an import is, or a refusal: new for this key, or one that it has had. */
function place(header: KeyHeader, input: ImportMaterial, id: string): MaterialInfo | undefined {
  const { importType } = input
  if (importType === 'NEW_KEY_MATERIAL' && input.materialId !== '') {
    throw new BoundaryError('InvalidRequest', 'new key material has no id yet')
  }
  const known = header.materials.find(material => material.id === id)
  const isNew =
    importType === 'NEW_KEY_MATERIAL' || (importType === '' && input.materialId === '' && header.materials.length === 0)
  if (!isNew) {
    if (known === undefined || (input.materialId !== '' && input.materialId !== id)) {
      throw new BoundaryError('IncorrectKeyMaterial', 'it is not the key material that was imported before')
    }
    return known
  }
  if (known !== undefined) throw new BoundaryError('IncorrectKeyMaterial', 'it is associated with the key already')
  if (header.spec !== 'SYMMETRIC_DEFAULT' && header.materials.length > 0) {
    throw new BoundaryError('IncorrectKeyMaterial', 'a key of this spec has one key material for ever')
  }
  // New material comes to a set through its primary.
  notReplica(header)
  const pending = header.materials.find(material => isPending(material.state))
  if (pending !== undefined) throw new BoundaryError('InvalidState', `pending rotation ${id} ${pending.id}`)
  return undefined
}

function checkDates(core: Core, input: ImportMaterial): void {
  const expires = input.expirationModel === 'KEY_MATERIAL_EXPIRES'
  const now = core.clocks.lifecycle()
  if (input.expirationModel === 'NONE') throw new BoundaryError('InvalidRequest', 'an expiration model is needed')
  if (expires !== (input.validTo !== 0)) throw new BoundaryError('InvalidRequest', 'expiration model and date')
  if (expires && (input.validTo <= now || input.validTo > now + MAX_VALID)) {
    throw new BoundaryError('InvalidRequest', 'the expiration date is past or more than 365 days ahead')
  }
}

/** A list of materials with this one: in the place of the known one where it is of the member that has it, at the end where it is new to the set. */
const listed = (
  materials: readonly MaterialInfo[],
  info: MaterialInfo,
  known: MaterialInfo | undefined,
): readonly MaterialInfo[] => {
  if (known === undefined) return [...materials, info]
  return info.present ? materials.map(each => (each.id === info.id ? info : each)) : materials
}

export async function importKeyMaterial(
  core: Core,
  { id, input, asserted }: InputOf<'importKeyMaterial'>,
  call: Call,
): Promise<OutputOf<'importKeyMaterial'>> {
  let materialId = ''
  const decide = async (key: OpenedKey, _row: KeyRow, others: Others): Promise<KeyChange> => {
    const { header } = key
    imported(header)
    follow('importKeyMaterial', header)
    const now = core.clocks.lifecycle()
    const token = openImportToken(core.keyring, input.token, { keyId: id, spec: header.spec, now })
    checkDates(core, input)
    const { material, publicKey } = await unwrapped(header.spec, token, input.wrapped)
    materialId = idIn(header, material, publicKey)
    const known = place(header, input, materialId)
    const { expirationModel, validTo, description } = input
    const first = header.materials.length === 0
    const info: MaterialInfo =
      known !== undefined
        ? { ...known, present: true, expirationModel, validTo, description: description || known.description }
        : {
            id: materialId,
            state: first ? 'CURRENT' : 'PENDING_ROTATION',
            present: true,
            createdAt: now,
            expirationModel,
            validTo,
            description,
            rotationType: 'NONE',
            rotatedAt: 0,
          }
    const lists = new Map<string, readonly MaterialInfo[]>()
    for (const [other, member] of others) lists.set(other, listed(member.header.materials, absent(info), known))
    const settledLists = settled(lists.set(id, listed(header.materials, info, known)))
    const materials = settledLists.get(id) ?? []
    const complete = header.state === 'PendingImport' && !materialMissing({ materials })
    return {
      header: { materials, publicKey, ...(complete ? { state: 'Enabled' as const } : {}) },
      others: changedLists(others, settledLists),
      materials: new Map<string, KeyObject>([...key.materials, [materialId, material]]),
      fields: { materialId },
    }
  }
  const { row } = await transition(core, { operation: 'importKeyMaterial', id, call, asserted, wholeSet: true, decide })
  return { row, materialId }
}
