/** GetParametersForImport, ImportKeyMaterial, DeleteImportedKeyMaterial (aws-kms.md §3.6). */
import { isAsymmetric, SPECS } from '../../boundary/algorithms.ts'
import type { WrappingAlgorithm } from '../../boundary/client/api.ts'
import { BoundaryError, type ExpirationModel, type KeySpec } from '../../boundary/words.ts'
import { KmsError } from '../wire/errors.ts'
import { seconds } from './common.ts'
import { managed } from './lifecycle.ts'
import type { FoundKey, Operation } from './types.ts'

const MODULI: Readonly<Record<string, 2048 | 3072 | 4096>> = { RSA_2048: 2048, RSA_3072: 3072, RSA_4096: 4096 }
const MAX_VALIDITY_MS = 365 * 86_400_000
const VALID_TO = 'The validTo date must be in the future, and at most 365 days from now'

/** The key specs whose material an algorithm wraps: aws-kms.md §3.6. */
const WRAPPED: Readonly<Record<WrappingAlgorithm, (spec: KeySpec, bits: number) => boolean>> = {
  RSAES_OAEP_SHA_256: direct,
  RSAES_OAEP_SHA_1: direct,
  RSA_AES_KEY_WRAP_SHA_256: isAsymmetric,
  RSA_AES_KEY_WRAP_SHA_1: isAsymmetric,
}

/** What fits into the modulus: no private key of RSA, and none of P-521 into the shortest. */
function direct(spec: KeySpec, bits: number): boolean {
  return SPECS[spec].material.kind !== 'rsa' && !(spec === 'ECC_NIST_P521' && bits === 2048)
}

function wrappingOf(spec: KeySpec, algorithm: string, keySpec: string) {
  const bits = MODULI[keySpec]
  const wraps = Object.hasOwn(WRAPPED, algorithm) ? WRAPPED[algorithm as WrappingAlgorithm] : undefined
  if (bits === undefined || wraps?.(spec, bits) !== true) {
    throw new KmsError(
      'UnsupportedOperationException',
      `${algorithm} with ${keySpec} is not supported for key material of ${spec}.`,
    )
  }
  return { algorithm: algorithm as WrappingAlgorithm, bits }
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
    const key = await managed(call, KeyId, {
      wrappingAlgorithm: WrappingAlgorithm,
      wrappingKeySpec: WrappingKeySpec,
    })
    const { algorithm, bits } = wrappingOf(key.header.spec, WrappingAlgorithm, WrappingKeySpec)
    const made = await call.services.boundary.importParameters(key.rowId, algorithm, bits, call.asserted)
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

/** What the boundary says of an import, where AWS has words of its own for it. */
async function inWordsOfImport<T>(key: FoundKey, use: () => Promise<T>): Promise<T> {
  try {
    return await use()
  } catch (error) {
    if (!(error instanceof BoundaryError)) throw error
    const [, given, pending] = /^pending rotation (\w+) (\w+)$/.exec(error.detail) ?? []
    if (error.code === 'InvalidState' && pending !== undefined)
      throw new KmsError(
        'KMSInvalidStateException',
        `New key material (id: ${given}) cannot be imported into KMS key ${key.arn}, because another key material (id: ${pending}) is pending rotation.`,
        { cause: error },
      )
    // The date has passed on the way: the boundary has the clock that counts.
    if (error.code === 'InvalidRequest') throw new KmsError('ValidationException', VALID_TO, { cause: error })
    if (error.code === 'IncorrectKeyMaterial')
      throw new KmsError('IncorrectKeyMaterialException', `The key material is refused: ${error.detail}.`, {
        cause: error,
      })
    throw error
  }
}

export const ImportKeyMaterial: Operation<ImportInput, object> = {
  name: 'ImportKeyMaterial',
  recordedBy: 'boundary',
  async run(call, input) {
    const expirationModel = input.ExpirationModel ?? 'KEY_MATERIAL_EXPIRES'
    const expires = expirationModel === 'KEY_MATERIAL_EXPIRES'
    const key = await managed(call, input.KeyId, {
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
      throw new KmsError('ValidationException', VALID_TO)
    }
    if (input.ImportType === 'NEW_KEY_MATERIAL' && input.KeyMaterialId !== undefined) {
      throw new KmsError('ValidationException', 'KeyMaterialId cannot be given with ImportType NEW_KEY_MATERIAL')
    }
    const { materialId } = await inWordsOfImport(key, () =>
      call.services.boundary.importKeyMaterial(
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
      ),
    )
    return { KeyId: key.arn, KeyMaterialId: materialId }
  },
}

export const DeleteImportedKeyMaterial: Operation<{ KeyId: string; KeyMaterialId?: string }, object> = {
  name: 'DeleteImportedKeyMaterial',
  recordedBy: 'boundary',
  async run(call, { KeyId, KeyMaterialId = '' }) {
    const key = await managed(call, KeyId)
    const { materialId } = await call.services.boundary.deleteImportedKeyMaterial(
      key.rowId,
      KeyMaterialId,
      call.asserted,
    )
    return { KeyId: key.arn, ...(materialId === '' ? {} : { KeyMaterialId: materialId }) }
  },
}
