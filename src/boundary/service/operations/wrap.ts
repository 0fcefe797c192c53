/**
 * wrapForImport: the owner's half of bringing a key to a provider. The material is made (or taken) here and leaves wrapped under the provider's
 * import key; with `keepAs` the owner keeps the durable copy that the provider does not promise (aws-kms.md §14.6).
 */
import { createHash } from 'node:crypto'
import type { InputOf, OutputOf } from '../../client/protocol/operations.ts'
import { wrapForImport as wrap } from '../../crypto/import-token.ts'
import { secretBytes } from '../../crypto/random.ts'
import type { RecordFields } from '../../record-fields.ts'
import { BoundaryError } from '../../words.ts'
import { baseFields, type Call, type Core, refuse } from '../core.ts'
import { currentKey } from '../transition.ts'
import { draftExternalKey, sealedSecret, versionId } from './external.ts'

/** Says that two materials are the same, and nothing else of them: 256 random bits cannot be searched. */
const fingerprintOf = (material: Buffer): Buffer =>
  createHash('sha256').update('holdfast key material fingerprint\0').update(material).digest()

/** New random bytes, the bytes that were given, or those of a key that is kept here. */
async function materialOf(core: Core, input: InputOf<'wrapForImport'>): Promise<Buffer> {
  if (input.from === undefined) return input.material === undefined ? secretBytes(32) : Buffer.from(input.material)
  if (input.material !== undefined || input.keepAs !== undefined)
    throw new BoundaryError('InvalidRequest', 'from stands alone')
  const { opened } = await currentKey(core, input.from)
  const { header, materials } = opened
  if (header.state !== 'Enabled' || core.switches.stops(header.account)) throw new BoundaryError('KeyRevoked')
  const current = header.materials.find(each => each.state === 'CURRENT')
  const key = current === undefined ? undefined : materials.get(current.id)
  if (header.spec !== 'EXTERNAL_AES_256') throw new BoundaryError('InvalidState', 'only a secret key can be imported')
  if (key === undefined) throw new BoundaryError('InvalidState', 'the material of this key is in the token')
  return key.export()
}

export async function wrapForImport(
  core: Core,
  input: InputOf<'wrapForImport'>,
  call: Call,
): Promise<OutputOf<'wrapForImport'>> {
  const { publicKey, algorithm, keepAs, from, asserted } = input
  let fields: RecordFields = {
    ...baseFields(core, 'wrapForImport', call, asserted),
    keyId: keepAs?.id ?? from ?? '',
    wrappingKeyDigest: createHash('sha256').update(publicKey).digest(),
  }
  let result: OutputOf<'wrapForImport'>
  let durable: Promise<{ writeSet: number }>
  let material: Buffer = Buffer.alloc(0)
  try {
    if (core.service !== 'ekm') throw new BoundaryError('NotPermitted', 'this boundary holds a provider’s keys')
    material = await materialOf(core, input)
    result = { wrapped: wrap(publicKey, algorithm, material), fingerprint: fingerprintOf(material) }
    fields = { ...fields, outcome: 'allowed' }
    if (keepAs === undefined) durable = core.book.record(fields)
    else {
      const wanted = {
        ...keepAs,
        spec: 'EXTERNAL_AES_256',
        backing: 'SEALED',
        tokenObject: '',
        mayEncrypt: true,
        mayDecrypt: true,
      } as const
      const { rows } = draftExternalKey(core, wanted, sealedSecret(material))
      durable = core.book.commit({ ...fields, materialId: versionId(1), transition: '>Enabled' }, rows)
    }
  } catch (error) {
    return refuse(core, fields, error)
  } finally {
    material.fill(0)
    input.material?.fill(0)
  }
  const done = await durable
  if (keepAs !== undefined) call.writeSet = done.writeSet
  return result
}
