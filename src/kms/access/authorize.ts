/**
 * The decision, and the words of a denial. aws-kms.md §12.2: an explicit deny anywhere wins; in the same account the key policy allows the
 * principal, or allows the account while the principal's own policies allow it; across accounts both sides must allow.
 */
import { type AccessQuestion, type Caller, POLICY_SAYS, type Verdict } from './types.ts'

/** Lower-case names of permissions, so that none is made in a request. Filled from a table of ours, never by callers. */
const lowerCase = new Map<string, string>()

function inLowerCase(permission: string): string {
  let lower = lowerCase.get(permission)
  if (lower === undefined) {
    lower = permission.toLowerCase()
    if (lowerCase.size < 256) lowerCase.set(permission, lower)
  }
  return lower
}

/**
 * Whether the caller has this permission on this resource. Synchronous, allocates nothing.
 *
 * IAM's logic for one account: a permissions boundary and a session policy limit what identity policies give, and what a resource's policy gives to
 * the role; what it gives to the user, to the session or to everyone by name they do not limit. Grants are limited by them (aws-kms.md §12.2).
 */
export function authorize(question: AccessQuestion): Verdict {
  const { caller, keyPolicy, resource, context } = question
  const action = inLowerCase(question.permission)

  const keySays = keyPolicy === undefined ? POLICY_SAYS.nothing : keyPolicy.evaluate(caller, action, resource, context)
  if (keySays === POLICY_SAYS.deny) return 'explicit-deny-key-policy'
  // The account's root has every right that its account has; it carries no policies.
  let identityAllows = caller.kind === 'root'
  const { policies, boundary } = caller
  for (let i = 0; i < policies.length; i++) {
    const says = policies[i]?.evaluate(caller, action, resource, context)
    if (says === POLICY_SAYS.deny) return 'explicit-deny-identity-policy'
    if (says === POLICY_SAYS.allow) identityAllows = true
  }
  const sessionPolicy = caller.session?.policy
  const boundarySays = boundary === undefined ? undefined : boundary.evaluate(caller, action, resource, context)
  if (boundarySays === POLICY_SAYS.deny) return 'explicit-deny-permissions-boundary'
  const sessionSays =
    sessionPolicy === undefined ? undefined : sessionPolicy.evaluate(caller, action, resource, context)
  if (sessionSays === POLICY_SAYS.deny) return 'explicit-deny-session-policy'

  const sameAccount = caller.account === question.resourceAccount
  if (!sameAccount && !question.crossAccount) return 'cross-account-not-supported'
  if (sameAccount && keySays === POLICY_SAYS.allow) return 'allowed'
  const withinBoundary = boundarySays === undefined || boundarySays === POLICY_SAYS.allow
  const withinSession = sessionSays === undefined || sessionSays === POLICY_SAYS.allow
  let given: boolean
  if (keyPolicy === undefined) given = sameAccount && identityAllows
  else if (sameAccount && keySays === POLICY_SAYS.allowRole) given = true
  else given = keySays !== POLICY_SAYS.nothing && identityAllows
  if (given && withinBoundary && withinSession) return 'allowed'
  const granted = keyPolicy !== undefined && !given && withinBoundary && withinSession && question.grants?.() === true
  if (granted) return 'allowed'
  if (!given && keyPolicy !== undefined && keySays === POLICY_SAYS.nothing) return 'no-key-policy-allows'
  if (!given) return 'no-identity-policy-allows'
  return withinBoundary ? 'no-session-policy-allows' : 'no-permissions-boundary-allows'
}

const REASONS: Readonly<Record<Exclude<Verdict, 'allowed'>, (permission: string) => string>> = {
  'explicit-deny-key-policy': () => 'with an explicit deny in a resource-based policy',
  'explicit-deny-identity-policy': () => 'with an explicit deny in an identity-based policy',
  'explicit-deny-permissions-boundary': () => 'with an explicit deny in a permissions boundary',
  'explicit-deny-session-policy': () => 'with an explicit deny in a session policy',
  'no-permissions-boundary-allows': permission => `because no permissions boundary allows the ${permission} action`,
  'no-session-policy-allows': permission => `because no session policy allows the ${permission} action`,
  'no-key-policy-allows': permission => `because no resource-based policy allows the ${permission} action`,
  'no-identity-policy-allows': permission => `because no identity-based policy allows the ${permission} action`,
  // AWS: the permission is ineffective across accounts; it says no more than that no policy of the resource allows it.
  'cross-account-not-supported': permission => `because no resource-based policy allows the ${permission} action`,
}

/** The message of AccessDeniedException in AWS's form (aws-kms.md §5.1). `verdict` must not be `allowed`. */
export function denialMessage(
  verdict: Exclude<Verdict, 'allowed'>,
  question: Pick<AccessQuestion, 'caller' | 'permission' | 'resource'>,
): string {
  const { caller, permission, resource } = question
  return `User: ${caller.arn} is not authorized to perform: ${permission} on resource: ${resource} ${REASONS[verdict](permission)}`
}

/** The same for a key of another account, and for one that is not there: who may not use it does not learn which (aws-kms.md §7). */
export function hiddenMessage(caller: Pick<Caller, 'arn'>, permission: string, resource: string): string {
  return `User: ${caller.arn} is not authorized to perform: ${permission} on resource: ${resource} because the resource does not exist in this Region, no resource-based policies allow access, or a resource-based policy explicitly denies access`
}
