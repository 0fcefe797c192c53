/** Encrypt, GenerateDataKey and GenerateDataKeyWithoutPlaintext (aws-kms.md §3.2, §3.5): they differ in who chooses the plaintext and who gets it. */
import type { EncryptionAlgorithm } from '../../boundary/algorithms.ts'
import { authorizeKey } from '../keys/allow.ts'
import { findKey } from '../keys/find.ts'
import { checkState } from '../keys/states.ts'
import { KmsError } from '../wire/errors.ts'
import { ALGORITHM, type ContextMap, pairsOf, refuseDryRun, refuseRecipient } from './common.ts'
import { wrapForOwner } from './external.ts'
import { checkGrantTokens } from './grants/shared.ts'
import { checkLength } from './rsa.ts'
import type { Call, FoundKey, Operation } from './types.ts'
import { checkAlgorithm, checkMakesDataKeys, checkUsage, refuseContext } from './usage.ts'

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

export const Encrypt: Operation<EncryptInput, Protected & { readonly EncryptionAlgorithm: string }> = {
  name: 'Encrypt',
  recordedBy: 'boundary',
  async run(call, input) {
    if (input.GrantTokens !== undefined) await checkGrantTokens(call, input.GrantTokens)
    const algorithm = input.EncryptionAlgorithm ?? ALGORITHM
    const key = await usableKey(call, input, algorithm)
    checkUsage(call, key, 'ENCRYPT_DECRYPT')
    checkAlgorithm(key, algorithm)
    if (algorithm !== ALGORITHM) return encryptAsymmetric(call, key, input, algorithm as EncryptionAlgorithm)
    const context = pairsOf(input.EncryptionContext)
    refuseDryRun(input.DryRun)
    const { ciphertext, materialId } = await call.services.boundary.encrypt(
      key.row,
      input.Plaintext,
      context,
      call.asserted,
    )
    const CiphertextBlob = await wrapForOwner(call, key, ciphertext, materialId, context)
    return { CiphertextBlob, KeyId: key.arn, EncryptionAlgorithm: ALGORITHM }
  },
  write: ({ CiphertextBlob, KeyId, EncryptionAlgorithm }) =>
    `{"CiphertextBlob":"${CiphertextBlob.toString('base64')}","KeyId":"${KeyId}","EncryptionAlgorithm":"${EncryptionAlgorithm}"}`,
}

async function encryptAsymmetric(call: Call, key: FoundKey, input: EncryptInput, algorithm: EncryptionAlgorithm) {
  refuseContext(input.EncryptionContext)
  checkLength(key, algorithm, input.Plaintext.length)
  refuseDryRun(input.DryRun)
  const { boundary } = call.services
  const { ciphertext } = await boundary.asymmetricEncrypt(key.row, algorithm, input.Plaintext, call.asserted)
  return { CiphertextBlob: ciphertext, KeyId: key.arn, EncryptionAlgorithm: algorithm }
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
      const key = await usableKey(call, input, ALGORITHM)
      checkMakesDataKeys(call, key)
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

async function usableKey(
  call: Call,
  input: { KeyId: string; EncryptionContext?: ContextMap },
  encryptionAlgorithm: string,
): Promise<FoundKey> {
  const key = await findKey(call, input.KeyId, { aliases: true })
  authorizeKey(call, key, { encryptionContext: input.EncryptionContext, encryptionAlgorithm })
  checkState(call, key)
  return key
}
