/** GetParametersForImport, ImportKeyMaterial, DeleteImportedKeyMaterial (aws-kms.md §3.6). */
import type { WrappingAlgorithm } from '../../boundary/client/api.ts'
import type { ExpirationModel } from '../../boundary/words.ts'
import { KmsError } from '../wire/errors.ts'
import { seconds } from './common.ts'
import { managed } from './lifecycle.ts'
import type { Call, FoundKey, Operation } from './types.ts'

const BUILT: ReadonlySet<string> = new Set<WrappingAlgorithm>(['RSAES_OAEP_SHA_256', 'RSAES_OAEP_SHA_1'])
const MODULI: Readonly<Record<string, 2048 | 3072 | 4096>> = { RSA_2048: 2048, RSA_3072: 3072, RSA_4096: 4096 }
const MAX_VALIDITY_MS = 365 * 86_400_000

async function importable(call: Call, keyId: string, extra: Parameters<typeof managed>[2] = {}): Promise<FoundKey> {
  const key = await managed(call, keyId, extra)
  if (key.header.origin !== 'EXTERNAL') {
    throw new KmsError(
      'UnsupportedOperationException',
      `${key.arn} origin is ${key.header.origin} which is not valid for this operation.`,
    )
  }
  return key
}

interface ParametersInput {
  readonly KeyId: string
  readonly WrappingAlgorithm: string
  readonly WrappingKeySpec: string
}

export const GetParametersForImport: Operation<ParametersInput, object> = {
  name: 'GetParametersForImport',
  recordedBy: 'boundary',
  async run(call, { KeyId, WrappingAlgorithm, WrappingKeySpec }) {
    const key = await importable(call, KeyId, {
      wrappingAlgorithm: WrappingAlgorithm,
      wrappingKeySpec: WrappingKeySpec,
    })
    const bits = MODULI[WrappingKeySpec]
    if (!BUILT.has(WrappingAlgorithm) || bits === undefined) {
      throw new KmsError(
        'UnsupportedOperationException',
        `${WrappingAlgorithm} with ${WrappingKeySpec} is not supported for this key.`,
      )
    }
    const made = await call.services.boundary.importParameters(
      key.rowId,
      WrappingAlgorithm as WrappingAlgorithm,
      bits,
      call.asserted,
    )
    return {
      KeyId: key.arn,
      ImportToken: made.token.toString('base64'),
      PublicKey: made.publicKey.toString('base64'),
      ParametersValidTo: seconds(made.validTo),
    }
  },
}

interface ImportInput {
  readonly KeyId: string
  readonly ImportToken: Buffer
  readonly EncryptedKeyMaterial: Buffer
  readonly ExpirationModel?: ExpirationModel
  /** Milliseconds. */
  readonly ValidTo?: number
  readonly ImportType?: 'NEW_KEY_MATERIAL' | 'EXISTING_KEY_MATERIAL'
  readonly KeyMaterialDescription?: string
  readonly KeyMaterialId?: string
}

export const ImportKeyMaterial: Operation<ImportInput, object> = {
  name: 'ImportKeyMaterial',
  recordedBy: 'boundary',
  async run(call, input) {
    const expirationModel = input.ExpirationModel ?? 'KEY_MATERIAL_EXPIRES'
    const expires = expirationModel === 'KEY_MATERIAL_EXPIRES'
    const key = await importable(call, input.KeyId, {
      expirationModel,
      ...(input.ValidTo === undefined ? {} : { validTo: input.ValidTo }),
    })
    if (expires && input.ValidTo === undefined) {
      throw new KmsError(
        'ValidationException',
        'A validTo date must be set if the ExpirationModel is KEY_MATERIAL_EXPIRES',
      )
    }
    if (!expires && input.ValidTo !== undefined) {
      throw new KmsError(
        'ValidationException',
        'A validTo date must not be set if the ExpirationModel is KEY_MATERIAL_DOES_NOT_EXPIRE',
      )
    }
    const now = call.services.clocks.lifecycle()
    if (input.ValidTo !== undefined && (input.ValidTo <= now || input.ValidTo > now + MAX_VALIDITY_MS)) {
      throw new KmsError('ValidationException', 'The validTo date must be in the future, and at most 365 days from now')
    }
    if (input.ImportType === 'NEW_KEY_MATERIAL' && input.KeyMaterialId !== undefined) {
      throw new KmsError('ValidationException', 'KeyMaterialId cannot be given with ImportType NEW_KEY_MATERIAL')
    }
    const { materialId } = await call.services.boundary.importKeyMaterial(
      key.rowId,
      {
        token: input.ImportToken,
        wrapped: input.EncryptedKeyMaterial,
        expirationModel,
        validTo: input.ValidTo ?? 0,
        importType: input.ImportType ?? '',
        description: input.KeyMaterialDescription ?? '',
        materialId: input.KeyMaterialId ?? '',
      },
      call.asserted,
    )
    return { KeyId: key.arn, KeyMaterialId: materialId }
  },
}

export const DeleteImportedKeyMaterial: Operation<{ KeyId: string; KeyMaterialId?: string }, object> = {
  name: 'DeleteImportedKeyMaterial',
  recordedBy: 'boundary',
  async run(call, { KeyId, KeyMaterialId = '' }) {
    const key = await importable(call, KeyId)
    const { materialId } = await call.services.boundary.deleteImportedKeyMaterial(
      key.rowId,
      KeyMaterialId,
      call.asserted,
    )
    return { KeyId: key.arn, ...(materialId === '' ? {} : { KeyMaterialId: materialId }) }
  },
}
