/** GenerateRandom (aws-kms.md §3.2). */
import { authorizeAny } from '../keys/allow.ts'
import { KmsError } from '../wire/errors.ts'
import { plaintextMember, type RecipientInput, recipientOf } from './recipient.ts'
import type { Operation } from './types.ts'

interface Input {
  readonly NumberOfBytes?: number
  readonly CustomKeyStoreId?: string
  readonly Recipient?: RecipientInput
}

interface Output {
  readonly bytes: Buffer
  readonly encrypted: boolean
}

export const GenerateRandom: Operation<Input, Output> = {
  name: 'GenerateRandom',
  recordedBy: 'boundary',
  async run(call, input) {
    if (input.NumberOfBytes === undefined) throw new KmsError('ValidationException', 'NumberOfBytes is required.')
    const attestation = recipientOf(call, input.Recipient)
    authorizeAny(call, { attestation })
    if (input.CustomKeyStoreId !== undefined)
      throw new KmsError(
        'UnsupportedOperationException',
        'Random bytes come from this service, not from a custom key store.',
      )
    const { boundary } = call.services
    const bytes = await boundary.generateRandom(input.NumberOfBytes, call.asserted, attestation?.publicKey)
    return { bytes, encrypted: attestation !== undefined }
  },
  write: ({ bytes, encrypted }) => `{${plaintextMember('Plaintext', bytes, encrypted)}}`,
}
