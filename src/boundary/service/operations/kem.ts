/** Encapsulate and Decapsulate (aws-kms.md §3.3). */
import type { InputOf, OutputOf } from '../../client/protocol/operations.ts'
import { decapsulateWith, encapsulateTo } from '../../crypto/kem.ts'
import type { Call, Core } from '../core.ts'
import { checkUsage, useKey } from './use.ts'

export function encapsulate(core: Core, input: InputOf<'encapsulate'>, call: Call): Promise<OutputOf<'encapsulate'>> {
  return useKey(core, { ...input, operation: 'encapsulate', call }, (key, fields) => {
    checkUsage(key, 'ENCAPSULATE_DECAPSULATE', 'ML_KEM', fields)
    return encapsulateTo(key.pair().publicKey)
  })
}

export function decapsulate(core: Core, input: InputOf<'decapsulate'>, call: Call): Promise<OutputOf<'decapsulate'>> {
  return useKey(core, { ...input, operation: 'decapsulate', call }, (key, fields) => {
    checkUsage(key, 'ENCAPSULATE_DECAPSULATE', 'ML_KEM', fields)
    return { sharedSecret: decapsulateWith(key.pair().privateKey, input.ciphertext) }
  })
}
