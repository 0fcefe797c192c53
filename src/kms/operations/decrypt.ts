/** Decrypt (aws-kms.md §3.2, §7): a symmetric key stands in the ciphertext, and a KeyId that is given must be that key; an RSA key must be named. */
import type { EncryptionAlgorithm } from '../../boundary/algorithms.ts'
import { checkState } from '../keys/states.ts'
import { allowedOrHidden, type Brought, blobOf, checkKind, given, keyOfCiphertext } from './ciphertext.ts'
import { ALGORITHM, type ContextMap, pairsOf, refuseDryRun, refuseRecipient } from './common.ts'
import { openInner, unwrapByOwner } from './external.ts'
import { checkGrantTokens } from './grants/shared.ts'
import type { Call, FoundKey, Operation } from './types.ts'
import { checkAlgorithm, checkUsage, refuseContext } from './usage.ts'

interface Input {
  readonly CiphertextBlob?: Buffer
  readonly KeyId?: string
  readonly EncryptionContext?: ContextMap
  readonly EncryptionAlgorithm?: string
  readonly GrantTokens?: readonly string[]
  readonly Recipient?: unknown
  readonly DryRun?: boolean
  readonly DryRunModifiers?: readonly string[]
}

interface Output {
  readonly KeyId: string
  readonly Plaintext: Buffer
  readonly EncryptionAlgorithm: string
  /** Undefined for asymmetric keys. */
  readonly KeyMaterialId: string | undefined
}

export const Decrypt: Operation<Input, Output> = {
  name: 'Decrypt',
  recordedBy: 'boundary',
  async run(call, input) {
    if (input.GrantTokens !== undefined) await checkGrantTokens(call, input.GrantTokens)
    refuseRecipient(input.Recipient)
    const algorithm = input.EncryptionAlgorithm ?? ALGORITHM
    const brought: Brought = { blob: blobOf(input, input.KeyId), named: input.KeyId, algorithm }
    const key = await keyOfCiphertext(call, brought, 'key', 'KeyId')
    const facts = { encryptionContext: input.EncryptionContext, encryptionAlgorithm: algorithm }
    allowedOrHidden(call, key, brought, 'key', facts)
    checkState(call, key)
    checkUsage(call, key, 'ENCRYPT_DECRYPT')
    checkAlgorithm(key, algorithm)
    if (algorithm !== ALGORITHM) return decryptAsymmetric(call, key, input, algorithm as EncryptionAlgorithm)
    const context = pairsOf(input.EncryptionContext)
    if (brought.blob !== undefined) checkKind(brought.blob, key)
    refuseDryRun(input.DryRun)
    const message = await unwrapByOwner(call, key, given(brought.blob), context)
    const { plaintext, materialId } = await openInner(key, () =>
      call.services.boundary.decrypt(key.row, message, context, call.asserted),
    )
    return { KeyId: key.arn, Plaintext: plaintext, EncryptionAlgorithm: ALGORITHM, KeyMaterialId: materialId }
  },
  write: ({ KeyId, Plaintext, EncryptionAlgorithm, KeyMaterialId }) =>
    `{"KeyId":"${KeyId}","Plaintext":"${Plaintext.toString('base64')}","EncryptionAlgorithm":"${EncryptionAlgorithm}"${
      KeyMaterialId === undefined ? '' : `,"KeyMaterialId":"${KeyMaterialId}"`
    }}`,
}

async function decryptAsymmetric(
  call: Call,
  key: FoundKey,
  input: Input,
  algorithm: EncryptionAlgorithm,
): Promise<Output> {
  refuseContext(input.EncryptionContext)
  refuseDryRun(input.DryRun)
  const blob = given(input.CiphertextBlob)
  const { plaintext } = await call.services.boundary.asymmetricDecrypt(key.row, algorithm, blob, call.asserted)
  return { KeyId: key.arn, Plaintext: plaintext, EncryptionAlgorithm: algorithm, KeyMaterialId: undefined }
}
