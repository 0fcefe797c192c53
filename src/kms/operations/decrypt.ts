/** Decrypt and ReEncrypt (aws-kms.md §3.2, §7): the key stands in the ciphertext, and a KeyId that is given must be that key. */
import { blobKind, parseEnvelope } from '../../boundary/crypto/envelope.ts'
import { parseMessageHeader } from '../../boundary/crypto/message.ts'
import { authorizeKey, findKey, findKeyById } from '../keys/find.ts'
import { checkState } from '../keys/states.ts'
import { KmsError } from '../wire/errors.ts'
import { ALGORITHM, type ContextMap, pairsOf, refuseDryRun, refuseGrantTokens, refuseRecipient } from './common.ts'
import { unwrapByOwner, wrapForOwner } from './external.ts'
import type { Call, FoundKey, Operation } from './types.ts'

const NO_SUCH_KEY =
  'The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are not allowed to access.'
const NOT_THAT_KEY = 'The key ID in the request does not identify a CMK that can perform this operation.'

interface DecryptInput {
  readonly CiphertextBlob?: Buffer
  readonly KeyId?: string
  readonly EncryptionContext?: ContextMap
  readonly EncryptionAlgorithm?: string
  readonly GrantTokens?: readonly string[]
  readonly Recipient?: unknown
  readonly DryRun?: boolean
}

interface DecryptOutput {
  readonly KeyId: string
  readonly Plaintext: Buffer
  readonly KeyMaterialId: string
}

export const Decrypt: Operation<DecryptInput, DecryptOutput> = {
  name: 'Decrypt',
  recordedBy: 'boundary',
  async run(call, input) {
    refuseGrantTokens(input.GrantTokens)
    refuseRecipient(input.Recipient)
    if (input.CiphertextBlob === undefined) {
      throw new KmsError(
        'ValidationException',
        "1 validation error detected: Value null at 'ciphertextBlob' failed to satisfy constraint: Member must not be null",
      )
    }
    checkAlgorithm(input.EncryptionAlgorithm)
    const key = await keyOfBlob(call, input.CiphertextBlob, input.KeyId)
    allowedOrHidden(call, key, input.EncryptionContext, 'key', input.KeyId !== undefined)
    checkState(call, key)
    refuseDryRun(input.DryRun)
    const context = pairsOf(input.EncryptionContext)
    const message = await unwrapByOwner(call, key, input.CiphertextBlob, context)
    const { plaintext, materialId } = await call.services.boundary.decrypt(key.row, message, context, call.asserted)
    return { KeyId: key.arn, Plaintext: plaintext, KeyMaterialId: materialId }
  },
  write: ({ KeyId, Plaintext, KeyMaterialId }) =>
    `{"KeyId":"${KeyId}","Plaintext":"${Plaintext.toString('base64')}","EncryptionAlgorithm":"${ALGORITHM}","KeyMaterialId":"${KeyMaterialId}"}`,
}

interface ReEncryptInput {
  readonly CiphertextBlob?: Buffer
  readonly SourceKeyId?: string
  readonly SourceEncryptionContext?: ContextMap
  readonly SourceEncryptionAlgorithm?: string
  readonly DestinationKeyId: string
  readonly DestinationEncryptionContext?: ContextMap
  readonly DestinationEncryptionAlgorithm?: string
  readonly GrantTokens?: readonly string[]
  readonly DryRun?: boolean
}

interface ReEncryptOutput {
  readonly CiphertextBlob: Buffer
  readonly SourceKeyId: string
  readonly KeyId: string
  readonly SourceKeyMaterialId: string
  readonly DestinationKeyMaterialId: string
}

