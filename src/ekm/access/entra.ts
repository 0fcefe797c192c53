/**
 * Who is calling with a token of Microsoft Entra: one of the tenant's own issuers, for this service, of this directory, and of a person. An address counts
 * only because the directory that says it is the owner's: tokens of every other are refused before.
 */
import type { HttpRequest } from '../../http/types.ts'
import type { Identified } from './allow-list.ts'
import { type AuthenticatedCaller, verified } from './caller.ts'
import { readEmail, readList } from './identity.ts'
import { bearerToken, type TokenFailure, type TokenVerifier } from './token.ts'

export type EntraFailure = TokenFailure | 'TokenDirectory' | 'TokenIdentity'

export interface EntraTenant {
  readonly name: string
  readonly verifier: Pick<TokenVerifier, 'verify'>
  /** `tid` of its tokens. */
  readonly directory: string
}

export type EntraVerdict =
  | { readonly ok: true; readonly caller: AuthenticatedCaller; readonly person: Identified }
  | { readonly ok: false; readonly reason: EntraFailure }

/** Never rejects. */
export async function authenticateEntra(
  protocol: string,
  { name, verifier, directory }: EntraTenant,
  request: Pick<HttpRequest, 'headers' | 'remoteAddress'>,
): Promise<EntraVerdict> {
  const verdict = await verifier.verify(bearerToken(request))
  if (!verdict.ok) return verdict
  const { issuer, subject, claims } = verdict.token
  if (claims.tid !== directory) return { ok: false, reason: 'TokenDirectory' }
  // The name that its directory gives a person, which needs no mailbox; guests have only an address.
  const email = readEmail(claims.upn) ?? readEmail(claims.email)
  if (email === undefined) return { ok: false, reason: 'TokenIdentity' }
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
  return { ok: true, caller, person: { email, roles: [...readList(claims.roles), ...readList(claims.groups)] } }
}
