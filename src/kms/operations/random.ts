/** GenerateRandom (aws-kms.md §3.2). */
import { authorizeAny } from '../keys/allow.ts'
import { KmsError } from '../wire/errors.ts'
import { refuseRecipient } from './common.ts'
import type { Operation } from './types.ts'

interface Input {
  readonly NumberOfBytes?: number
  readonly CustomKeyStoreId?: string
  readonly Recipient?: unknown
}

export const GenerateRandom: Operation<Input, Buffer> = {
  name: 'GenerateRandom',
  recordedBy: 'boundary',
  async run(call, input) {
    if (input.NumberOfBytes === undefined) throw new KmsError('ValidationException', 'NumberOfBytes is required.')
    refuseRecipient(input.Recipient)
    authorizeAny(call)
    if (input.CustomKeyStoreId !== undefined)
      throw new KmsError(
        'UnsupportedOperationException',
        'Random bytes come from this service, not from a custom key store.',
      )
    return call.services.boundary.generateRandom(input.NumberOfBytes, call.asserted)
  },
  write: bytes => `{"Plaintext":"${bytes.toString('base64')}"}`,
}
