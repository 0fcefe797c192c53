/** ReEncrypt (aws-kms.md §3.2): one use of the boundary over two keys of any spec that encrypts; the plaintext never leaves it. */

import type { EncryptionAlgorithm } from '../../boundary/algorithms.ts'
import type { ReEncryptSide } from '../../boundary/client/api.ts'
import { BoundaryError } from '../../boundary/words.ts'
import { authorizeKey } from '../keys/allow.ts'
import { findKey } from '../keys/find.ts'
import { checkState } from '../keys/states.ts'
import { allowedOrHidden, type Brought, blobOf, checkKind, keyOfCiphertext, toOpen } from './ciphertext.ts'
import { ALGORITHM, type ContextMap, pairsOf } from './common.ts'
import { openInner, unwrapByOwner, wrapForOwner } from './external.ts'
import { checkGrantTokens } from './grants/shared.ts'
import { tooLong } from './rsa.ts'
import type { Call, FoundKey, Operation } from './types.ts'
import { checkAlgorithm, checkUsage, refuseContext } from './usage.ts'

interface Input {
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

export const ReEncrypt: Operation<Input, object> = {
  name: 'ReEncrypt',
  recordedBy: 'boundary',
  async run(call, input) {
    if (input.GrantTokens !== undefined) await checkGrantTokens(call, input.GrantTokens)
    const { SourceEncryptionAlgorithm = ALGORITHM, DestinationEncryptionAlgorithm = ALGORITHM } = input
    const { SourceKeyId: named, SourceEncryptionContext, DestinationEncryptionContext } = input
    const brought: Brought = { blob: blobOf(input, named), named, algorithm: SourceEncryptionAlgorithm }
    const source = await keyOfCiphertext(call, brought, 'source-key', 'SourceKeyId')
    const destination = await findKey(call, input.DestinationKeyId, { aliases: true, on: 'destination-key' })
    call.keyId = source.rowId
    const reEncryptOnSameKey = source.rowId === destination.rowId
    allowedOrHidden(call, source, brought, 'source-key', {
      encryptionContext: SourceEncryptionContext,
      encryptionAlgorithm: SourceEncryptionAlgorithm,
      reEncryptOnSameKey,
    })
    const to = {
      encryptionContext: DestinationEncryptionContext,
      encryptionAlgorithm: DestinationEncryptionAlgorithm,
      reEncryptOnSameKey,
    }
    authorizeKey(call, destination, to, 'destination-key')
    checkState(call, source)
    checkState(call, destination)
    const from = sideOf(call, source, SourceEncryptionAlgorithm, SourceEncryptionContext)
    const into = sideOf(call, destination, DestinationEncryptionAlgorithm, DestinationEncryptionContext)
    if (brought.blob !== undefined && from.algorithm === ALGORITHM) checkKind(brought.blob, source)
    const toUnwrap = toOpen(brought, source, input.DryRun)
    const message = await unwrapByOwner(call, source, toUnwrap, from.context)
    const done = await openInner(source, () => reEncrypt(call, from, message, destination, into, input.DryRun))
    const blob = await wrapForOwner(call, destination, done.ciphertext, done.materialId, into.context)
    return {
      CiphertextBlob: blob.toString('base64'),
      SourceKeyId: source.arn,
      KeyId: destination.arn,
      SourceEncryptionAlgorithm,
      DestinationEncryptionAlgorithm,
      // Asymmetric keys have one material for ever, and it is not told.
      ...(done.sourceMaterialId === '' ? {} : { SourceKeyMaterialId: done.sourceMaterialId }),
      ...(done.materialId === '' ? {} : { DestinationKeyMaterialId: done.materialId }),
    }
  },
}

/** One side as the boundary takes it, when the key is for encryption and has the algorithm. */
function sideOf(call: Call, key: FoundKey, algorithm: string, context: ContextMap | undefined): ReEncryptSide {
  checkUsage(call, key, 'ENCRYPT_DECRYPT')
  checkAlgorithm(key, algorithm)
  if (algorithm !== ALGORITHM) refuseContext(context)
  return { key: key.row, algorithm: algorithm as EncryptionAlgorithm, context: pairsOf(context) }
}

/** How long the plaintext is only the boundary learns: what an RSA key cannot take is refused there. */
async function reEncrypt(
  call: Call,
  from: ReEncryptSide,
  message: Buffer,
  destination: FoundKey,
  into: ReEncryptSide,
  dryRun: boolean | undefined,
) {
  try {
    return await call.services.boundary.reEncrypt(from, message, into, call.asserted, dryRun)
  } catch (error) {
    if (into.algorithm !== ALGORITHM && error instanceof BoundaryError && error.code === 'InvalidRequest')
      throw tooLong(destination, into.algorithm, { cause: error })
    throw error
  }
}
