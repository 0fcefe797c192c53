/** Encrypt, GenerateDataKey and GenerateDataKeyWithoutPlaintext (aws-kms.md §3.2, §3.5): they differ in who chooses the plaintext and who gets it. */
import { authorizeKey } from '../keys/allow.ts'
import { findKey } from '../keys/find.ts'
import { checkState } from '../keys/states.ts'
import { KmsError } from '../wire/errors.ts'
import { ALGORITHM, type ContextMap, pairsOf, refuseDryRun, refuseRecipient } from './common.ts'
import { wrapForOwner } from './external.ts'
import { checkGrantTokens } from './grants/shared.ts'
import type { Call, FoundKey, Operation } from './types.ts'

interface Protected {
  readonly CiphertextBlob: Buffer
  readonly KeyId: string
}

interface EncryptInput {
  readonly KeyId: string
  readonly Plaintext: Buffer
  readonly EncryptionContext?: ContextMap
  readonly EncryptionAlgorithm?: string
  readonly GrantTokens?: readonly string[]
  readonly DryRun?: boolean
}

export const Encrypt: Operation<EncryptInput, Protected> = {
  name: 'Encrypt',
  recordedBy: 'boundary',
  async run(call, input) {
    if (input.GrantTokens !== undefined) await checkGrantTokens(call, input.GrantTokens)
    const key = await usableKey(call, input)
    const algorithm = input.EncryptionAlgorithm ?? ALGORITHM
    if (algorithm !== ALGORITHM) {
      throw new KmsError(
        'InvalidKeyUsageException',
        `Algorithm ${algorithm} is incompatible with key spec ${key.header.spec}.`,
      )
    }
    const context = pairsOf(input.EncryptionContext)
    refuseDryRun(input.DryRun)
    const { ciphertext, materialId } = await call.services.boundary.encrypt(
      key.row,
      input.Plaintext,
      context,
      call.asserted,
    )
    return { CiphertextBlob: await wrapForOwner(call, key, ciphertext, materialId, context), KeyId: key.arn }
  },
  write: ({ CiphertextBlob, KeyId }) =>
    `{"CiphertextBlob":"${CiphertextBlob.toString('base64')}","KeyId":"${KeyId}","EncryptionAlgorithm":"${ALGORITHM}"}`,
}

interface DataKeyInput {
  readonly KeyId: string
  readonly KeySpec?: 'AES_128' | 'AES_256'
  readonly NumberOfBytes?: number
  readonly EncryptionContext?: ContextMap
  readonly GrantTokens?: readonly string[]
  readonly Recipient?: unknown
  readonly DryRun?: boolean
}

interface DataKeyOutput extends Protected {
  readonly Plaintext: Buffer | undefined
  readonly KeyMaterialId: string
}

function dataKey(name: string, wantPlaintext: boolean): Operation<DataKeyInput, DataKeyOutput> {
  return {
    name,
    recordedBy: 'boundary',
    async run(call, input) {
      if (input.GrantTokens !== undefined) await checkGrantTokens(call, input.GrantTokens)
      refuseRecipient(input.Recipient)
      const bytes = lengthOf(input)
      const key = await usableKey(call, input)
      const context = pairsOf(input.EncryptionContext)
      refuseDryRun(input.DryRun)
      const made = await call.services.boundary.generateDataKey(key.row, bytes, wantPlaintext, context, call.asserted)
      const CiphertextBlob = await wrapForOwner(call, key, made.ciphertext, made.materialId, context)
      return { CiphertextBlob, KeyId: key.arn, Plaintext: made.plaintext, KeyMaterialId: made.materialId }
    },
    write: ({ CiphertextBlob, KeyId, Plaintext, KeyMaterialId }) =>
      `{"CiphertextBlob":"${CiphertextBlob.toString('base64')}","KeyId":"${KeyId}","KeyMaterialId":"${KeyMaterialId}"${
        Plaintext === undefined ? '' : `,"Plaintext":"${Plaintext.toString('base64')}"`
      }}`,
  }
}

export const GenerateDataKey = dataKey('GenerateDataKey', true)
export const GenerateDataKeyWithoutPlaintext = dataKey('GenerateDataKeyWithoutPlaintext', false)

function lengthOf({ KeySpec, NumberOfBytes }: DataKeyInput): number {
  if ((KeySpec === undefined) === (NumberOfBytes === undefined)) {
    throw new KmsError('ValidationException', 'Please specify either number of bytes or key spec.')
  }
  return NumberOfBytes ?? (KeySpec === 'AES_128' ? 16 : 32)
}

async function usableKey(call: Call, input: { KeyId: string; EncryptionContext?: ContextMap }): Promise<FoundKey> {
  const key = await findKey(call, input.KeyId, { aliases: true })
  authorizeKey(call, key, { encryptionContext: input.EncryptionContext, encryptionAlgorithm: ALGORITHM })
  checkState(call, key)
  return key
}