export const ReEncrypt: Operation<ReEncryptInput, ReEncryptOutput> = {
  name: 'ReEncrypt',
  recordedBy: 'boundary',
  async run(call, input) {
    refuseGrantTokens(input.GrantTokens)
    if (input.CiphertextBlob === undefined) {
      throw new KmsError(
        'ValidationException',
        "1 validation error detected: Value null at 'ciphertextBlob' failed to satisfy constraint: Member must not be null",
      )
    }
    checkAlgorithm(input.SourceEncryptionAlgorithm)
    checkAlgorithm(input.DestinationEncryptionAlgorithm)
    const source = await keyOfBlob(call, input.CiphertextBlob, input.SourceKeyId)
    const destination = await findKey(call, input.DestinationKeyId, { aliases: true })
    call.keyId = source.rowId
    const reEncryptOnSameKey = source.rowId === destination.rowId
    allowedOrHidden(call, source, input.SourceEncryptionContext, 'source-key', input.SourceKeyId !== undefined, {
      reEncryptOnSameKey,
    })
    authorizeKey(
      call,
      destination,
      { encryptionContext: input.DestinationEncryptionContext, encryptionAlgorithm: ALGORITHM, reEncryptOnSameKey },
      'destination-key',
    )
    checkState(call, source)
    checkState(call, destination)
    refuseDryRun(input.DryRun)
    const from = pairsOf(input.SourceEncryptionContext)
    const to = pairsOf(input.DestinationEncryptionContext)
    const message = await unwrapByOwner(call, source, input.CiphertextBlob, from)
    const done = await call.services.boundary.reEncrypt(source.row, message, from, destination.row, to, call.asserted)
    return {
      CiphertextBlob: await wrapForOwner(call, destination, done.ciphertext, done.materialId, to),
      SourceKeyId: source.arn,
      KeyId: destination.arn,
      SourceKeyMaterialId: done.sourceMaterialId,
      DestinationKeyMaterialId: done.materialId,
    }
  },
  write: output =>
    JSON.stringify({
      ...output,
      CiphertextBlob: output.CiphertextBlob.toString('base64'),
      SourceEncryptionAlgorithm: ALGORITHM,
      DestinationEncryptionAlgorithm: ALGORITHM,
    }),
}

function checkAlgorithm(algorithm: string | undefined): void {
  if (algorithm !== undefined && algorithm !== ALGORITHM) {
    throw new KmsError(
      'InvalidKeyUsageException',
      `Algorithm ${algorithm} is incompatible with key spec SYMMETRIC_DEFAULT.`,
    )
  }
}

/** The key that a blob names. A caller who also names one must name that one. */
async function keyOfBlob(call: Call, blob: Buffer, keyId: string | undefined): Promise<FoundKey> {
  const kind = blobKind(blob)
  if (kind === undefined) throw new KmsError('InvalidCiphertextException')
  const named = kind === 'envelope' ? parseEnvelope(blob) : parseMessageHeader(blob)
  const given = keyId === undefined ? undefined : await findKey(call, keyId, { aliases: true })
  if (given !== undefined && given.keyId !== named.keyId) throw new KmsError('IncorrectKeyException', NOT_THAT_KEY)
  const key = given ?? (await findKeyById(call, named.keyId))
  if (key === undefined) throw new KmsError('AccessDeniedException', NO_SUCH_KEY)
  // A message of a key in an external store has an envelope, and no other has one.
  if ((key.header.keyStoreId !== '') !== (kind === 'envelope')) throw new KmsError('InvalidCiphertextException')
  call.keyId = key.rowId
  return key
}

/** To a caller who did not name the key, a forbidden one is no different from one that does not exist (aws-kms.md §7). */
function allowedOrHidden(
  call: Call,
  key: FoundKey,
  encryptionContext: ContextMap | undefined,
  on: 'key' | 'source-key',
  named: boolean,
  extra: { reEncryptOnSameKey?: boolean } = {},
): void {
  try {
    authorizeKey(call, key, { encryptionContext, encryptionAlgorithm: ALGORITHM, ...extra }, on)
  } catch (error) {
    if (!named && error instanceof KmsError && error.code === 'AccessDeniedException')
      throw new KmsError('AccessDeniedException', NO_SUCH_KEY)
    throw error
  }
}
