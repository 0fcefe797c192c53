/** GenerateRandom (aws-kms.md §3.2). */
import { authorizeAny } from '../keys/allow.ts'
import { KmsError } from '../wire/errors.ts'
import { refuseRecipient } from './common.ts'
import { notConnected, rowIdOf } from './custom-key-stores/shared.ts'
import type { Call, Operation } from './types.ts'

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
    if (input.CustomKeyStoreId !== undefined) return ofStore(call, input.CustomKeyStoreId, input.NumberOfBytes)
    return call.services.boundary.generateRandom(input.NumberOfBytes, call.asserted)
  },
  write: bytes => `{"Plaintext":"${bytes.toString('base64')}"}`,
}

/** Of the generator in a cluster's token; an owner's key manager makes none. */
async function ofStore(call: Call, customKeyStoreId: string, bytes: number): Promise<Buffer> {
  const id = rowIdOf(call, customKeyStoreId)
  const store = await call.services.stores.find(id)
  if (store.type !== 'AWS_CLOUDHSM') {
    throw new KmsError('UnsupportedOperationException', 'Random bytes do not come from an external key store.')
  }
  if (store.state !== 'CONNECTED') throw notConnected(customKeyStoreId)
  return call.services.boundary.clusterRandom(id, bytes, { ...call.asserted, subject: customKeyStoreId })
}
