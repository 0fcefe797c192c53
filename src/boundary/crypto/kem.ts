/** ML-KEM (FIPS 203). Each operation takes less than a tenth of a millisecond. */
import { decapsulate, encapsulate, type KeyObject } from 'node:crypto'
import { BoundaryError } from '../words.ts'

const CIPHERTEXT_BYTES: Readonly<Record<string, number>> = {
  'ml-kem-512': 768,
  'ml-kem-768': 1088,
  'ml-kem-1024': 1568,
}

/** A secret of 32 bytes, and what its owner finds it by. */
export function encapsulateTo(publicKey: KeyObject): { sharedSecret: Buffer; ciphertext: Buffer } {
  const { sharedKey, ciphertext } = encapsulate(publicKey)
  return { sharedSecret: Buffer.from(sharedKey), ciphertext: Buffer.from(ciphertext) }
}

/**
 * The secret of a ciphertext. One of the wrong length is InvalidCiphertext; of the right length every one has a secret, a wrong one another, and nobody
 * sees which (implicit rejection).
 */
export function decapsulateWith(privateKey: KeyObject, ciphertext: Buffer): Buffer {
  if (ciphertext.length !== CIPHERTEXT_BYTES[privateKey.asymmetricKeyType ?? '']) {
    throw new BoundaryError('InvalidCiphertext')
  }
  return Buffer.from(decapsulate(privateKey, ciphertext))
}
