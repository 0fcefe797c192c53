/**
 * Who is calling with an OpenID token of a Google service account: one of the tenant's own issuers, for this service, and an address that the owner has named
 * for the tenant. The address counts because the issuer vouches for it (`email_verified`).
 */
import type { HttpRequest } from '../../http/types.ts'
import { type AuthenticatedCaller, verified } from './caller.ts'
import { readEmail } from './identity.ts'
import { bearerToken, type TokenFailure, type TokenVerifier } from './token.ts'

export type ServiceAccountFailure = TokenFailure | 'TokenIdentity' | 'UnknownServiceAccount'

export interface ServiceAccountTenant {
  readonly name: string
  readonly verifier: Pick<TokenVerifier, 'verify'>
  /** In lower case; nobody else speaks for the tenant. */
  readonly serviceAccounts: ReadonlySet<string>
}

export type ServiceAccountVerdict =
  | { readonly ok: true; readonly caller: AuthenticatedCaller }
  | { readonly ok: false; readonly reason: ServiceAccountFailure }

/** Never rejects. */
export async function authenticateServiceAccount(
  protocol: string,
  { name, verifier, serviceAccounts }: ServiceAccountTenant,
  request: Pick<HttpRequest, 'headers' | 'remoteAddress'>,
): Promise<ServiceAccountVerdict> {
  const verdict = await verifier.verify(bearerToken(request))
  if (!verdict.ok) return verdict
  const { issuer, subject, claims } = verdict.token
  const email = claims.email_verified === true ? readEmail(claims.email) : undefined
  if (email === undefined) return { ok: false, reason: 'TokenIdentity' }
  if (!serviceAccounts.has(email)) return { ok: false, reason: 'UnknownServiceAccount' }
  const caller = verified({
    protocol,
    tenant: name,
    principal: email,
    credentialId: `${issuer} ${subject}`,
    region: '',
    sourceIp: request.remoteAddress,
    peerName: '',
    userAgent: request.headers['user-agent'] ?? '',
  })
  return { ok: true, caller }
}
