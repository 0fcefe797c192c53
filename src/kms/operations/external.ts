/**
 * Keys in an external key store: the provider's layer first (the boundary's message), the owner's outside it, so that neither side can decrypt alone
 * (promise 9). For all other keys both functions hand through what they are given.
 */
import type { EncryptionContext } from '../../boundary/client/api.ts'
import { encodeContext } from '../../boundary/crypto/context.ts'
import { encodeEnvelope, externalAad, parseEnvelope } from '../../boundary/crypto/envelope.ts'
import { BoundaryError } from '../../boundary/words.ts'
import { FAILURES } from '../stores/failures.ts'
import { KmsError } from '../wire/errors.ts'
import type { Call, ExternalRequest, FoundKey } from './types.ts'

function requestOf(call: Call, key: FoundKey): ExternalRequest {
  return {
    principalArn: call.caller.arn,
    keyArn: key.arn,
    operation: call.operation,
    requestId: call.requestId,
    viaService: call.asserted.viaService ?? '',
  }
}

/** Asks the owner to encrypt the inner message; the envelope around the answer is the blob that the caller gets. */
export async function wrapForOwner(
  call: Call,
  key: FoundKey,
  message: Buffer,
  materialId: string,
  context: EncryptionContext,
): Promise<Buffer> {
  const { keyStoreId, xksKeyId, account } = key.header
  if (xksKeyId === '') return message
  const aad = externalAad({ account, keyId: key.keyId, materialId, context: encodeContext(context) })
  // The outcome is of this key: of the destination, where there are two.
  call.keyId = key.rowId
  call.outcomePending = true
  const { iv, tag, metadata, ciphertext } = await call.services.stores.encrypt(
    keyStoreId,
    xksKeyId,
    message,
    aad,
    requestOf(call, key),
  )
  return encodeEnvelope({ keyId: key.keyId, materialId, iv, tag, metadata, ciphertext })
}

/** Asks the owner for the inner message of a blob. */
export async function unwrapByOwner(
  call: Call,
  key: FoundKey,
  blob: Buffer,
  context: EncryptionContext,
): Promise<Buffer> {
  const { keyStoreId, xksKeyId, account } = key.header
  if (xksKeyId === '') return blob
  const envelope = parseEnvelope(blob)
  const aad = externalAad({
    account,
    keyId: key.keyId,
    materialId: envelope.materialId,
    context: encodeContext(context),
  })
  const { iv, tag, metadata, ciphertext } = envelope
  call.outcomePending = true
  const sealed = { iv, tag, metadata, ciphertext, integrityValue: undefined }
  return call.services.stores.decrypt(keyStoreId, xksKeyId, sealed, aad, requestOf(call, key))
}

/** Opens what `unwrapByOwner` brought. Where the owner's layer opened and the provider's does not, the owner's side returned something else. */
export async function openInner<T>(key: FoundKey, open: () => Promise<T>): Promise<T> {
  if (key.header.xksKeyId === '') return open()
  try {
    return await open()
  } catch (error) {
    if (!(error instanceof BoundaryError) || error.code !== 'InvalidCiphertext') throw error
    throw new KmsError('KMSInvalidStateException', FAILURES.invalidCiphertextReturned.message, { cause: error })
  }
}
