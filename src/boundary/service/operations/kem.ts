/** Encapsulate and Decapsulate: ML-KEM (FIPS 203; aws-kms.md §3.3). Each takes less than a tenth of a millisecond. */
import { decapsulate as decapsulateWith, encapsulate as encapsulateTo } from 'node:crypto'
import type { InputOf, OutputOf } from '../../client/protocol/operations.ts'
import { BoundaryError, type KeySpec } from '../../words.ts'
import type { Call, Core } from '../core.ts'
import { checkUsage, useKey } from './use.ts'

const CIPHERTEXT_BYTES: Readonly<Partial<Record<KeySpec, number>>> = {
  ML_KEM_512: 768,
  ML_KEM_768: 1088,
  ML_KEM_1024: 1568,
}

export function encapsulate(core: Core, input: InputOf<'encapsulate'>, call: Call): Promise<OutputOf<'encapsulate'>> {
  return useKey(core, { ...input, operation: 'encapsulate', call }, (key, fields) => {
    checkUsage(key, 'ENCAPSULATE_DECAPSULATE', 'ML_KEM', fields)
    const { sharedKey, ciphertext } = encapsulateTo(key.pair().publicKey)
    return { sharedSecret: Buffer.from(sharedKey), ciphertext: Buffer.from(ciphertext) }
  })
}

export function decapsulate(core: Core, input: InputOf<'decapsulate'>, call: Call): Promise<OutputOf<'decapsulate'>> {
  return useKey(core, { ...input, operation: 'decapsulate', call }, (key, fields) => {
    checkUsage(key, 'ENCAPSULATE_DECAPSULATE', 'ML_KEM', fields)
    // Of the right length every ciphertext gives a secret: a wrong one another secret (implicit rejection), and nobody sees which.
    if (input.ciphertext.length !== CIPHERTEXT_BYTES[key.spec]) throw new BoundaryError('InvalidCiphertext')
    return { sharedSecret: Buffer.from(decapsulateWith(key.pair().privateKey, input.ciphertext)) }
  })
}
