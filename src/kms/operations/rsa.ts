/** RSAES-OAEP with the KMS's RSA keys: aws-kms.md §3.2. */
import type { EncryptionAlgorithm } from '../../boundary/algorithms.ts'
import { SPECS } from '../../boundary/algorithms.ts'
import { KmsError } from '../wire/errors.ts'
import type { FoundKey } from './types.ts'

const HASH_BYTES: Readonly<Partial<Record<EncryptionAlgorithm, number>>> = {
  RSAES_OAEP_SHA_1: 20,
  RSAES_OAEP_SHA_256: 32,
}

/** What is left of a modulus for the plaintext, in bytes (RFC 8017 §7.1.1). The key has the algorithm. */
function maxPlaintext(key: FoundKey, algorithm: EncryptionAlgorithm): number {
  const { material } = SPECS[key.header.spec]
  const hash = HASH_BYTES[algorithm]
  if (material.kind !== 'rsa' || hash === undefined) throw new RangeError(`${algorithm} is not for ${key.header.spec}`)
  return material.modulusBits / 8 - 2 * hash - 2
}

/** The refusal of a plaintext that is too long, in AWS's words. */
export function tooLong(key: FoundKey, algorithm: EncryptionAlgorithm, options?: ErrorOptions): KmsError {
  const most = maxPlaintext(key, algorithm)
  return new KmsError(
    'ValidationException',
    `Algorithm ${algorithm} and key spec ${key.header.spec} cannot encrypt data larger than ${most} bytes.`,
    options,
  )
}

export function checkLength(key: FoundKey, algorithm: EncryptionAlgorithm, bytes: number): void {
  if (bytes > maxPlaintext(key, algorithm)) throw tooLong(key, algorithm)
}
