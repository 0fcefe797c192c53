/** GenerateDataKeyPair and GenerateDataKeyPairWithoutPlaintext (aws-kms.md §3.5): key pairs whose private half is a message of a symmetric key. */
import { SPECS } from '../../boundary/algorithms.ts'
import type { KeySpec } from '../../boundary/words.ts'
import { authorizeKey } from '../keys/allow.ts'
import { findKey } from '../keys/find.ts'
import { checkState } from '../keys/states.ts'
import { KmsError } from '../wire/errors.ts'
import { ALGORITHM, type ContextMap, pairsOf, refuseDryRun, refuseRecipient } from './common.ts'
import { checkGrantTokens } from './grants/shared.ts'
import type { Operation } from './types.ts'
import { checkMakesDataKeys } from './usage.ts'

interface Input {
  readonly KeyId: string
  readonly KeyPairSpec: string
  readonly EncryptionContext?: ContextMap
  readonly GrantTokens?: readonly string[]
  readonly Recipient?: unknown
  readonly DryRun?: boolean
}

function dataKeyPair(name: string, wantPlaintext: boolean): Operation<Input, object> {
  return {
    name,
    recordedBy: 'boundary',
    async run(call, input) {
      if (input.GrantTokens !== undefined) await checkGrantTokens(call, input.GrantTokens)
      refuseRecipient(input.Recipient)
      const { KeyPairSpec, EncryptionContext: encryptionContext } = input
      const key = await findKey(call, input.KeyId, { aliases: true })
      authorizeKey(call, key, { encryptionContext, encryptionAlgorithm: ALGORITHM, dataKeyPairSpec: KeyPairSpec })
      checkState(call, key)
      checkMakesDataKeys(call, key)
      // The private half of an RSA key would not fit into what an owner's proxy takes; AWS makes none for any such key.
      if (key.header.keyStoreId !== '') {
        throw new KmsError(
          'UnsupportedOperationException',
          `${key.arn} is in a custom key store, which is not valid for this operation.`,
        )
      }
      const spec = pairSpecOf(KeyPairSpec)
      const context = pairsOf(encryptionContext)
      refuseDryRun(input.DryRun)
      const { boundary } = call.services
      const made = await boundary.generateDataKeyPair(key.row, spec, wantPlaintext, context, call.asserted)
      return {
        PrivateKeyCiphertextBlob: made.ciphertext.toString('base64'),
        ...(made.plaintext === undefined ? {} : { PrivateKeyPlaintext: made.plaintext.toString('base64') }),
        PublicKey: made.publicKey.toString('base64'),
        KeyId: key.arn,
        KeyPairSpec,
        KeyMaterialId: made.materialId,
      }
    },
  }
}

/** The model also has SM2, which is for Regions that this service does not have. */
function pairSpecOf(name: string): KeySpec {
  if (Object.hasOwn(SPECS, name) && SPECS[name as KeySpec].pair) return name as KeySpec
  throw new KmsError('UnsupportedOperationException', `KeyPairSpec ${name} is not supported in this Region.`)
}

export const GenerateDataKeyPair = dataKeyPair('GenerateDataKeyPair', true)
export const GenerateDataKeyPairWithoutPlaintext = dataKeyPair('GenerateDataKeyPairWithoutPlaintext', false)
