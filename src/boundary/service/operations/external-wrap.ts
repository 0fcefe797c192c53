/**
 * Keys of others, wrapped and unwrapped under an owner's external key: AES key wrap under its 256 bits, RSAES-OAEP under its pair. What they make names no
 * version, so unwrapping without one tries all, newest first: each algorithm tells by itself whether it fits.
 */
import type { ExternalWrapAlgorithm } from '../../algorithms.ts'
import type { InputOf, OutputOf } from '../../client/protocol/operations.ts'
import { EXTERNAL_WRAPPINGS, type ExternalWrapping } from '../../crypto/external-wrap.ts'
import { BoundaryError } from '../../words.ts'
import type { Call, Core } from '../core.ts'
import type { OpenKey, OpenMaterial } from '../keys/open-keys.ts'
import { threads } from '../threads/threads.ts'
import { versionId } from './external.ts'
import { tokenUnwrap, tokenWrap } from './token.ts'
import { useKey } from './use.ts'

/** Throws InvalidKeyUsage unless the key is an owner's and of the algorithm's kind. */
function wrappingOf(core: Core, key: OpenKey, algorithm: ExternalWrapAlgorithm, allowed: boolean): ExternalWrapping {
  const wrapping = EXTERNAL_WRAPPINGS[algorithm]
  if (core.service !== 'ekm' || !allowed || wrapping.rsa !== (key.spec !== 'EXTERNAL_AES_256'))
    throw new BoundaryError('InvalidKeyUsage')
  return wrapping
}

function secretOf({ key }: OpenMaterial) {
  if (key === undefined) throw new BoundaryError('InvalidKeyUsage')
  return key
}

export function externalWrap(
  core: Core,
  input: InputOf<'externalWrap'>,
  call: Call,
): Promise<OutputOf<'externalWrap'>> {
  return useKey(core, { ...input, operation: 'externalWrap', call }, (key, fields) => {
    const { algorithm, plaintext } = input
    fields.algorithm = algorithm
    fields.size = plaintext.length
    const wrapping = wrappingOf(core, key, algorithm, key.mayEncrypt)
    const material = key.current
    if (material === undefined) throw new BoundaryError('Internal')
    fields.materialId = material.id
    if (plaintext.length === 0) throw new BoundaryError('InvalidRequest', 'what is wrapped is at least 1 byte')
    const version = Number.parseInt(material.id, 16)
    const done = (wrapped: Buffer) => {
      plaintext.fill(0)
      return { wrapped, version }
    }
    if (wrapping.rsa) return done(wrapping.wrap(key.publicHalf(), plaintext))
    if (material.place === undefined) return done(wrapping.wrap(secretOf(material), plaintext))
    return tokenWrap(core, material.place, algorithm, plaintext).then(done)
  })
}

export function externalUnwrap(core: Core, input: InputOf<'externalUnwrap'>, call: Call): Promise<Buffer> {
  return useKey(core, { ...input, operation: 'externalUnwrap', call }, async (key, fields) => {
    const { algorithm, wrapped, version } = input
    fields.algorithm = algorithm
    const wrapping = wrappingOf(core, key, algorithm, key.mayDecrypt)
    for (const material of version === 0 ? key.materials() : named(key, version)) {
      try {
        const plaintext =
          material.place === undefined
            ? await unwrapWith(wrapping, key, material, wrapped)
            : await tokenUnwrap(core, material.place, algorithm, wrapped)
        fields.materialId = material.id
        fields.size = plaintext.length
        return plaintext
      } catch (error) {
        if (!(error instanceof BoundaryError) || error.code !== 'InvalidCiphertext') throw error
      }
    }
    throw new BoundaryError('InvalidCiphertext')
  })
}

function unwrapWith(wrapping: ExternalWrapping, key: OpenKey, material: OpenMaterial, wrapped: Buffer) {
  const { oaepHash: hash } = wrapping
  if (hash === undefined) return wrapping.unwrap(secretOf(material), wrapped)
  return threads.rsaDecrypt(key.pair(material).privateKey, { kind: 'oaep', hash }, wrapped)
}

function named(key: OpenKey, version: number): readonly OpenMaterial[] {
  const material = key.material(versionId(version))
  return material === undefined ? [] : [material]
}
