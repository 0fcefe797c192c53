/** The lockout check of CreateKey and PutKeyPolicy: aws-kms.md §12.1. */
import { type Caller, type CompiledPolicy, POLICY_SAYS, type RequestContext } from './types.ts'

/** AWS's text for MalformedPolicyDocumentException. */
export const LOCKOUT_MESSAGE = 'The new key policy will not allow you to update the key policy in the future.'

/**
 * True if the caller, under this new policy, could not change the policy again: it must allow the caller, or the caller's account, to call
 * PutKeyPolicy, and not deny it. `context` is that of the request at hand. Whether identity policies allow it too is not asked, as at AWS.
 */
export function wouldLockOut(policy: CompiledPolicy, caller: Caller, keyArn: string, context: RequestContext): boolean {
  const says = policy.evaluate(caller, 'kms:putkeypolicy', keyArn, context)
  return says === POLICY_SAYS.nothing || says === POLICY_SAYS.deny
}
