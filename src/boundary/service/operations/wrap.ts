/**
 * wrapForImport: the owner's half of bringing a key to a provider. The material is made (or taken) here and leaves wrapped under the provider's
 * import key; with `keepAs` the owner keeps the durable copy that the provider does not promise (aws-kms.md §14.6).
 */
import { createHash } from 'node:crypto'
import type { InputOf, OutputOf } from '../../client/protocol/operations.ts'
import { wrapForImport as wrap } from '../../crypto/import-token.ts'
import { secretBytes } from '../../crypto/random.ts'
import type { RecordFields } from '../../record.ts'
import { BoundaryError } from '../../words.ts'
import { baseFields, type Call, type Core, refuse } from '../core.ts'
import { draftExternalKey, versionId } from './external.ts'

/** Says that two materials are the same, and nothing else of them: 256 random bits cannot be searched. */
const fingerprintOf = (material: Buffer): Buffer =>
  createHash('sha256').update('holdfast key material fingerprint\0').update(material).digest()

export async function wrapForImport(
  core: Core,
  input: InputOf<'wrapForImport'>,
  call: Call,
): Promise<OutputOf<'wrapForImport'>> {
  const { publicKey, algorithm, keepAs, asserted } = input
  let fields: RecordFields = {
    ...baseFields(core, 'wrapForImport', call, asserted),
    keyId: keepAs?.id ?? '',
    wrappingKeyDigest: createHash('sha256').update(publicKey).digest(),
  }
  let result: OutputOf<'wrapForImport'>
  let durable: Promise<{ writeSet: number }>
  const material = input.material === undefined ? secretBytes(32) : Buffer.from(input.material)
  try {
    if (core.service !== 'ekm') throw new BoundaryError('NotPermitted', 'this boundary holds a provider’s keys')
    result = { wrapped: wrap(publicKey, algorithm, material), fingerprint: fingerprintOf(material) }
    fields = { ...fields, outcome: 'allowed' }
    if (keepAs === undefined) durable = core.book.record(fields)
    else {
      const wanted = { ...keepAs, backing: 'SEALED', tokenObject: '', mayEncrypt: true, mayDecrypt: true } as const
      const { rows } = draftExternalKey(core, wanted, '', material)
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
