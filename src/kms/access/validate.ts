/** The checks that a policy passes before it is stored: whole and readable, naming principals that exist, and not wider than its writer sees. */

import { compilePolicy } from './compile.ts'
import { readConditionKey } from './condition-keys.ts'
import { invalidPrincipal, POLICY_MAX_BYTES, type PolicyDocument, readPolicy } from './document.ts'
import { type CompiledPolicy, MalformedPolicyError, PolicyTooLargeError, type PolicyUse } from './types.ts'

/** Whether an account (12 digits), the principal of this ARN, or the role of a session's ARN exists. */
export type PrincipalExists = (arnOrAccount: string) => Promise<boolean>

/**
 * Checks a key policy and returns it compiled. Throws `MalformedPolicyError` (MalformedPolicyDocumentException; the message is the reason) or
 * `PolicyTooLargeError` (LimitExceededException). `most`: in bytes, what the account may have.
 */
export async function checkKeyPolicy(
  bytes: Buffer,
  exists: PrincipalExists,
  most = POLICY_MAX_BYTES.key,
): Promise<CompiledPolicy> {
  if (bytes.length > most) throw new PolicyTooLargeError(`The policy has ${bytes.length} bytes; the limit is ${most}.`)
  return checkResourcePolicy('key', bytes, exists)
}

/** The same for the trust policy of a role. */
export function checkTrustPolicy(bytes: Buffer, exists: PrincipalExists): Promise<CompiledPolicy> {
  return checkResourcePolicy('trust', bytes, exists)
}

/** The form of a key policy alone, whoever it names. Throws the same. */
export function checkKeyPolicyForm(bytes: Buffer): void {
  check('key', bytes)
}

async function checkResourcePolicy(
  use: 'key' | 'trust',
  bytes: Buffer,
  exists: PrincipalExists,
): Promise<CompiledPolicy> {
  const document = check(use, bytes)
  const names = new Set(
    document.statements.flatMap(({ principals }) => [...(principals?.arns ?? []), ...(principals?.accounts ?? [])]),
  )
  for (const name of names) if (!(await exists(name))) throw invalidPrincipal(name)
  return compilePolicy(use, bytes)
}

/** The same for an identity policy, which names no principals. */
export function checkIdentityPolicy(bytes: Buffer): CompiledPolicy {
  check('identity', bytes)
  return compilePolicy('identity', bytes)
}

function check(use: PolicyUse, bytes: Buffer): PolicyDocument {
  const document = readPolicy(use, bytes)
  for (const { conditions } of document.statements) {
    for (const { set, key } of conditions) {
      // aws-kms.md §12.1: with this key absent from the request it would be true.
      if (set === 'ForAllValues' && readConditionKey(key).key === 'kms:encryptioncontext') {
        throw new MalformedPolicyError(
          `OverlyPermissiveCondition: ForAllValues cannot be used with the single-valued condition key ${key}.`,
        )
      }
    }
  }
  return document
}
