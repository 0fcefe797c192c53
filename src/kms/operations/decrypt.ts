/** Decrypt (aws-kms.md §3.2, §7): a symmetric key stands in the ciphertext, and a KeyId that is given must be that key; an RSA key must be named. */
import type { EncryptionAlgorithm } from '../../boundary/algorithms.ts'
import type { Recipient } from '../../boundary/client/api.ts'
import { checkState } from '../keys/states.ts'
import { allowedOrHidden, type Brought, blobOf, checkKind, keyOfCiphertext, toOpen } from './ciphertext.ts'
import { ALGORITHM, type ContextMap, pairsOf } from './common.ts'
import { openInner, unwrapByOwner } from './external.ts'
import { checkGrantTokens } from './grants/shared.ts'
import { plaintextMember, type RecipientInput, recipientOf } from './recipient.ts'
import type { Call, FoundKey, Operation } from './types.ts'
import { checkAlgorithm, checkUsage, refuseContext } from './usage.ts'

interface Input {
  readonly CiphertextBlob?: Buffer
  readonly KeyId?: string
  readonly EncryptionContext?: ContextMap
  readonly EncryptionAlgorithm?: string
  readonly GrantTokens?: readonly string[]
  readonly Recipient?: RecipientInput
  readonly DryRun?: boolean
  readonly DryRunModifiers?: readonly string[]
}

interface Output {
  readonly KeyId: string
  readonly Plaintext: Buffer
  /** Whether that is encrypted for a recipient. */
  readonly encrypted: boolean
  readonly EncryptionAlgorithm: string
  /** Undefined for asymmetric keys, and for a recipient. */
  readonly KeyMaterialId: string | undefined
}

export const Decrypt: Operation<Input, Output> = {
  name: 'Decrypt',
  recordedBy: 'boundary',
  async run(call, input) {
    if (input.GrantTokens !== undefined) await checkGrantTokens(call, input.GrantTokens)
    const attestation = recipientOf(call, input.Recipient)
    const algorithm = input.EncryptionAlgorithm ?? ALGORITHM
    const brought: Brought = { blob: blobOf(input, input.KeyId), named: input.KeyId, algorithm }
    const key = await keyOfCiphertext(call, brought, 'key', 'KeyId')
    const facts = { encryptionContext: input.EncryptionContext, encryptionAlgorithm: algorithm, attestation }
    allowedOrHidden(call, key, brought, 'key', facts)
    checkState(call, key)
    checkUsage(call, key, 'ENCRYPT_DECRYPT')
    checkAlgorithm(key, algorithm)
    if (algorithm !== ALGORITHM) return decryptAsymmetric(call, key, input, brought, attestation?.publicKey)
    const context = pairsOf(input.EncryptionContext)
    if (brought.blob !== undefined) checkKind(brought.blob, key)
    const blob = toOpen(brought, key, input.DryRun)
    const message = await unwrapByOwner(call, key, blob, context)
    const { boundary } = call.services
    const { plaintext, materialId } = await openInner(key, () =>
      boundary.decrypt(key.row, message, context, call.asserted, attestation?.publicKey, input.DryRun),
    )
    const encrypted = attestation !== undefined
    // AWS tells a recipient no key material id.
    const KeyMaterialId = encrypted ? undefined : materialId
    return { KeyId: key.arn, Plaintext: plaintext, encrypted, EncryptionAlgorithm: ALGORITHM, KeyMaterialId }
  },
  write: ({ KeyId, Plaintext, encrypted, EncryptionAlgorithm, KeyMaterialId }) =>
    `{"KeyId":"${KeyId}",${plaintextMember('Plaintext', Plaintext, encrypted)},"EncryptionAlgorithm":"${EncryptionAlgorithm}"${
      KeyMaterialId === undefined ? '' : `,"KeyMaterialId":"${KeyMaterialId}"`
    }}`,
}

async function decryptAsymmetric(
  call: Call,
  key: FoundKey,
  input: Input,
  brought: Brought,
  recipient: Recipient,
): Promise<Output> {
  refuseContext(input.EncryptionContext)
  const algorithm = brought.algorithm as EncryptionAlgorithm
  const { boundary } = call.services
  const { plaintext } = await boundary.asymmetricDecrypt(
    key.row,
    algorithm,
    toOpen(brought, key, input.DryRun),
    call.asserted,
    recipient,
    input.DryRun,
  )
  const encrypted = recipient !== undefined
  return { KeyId: key.arn, Plaintext: plaintext, encrypted, EncryptionAlgorithm: algorithm, KeyMaterialId: undefined }
}
