/** GenerateRandom (aws-kms.md §3.2). */
import { authorizeAny } from '../keys/allow.ts'
import { countStore } from '../keys/rates.ts'
import { KmsError } from '../wire/errors.ts'
import { notConnected, rowIdOf } from './custom-key-stores/shared.ts'
import { plaintextMember, type RecipientInput, recipientOf } from './recipient.ts'
import type { Call, Operation } from './types.ts'

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
    const bytes = await randomOf(call, input, attestation?.publicKey)
    return { bytes, encrypted: attestation !== undefined }
  },
  write: ({ bytes, encrypted }) => `{${plaintextMember('Plaintext', bytes, encrypted)}}`,
}

/** Of this service, or of the generator in a cluster's token; an owner's key manager makes none. */
async function randomOf(call: Call, input: Input, recipient: Buffer | undefined): Promise<Buffer> {
  const { NumberOfBytes: bytes = 0, CustomKeyStoreId: customKeyStoreId } = input
  const { boundary } = call.services
  if (customKeyStoreId === undefined) return boundary.generateRandom(bytes, call.asserted, recipient)
  const id = rowIdOf(call, customKeyStoreId)
  const store = await call.services.stores.find(id)
  if (store.type !== 'AWS_CLOUDHSM') {
    throw new KmsError('UnsupportedOperationException', 'Random bytes do not come from an external key store.')
  }
  if (store.state !== 'CONNECTED') throw notConnected(customKeyStoreId)
  countStore(call, id)
  return boundary.clusterRandom(id, bytes, { ...call.asserted, subject: customKeyStoreId }, recipient)
}
