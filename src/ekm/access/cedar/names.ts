/** What there is to know of policies for whoever needs no Cedar for it: the administration, which does not wait for its library. */
import type { RevokeScope } from '../policy.ts'

/** The row id of the policy of the whole service; no tenant has this name. */
export const SERVICE_POLICY = '*'
/** Before the ids of its policies in records. */
export const SERVICE_PREFIX = 'service:'
/** Before the id of a policy that could not be evaluated. */
export const FAILED_PREFIX = 'error:'

/** What it revokes goes from the smallest to the largest: of several orders the largest is obeyed. */
export const REVOKE_SCOPES: readonly RevokeScope[] = ['key', 'principal', 'protocol', 'tenant']

/** Bytes of UTF-8 that a policy's text may have. */
export const MAX_POLICY_BYTES = 65_536

/** Whose policy it is: a tenant's, or that of the whole service, which only forbids. */
export type PolicyOwner = 'tenant' | 'service'

/** The policy that a new tenant begins with: an owner narrows it, or writes another. */
export function starterPolicy(tenant: string): string {
  return `// Whoever is authenticated for this tenant may do everything with its keys, each for what it is meant for.
// What a policy can name and ask: holdfast ekm policy schema
@id("own-callers")
permit (
  principal in Tenant::"${tenant}",
  action,
  resource in Tenant::"${tenant}"
);
`
}
