/**
 * What a key is for and which algorithms it has, asked before the boundary decides the same: aws-kms.md §3.4, with the refusals of §5.4. The answers come
 * from the boundary's table of key specs.
 */
import { hasAlgorithm, isAsymmetric } from '../../boundary/algorithms.ts'
import type { KeyUsage } from '../../boundary/words.ts'
import type { RequestFacts } from '../access/types.ts'
import { authorizeKey } from '../keys/allow.ts'
import { findKey } from '../keys/find.ts'
import { checkState } from '../keys/states.ts'
import { KmsError } from '../wire/errors.ts'
import type { ContextMap } from './common.ts'
import { checkGrantTokens } from './grants/shared.ts'
import type { Call, FoundKey } from './types.ts'

/** Throws InvalidKeyUsageException unless the key is for what the operation does. */
export function checkUsage(call: Call, key: FoundKey, usage: KeyUsage): void {
  if (key.header.usage === usage) return
  throw new KmsError(
    'InvalidKeyUsageException',
    `${key.arn} key usage is ${key.header.usage} which is not valid for ${call.operation}.`,
  )
}

/** Throws InvalidKeyUsageException unless the key has this algorithm. Its usage has been checked. */
export function checkAlgorithm(key: FoundKey, algorithm: string): void {
  const { spec, usage } = key.header
  if (hasAlgorithm(spec, usage, algorithm)) return
  throw new KmsError('InvalidKeyUsageException', `Algorithm ${algorithm} is incompatible with key spec ${spec}.`)
}

/** Nothing but SYMMETRIC_DEFAULT binds a context (aws-kms.md §8). */
export function refuseContext(context: ContextMap | undefined): void {
  if (context === undefined || Object.keys(context).length === 0) return
  throw new KmsError(
    'ValidationException',
    'EncryptionContext is not supported when encrypting/decrypting with asymmetric CMKs.',
  )
}

/** Data keys and data key pairs are messages, which only symmetric keys have. */
export function checkMakesDataKeys(call: Call, key: FoundKey): void {
  checkUsage(call, key, 'ENCRYPT_DECRYPT')
  if (isAsymmetric(key.header.spec))
    throw new KmsError('InvalidKeyUsageException', 'You cannot generate a data key with an asymmetric CMK')
}

interface Named {
  readonly KeyId: string
  readonly GrantTokens?: readonly string[]
}

/** The key of a use that has one algorithm: found, allowed, in a state that lets it be used, for this usage, and with this algorithm. */
export async function keyOfUse(
  call: Call,
  input: Named,
  usage: KeyUsage,
  algorithm: string,
  facts: Partial<RequestFacts> = {},
): Promise<FoundKey> {
  if (input.GrantTokens !== undefined) await checkGrantTokens(call, input.GrantTokens)
  const key = await findKey(call, input.KeyId, { aliases: true })
  authorizeKey(call, key, facts)
  checkState(call, key)
  checkUsage(call, key, usage)
  checkAlgorithm(key, algorithm)
  return key
}
