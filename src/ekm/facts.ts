/** What the record says of a call. */
import type { Asserted } from '../boundary/words.ts'
import { asserted, type Claims } from './access/claims.ts'
import type { Decision } from './access/policy.ts'
import { reasonCode } from './access/reasons.ts'
import type { Call } from './core.ts'

/** A code of the vocabulary, and after it the provider's own words. */
function reasonOf({ reason, justification }: Claims): string | undefined {
  if (reason === undefined && justification === undefined) return undefined
  const code = reasonCode(reason)
  const words = [code === 'REASON_UNKNOWN' ? reason : '', justification].filter(text => text)
  if (words.length === 0) return code === 'REASON_UNSPECIFIED' ? undefined : code
  return `${code}: ${words.join(' ')}`
}

/** What the record says of a call, claims as such; a policy can be tried on it later (`access/cedar/record.ts`). */
export function factsOf({ caller, claims, operation, requestId }: Call, decision?: Decision): Asserted {
  return asserted({
    operation: `${caller.protocol}:${operation}`,
    requestId,
    account: caller.tenant,
    accessKeyId: caller.credentialId,
    sourceIp: caller.sourceIp,
    region: caller.region,
    userAgent: caller.userAgent,
    peer: caller.peerName,
    viaService: claims.viaService,
    // Of those who are not an access key id there is a name as well.
    principal: caller.principal === caller.credentialId ? undefined : caller.principal,
    reason: reasonOf(claims),
    subject: claims.resource,
    claimedPrincipal: claims.principal || claims.email || claims.pool,
    claimedAccount: claims.account,
    claimedRegion: claims.region,
    claimedKeyArn: claims.keyArn,
    claimedOperation: claims.operation,
    claimedRequestId: claims.requestId,
    claimedSourceVpc: claims.sourceVpc,
    claimedSourceVpce: claims.sourceVpce,
    claimedPool: claims.pool,
    claimedEmail: claims.email,
    claimedPerimeter: claims.perimeter,
    policy: decision?.policies.join(','),
  })
}
