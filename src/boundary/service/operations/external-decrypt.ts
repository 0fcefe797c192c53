/**
 * What an owner's external keys have encrypted, opened in the boundary or in the token; and, with an object that says so, what another key manager has
 * encrypted under it in a form of its own (docs/formats/external.md, "Ciphertexts of other key managers").
 */
import type { InputOf } from '../../client/protocol/operations.ts'
import { decryptExternal, externalAadBytes, isExternalMetadata, readExternalMetadata } from '../../crypto/external.ts'
import { xksProxyAadBytes } from '../../crypto/xks-proxy.ts'
import { BoundaryError } from '../../words.ts'
import { allowed, baseFields, type Call, type Core, type Gathered, refuse, spaceForUses } from '../core.ts'
import type { OpenKey, OpenMaterial } from '../keys/open-keys.ts'
import type { ForeignScheme, Place } from '../keys/place.ts'
import { forOwner, sha256, stillAllowed, versionId } from './external.ts'
import { tokenDecrypt } from './token.ts'

type Input = InputOf<'externalDecrypt'>
export type Sealed = Pick<Input, 'ciphertext' | 'aad'>

export async function externalDecrypt(core: Core, input: Input, call: Call): Promise<Buffer> {
  spaceForUses(core)
  const fields = baseFields(core, 'externalDecrypt', call, input.asserted)
  fields.keyId = input.key.id
  fields.aadDigest = sha256(input.aad)
  let plaintext: Buffer
  try {
    const key = core.open.open(input.key)
    forOwner(core, key, input.asserted)
    if (!key.mayDecrypt) throw new BoundaryError('InvalidKeyUsage')
    fields.keyRevision = key.revision
    const opened = openExternal(core, key, input, fields)
    if (opened instanceof Promise) {
      plaintext = await opened
      stillAllowed(core, key, input.asserted)
    } else {
      plaintext = opened
    }
  } catch (error) {
    return refuse(core, fields, error)
  }
  fields.size = plaintext.length
  await allowed(core, fields)
  return plaintext
}

/** At once in the boundary, later in a token. Notes under which material. Throws InvalidCiphertext, always the same. */
export function openExternal(core: Core, key: OpenKey, input: Sealed, fields: Gathered): Buffer | Promise<Buffer> {
  const version = versionOf(key, input.ciphertext.metadata)
  if (version !== undefined) fields.materialId = version.id
  if (version?.key !== undefined) return decryptExternal(version.key, input.ciphertext, input.aad)
  return inToken(core, key, version, input, fields)
}

/** The version that a ciphertext names; without metadata the first, which is all that there is before a rotation. Undefined where it names none of the key's. */
function versionOf(key: OpenKey, metadata: Buffer): OpenMaterial | undefined {
  return isExternalMetadata(metadata) ? key.material(versionId(readExternalMetadata(metadata) ?? 1)) : undefined
}

/** One way of reading a ciphertext: under which object, and with which additional data of GCM. */
interface Reading {
  readonly material: OpenMaterial
  readonly place: Place
  readonly aad: Buffer
  readonly scheme: ForeignScheme | undefined
}

function* readings(key: OpenKey, version: OpenMaterial | undefined, { aad, ciphertext }: Sealed): Generator<Reading> {
  const { metadata } = ciphertext
  if (version?.place !== undefined)
    yield { material: version, place: version.place, aad: externalAadBytes(aad, metadata), scheme: undefined }
  for (const material of key.materials()) {
    const { place } = material
    if (place?.opens === undefined) continue
    for (const bytes of xksProxyAadBytes(aad, metadata)) yield { material, place, aad: bytes, scheme: place.opens }
  }
}

/** GCM's tag tells the readings apart: at most one of them opens. */
async function inToken(
  core: Core,
  key: OpenKey,
  version: OpenMaterial | undefined,
  input: Sealed,
  fields: Gathered,
): Promise<Buffer> {
  for (const { material, place, aad, scheme } of readings(key, version, input)) {
    try {
      const plaintext = await tokenDecrypt(core, place, input.ciphertext, aad)
      fields.materialId = material.id
      if (scheme !== undefined) fields.algorithm ??= scheme
      return plaintext
    } catch (error) {
      if (!(error instanceof BoundaryError) || error.code !== 'InvalidCiphertext') throw error
    }
  }
  throw new BoundaryError('InvalidCiphertext')
}
