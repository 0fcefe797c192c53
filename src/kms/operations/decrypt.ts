/** Decrypt and ReEncrypt (aws-kms.md §3.2, §7): the key stands in the ciphertext, and a KeyId that is given must be that key. */
import { blobKind, parseEnvelope } from '../../boundary/crypto/envelope.ts'
import { parseMessageHeader } from '../../boundary/crypto/message.ts'
import { authorizeKey } from '../keys/allow.ts'
import { findKey, findKeyById } from '../keys/find.ts'
import { checkState } from '../keys/states.ts'
import { KmsError } from '../wire/errors.ts'
import { ALGORITHM, type ContextMap, pairsOf, refuseDryRun, refuseRecipient } from './common.ts'
import { openInner, unwrapByOwner, wrapForOwner } from './external.ts'
import { checkGrantTokens } from './grants/shared.ts'
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
  readonly DryRunModifiers?: readonly string[]
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
    if (input.GrantTokens !== undefined) await checkGrantTokens(call, input.GrantTokens)
    refuseRecipient(input.Recipient)
    const blob = blobOf(input, input.KeyId)
    const key = await keyOfBlob(call, blob, input.KeyId, 'key')
    allowedOrHidden(call, key, input.EncryptionContext, 'key', input.KeyId)
    checkState(call, key)
    checkAlgorithm(input.EncryptionAlgorithm)
    const context = pairsOf(input.EncryptionContext)
    if (blob !== undefined) checkKind(blob, key)
    refuseDryRun(input.DryRun)
    const message = await unwrapByOwner(call, key, given(blob), context)
    const { plaintext, materialId } = await openInner(key, () =>
      call.services.boundary.decrypt(key.row, message, context, call.asserted),
    )
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
  readonly DryRunModifiers?: readonly string[]
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
    if (input.GrantTokens !== undefined) await checkGrantTokens(call, input.GrantTokens)
    const blob = blobOf(input, input.SourceKeyId)
    const source = await keyOfBlob(call, blob, input.SourceKeyId, 'source-key')
    const destination = await findKey(call, input.DestinationKeyId, { aliases: true, on: 'destination-key' })
    call.keyId = source.rowId
    const reEncryptOnSameKey = source.rowId === destination.rowId
    allowedOrHidden(call, source, input.SourceEncryptionContext, 'source-key', input.SourceKeyId, {
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
    checkAlgorithm(input.SourceEncryptionAlgorithm)
    checkAlgorithm(input.DestinationEncryptionAlgorithm)
    const from = pairsOf(input.SourceEncryptionContext)
    const to = pairsOf(input.DestinationEncryptionContext)
    if (blob !== undefined) checkKind(blob, source)
    refuseDryRun(input.DryRun)
    const message = await unwrapByOwner(call, source, given(blob), from)
    const done = await openInner(source, () =>
      call.services.boundary.reEncrypt(
        { key: source.row, algorithm: ALGORITHM, context: from },
        message,
        { key: destination.row, algorithm: ALGORITHM, context: to },
        call.asserted,
      ),
    )
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

/** The ciphertext; a dry run may leave it out where it says so and names the key (IGNORE_CIPHERTEXT). */
function blobOf(
  input: Pick<DecryptInput, 'CiphertextBlob' | 'DryRun' | 'DryRunModifiers'>,
  named: string | undefined,
): Buffer | undefined {
  const ignored = input.DryRunModifiers?.includes('IGNORE_CIPHERTEXT') ?? false
  if (ignored && input.DryRun !== true)
    throw new KmsError('ValidationException', 'DryRunModifiers can be given with DryRun only')
  if (ignored && named === undefined)
    throw new KmsError('ValidationException', 'IGNORE_CIPHERTEXT needs the key to be named')
  return ignored ? undefined : given(input.CiphertextBlob)
}

function given(blob: Buffer | undefined): Buffer {
  if (blob !== undefined) return blob
  throw new KmsError(
    'ValidationException',
    "1 validation error detected: Value null at 'ciphertextBlob' failed to satisfy constraint: Member must not be null",
  )
}

/** A message of a key in an external store has an envelope, and no other has one. */
function checkKind(blob: Buffer, key: FoundKey): void {
  const wanted = key.header.keyStoreId === '' ? 'message' : 'envelope'
  if (blobKind(blob) !== wanted) throw new KmsError('InvalidCiphertextException')
}

/** The id of the key that a blob names. */
function keyIdOfBlob(blob: Buffer): string {
  const kind = blobKind(blob)
  if (kind === undefined) throw new KmsError('InvalidCiphertextException')
  return (kind === 'envelope' ? parseEnvelope(blob) : parseMessageHeader(blob)).keyId
}

/** The key of a blob. A caller who also names one must name that one; its bare id is enough, also for a key of another account. */
async function keyOfBlob(
  call: Call,
  blob: Buffer | undefined,
  named: string | undefined,
  on: 'key' | 'source-key',
): Promise<FoundKey> {
  if (blob === undefined) return findKey(call, named ?? '', { aliases: true, on })
  const keyId = keyIdOfBlob(blob)
  let key: FoundKey | undefined
  if (named === undefined || named === keyId) key = await findKeyById(call, keyId)
  else {
    key = await findKey(call, named, { aliases: true, on })
    if (key.keyId !== keyId) {
      // Who may not use the named key does not learn that it exists.
      authorizeKey(call, key, { encryptionAlgorithm: ALGORITHM }, on)
      throw new KmsError('IncorrectKeyException', NOT_THAT_KEY)
    }
  }
  if (key === undefined) throw new KmsError('AccessDeniedException', NO_SUCH_KEY)
  call.keyId = key.rowId
  return key
}

/** To a caller who did not name the key and its account, a forbidden one is no different from one that does not exist (aws-kms.md §7). */
function allowedOrHidden(
  call: Call,
  key: FoundKey,
  encryptionContext: ContextMap | undefined,
  on: 'key' | 'source-key',
  named: string | undefined,
  extra: { reEncryptOnSameKey?: boolean } = {},
): void {
  try {
    authorizeKey(call, key, { encryptionContext, encryptionAlgorithm: ALGORITHM, ...extra }, on)
  } catch (error) {
    const seen = named !== undefined && (named.startsWith('arn:') || key.account === call.caller.account)
    if (!seen && error instanceof KmsError && error.code === 'AccessDeniedException')
      throw new KmsError('AccessDeniedException', NO_SUCH_KEY)
    throw error
  }
}
