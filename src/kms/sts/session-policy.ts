/** The session policy, and how much of a token it and the tags take. */

import type { SessionTag } from '../access/session-body.ts'
import { MalformedPolicyError, PolicyTooLargeError } from '../access/types.ts'
import { checkIdentityPolicy } from '../access/validate.ts'
import { StsError } from './errors.ts'

/** Bytes of policy and tags in one token: with the rest of it below what a request's headers may have. */
const PACKED_BYTES = 6_000

/** Checks the policy as an identity policy is checked. Throws MalformedPolicyDocument. Empty for none. */
export function readSessionPolicy(policy: string | undefined): string {
  if (policy === undefined) return ''
  try {
    checkIdentityPolicy(Buffer.from(policy, 'utf8'))
  } catch (error) {
    if (error instanceof MalformedPolicyError || error instanceof PolicyTooLargeError)
      throw new StsError('MalformedPolicyDocument', error.message)
    throw error
  }
  return policy
}

/** How full the token is, in percent; 0 without policy and tags. Throws PackedPolicyTooLarge above 100. */
export function packedPercent(policy: string, tags: readonly SessionTag[]): number {
  const ofTags = tags.reduce((sum, { key, value }) => sum + Buffer.byteLength(key) + Buffer.byteLength(value) + 5, 0)
  const percent = Math.ceil(((Buffer.byteLength(policy) + ofTags) * 100) / PACKED_BYTES)
  if (percent > 100)
    throw new StsError(
      'PackedPolicyTooLarge',
      `Packed policy consumes ${percent}% of allotted space, please use smaller policy.`,
    )
  return percent
}
