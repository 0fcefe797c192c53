/** What other parties keep for the key manager and give back: blobs, wrapped keys, key ids, GUIDs. */
import { readExternalMetadata } from '../../src/boundary/crypto/external.ts'
import { BoundaryError } from '../../src/boundary/words.ts'
import { BLOB_KINDS, type BlobKind, blobAad, decodeBlob, encodeBlob } from '../../src/ekm/protocols/blob.ts'
import { guidVersion, isGuid, versionGuid } from '../../src/ekm/protocols/dke/key-id.ts'
import { decodeKey, decodePrivateKey, encodeKey, encodePrivateKey } from '../../src/ekm/protocols/kacls/wrapped.ts'
import { keyIdOf, versionIn } from '../../src/ekm/protocols/kubernetes/key-id.ts'
import { damagedBytes, damagedText } from '../mutate.ts'
import { demand, type Target } from '../target.ts'

const KINDS = Object.keys(BLOB_KINDS) as BlobKind[]

interface Input {
  readonly bytes: Buffer
  readonly guid: string
  readonly keyId: string
}

export const blobs: Target<Input> = {
  name: 'blobs',
  about: 'blobs, wrapped keys, key ids and GUIDs that come back from others',
  start: () => {
    const filled = (length: number) => Buffer.alloc(length, length)
    const made = {
      metadata: Buffer.of(1, 0, 0, 0, 1),
      iv: filled(12),
      tag: filled(16),
      ciphertext: filled(32),
      integrityValue: undefined,
    }
    const good = [
      ...KINDS.map(kind => encodeBlob(kind, made)),
      encodeKey({ perimeter: 'legal', ciphertext: made }),
      encodeKey({ perimeter: 'é\0\ufffd', ciphertext: made }),
      encodePrivateKey({ perimeter: '', spki: filled(32), ciphertext: made }),
    ]
    return {
      make: random => ({
        bytes: random.chance(0.1) ? random.pick(good) : damagedBytes(random, random.pick(good), random.pick(good)),
        guid: damagedText(random, versionGuid('acme', 'k', 1 + random.below(3))),
        keyId: damagedText(random, keyIdOf('acme', 'k', 1 + random.below(3))),
      }),
      run: ({ bytes, guid, keyId }) => {
        let outcome = 'nothing'
        for (const kind of KINDS) {
          const blob = decodeBlob(kind, bytes)
          if (blob === undefined) continue
          demand(encodeBlob(kind, blob).equals(bytes), () => `a blob of ${kind} in two forms`)
          metadata(blob.metadata)
          outcome = kind
        }
        const key = decodeKey(bytes)
        if (key !== undefined) {
          demand(encodeKey(key).equals(bytes), () => 'a wrapped key in two forms')
          demand(blobAad('kacls', 'acme', 'k', ['document', key.perimeter]) !== undefined, () => 'a perimeter too long')
          outcome = 'wrapped key'
        }
        const pair = decodePrivateKey(bytes)
        if (pair !== undefined) {
          demand(encodePrivateKey(pair).equals(bytes), () => 'a wrapped private key in two forms')
          outcome = 'wrapped private key'
        }
        const version = isGuid(guid) ? guidVersion('acme', 'k', guid) : undefined
        if (version !== undefined)
          demand(versionGuid('acme', 'k', version) === guid.toLowerCase(), () => 'another GUID')
        const named = versionIn(keyId)
        demand(Number.isSafeInteger(named) && named >= 0, () => `version ${named}`)
        return outcome
      },
    }
  },
}

function metadata(bytes: Buffer): void {
  try {
    const version = readExternalMetadata(bytes)
    demand(version === undefined || (version >= 0 && version <= 0xffff_ffff), () => `version ${version}`)
  } catch (error) {
    demand(error instanceof BoundaryError && error.code === 'InvalidCiphertext', () => String(error))
  }
}
