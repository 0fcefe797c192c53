/**
 * Who is calling with the tokens of Google Workspace client-side encryption, checked in the order of its guide ("Encrypt and decrypt data"): each token by
 * its issuer's own keys; that both are of one person; what kind of person; whether its role allows the method; whether it was made for this very service.
 */
import type { HttpRequest } from '../../http/types.ts'
import { type AuthenticatedCaller, verified } from './caller.ts'
import { readEmail, readText } from './identity.ts'
import type { Token, TokenFailure, TokenVerifier } from './token.ts'
import { isWithin, type PerimeterRule, WORKSPACE_METHODS, type WorkspaceMethod } from './workspace-rules.ts'

/** Bytes of names of resources and perimeters. */
export const MAX_RESOURCE = 128

export interface WorkspaceTenant {
  readonly name: string
  /** As Google is told it: what its tokens have to say. */
  readonly kaclsUrl: string
  /** Of the identity provider, and delegated ones of this service. */
  readonly users: Pick<TokenVerifier, 'verify'>
  /** Of Google. */
  readonly authorization: Pick<TokenVerifier, 'verify'>
  /** Of the identity provider, for methods without an authorization token. */
  readonly administrators: Pick<TokenVerifier, 'verify'>
  /** Of the identity provider and of other key services. */
  readonly peers: Pick<TokenVerifier, 'verify'>
  /** Of other key services. */
  readonly peerUrls: ReadonlySet<string>
  readonly ownerDomain: string | undefined
  readonly guests: ReadonlySet<string>
  /** In lower case. */
  readonly admins: ReadonlySet<string>
  readonly perimeters: ReadonlyMap<string, PerimeterRule> | undefined
}

/** What an authorization token grants. */
export interface Grant {
  readonly email: string
  readonly role: string
  readonly resource: string
  readonly perimeter: string
  readonly delegatedTo: string | undefined
  /** Of a private key, where the token is for one. */
  readonly spki: { readonly hash: string; readonly algorithm: string } | undefined
}

export interface Tokens {
  readonly authentication: string | undefined
  readonly authorization: string | undefined
}

/** Why a request is nobody's. It stands in the counted records. */
export type WorkspaceFailure = TokenFailure | 'TokenIdentity' | `Authorization${TokenFailure}` | 'AuthorizationClaims'

/** Why somebody who is known is refused: words for whoever operates the other side. */
export type Denial = string

export type WorkspaceVerdict =
  | { readonly kind: 'unknown'; readonly reason: WorkspaceFailure; readonly keysAway: boolean }
  | {
      readonly kind: 'known'
      readonly caller: AuthenticatedCaller
      /** In lower case; empty for another key service. */
      readonly email: string
      readonly grant: Grant | undefined
      /** For what another key service asks. */
      readonly migrates: string | undefined
      readonly denial: Denial | undefined
    }

type Known = Omit<Extract<WorkspaceVerdict, { kind: 'known' }>, 'kind' | 'caller'>

/** Never rejects. */
export async function authenticateWorkspace(
  protocol: string,
  tenant: WorkspaceTenant,
  method: WorkspaceMethod,
  tokens: Tokens,
  request: Pick<HttpRequest, 'headers' | 'remoteAddress'>,
): Promise<WorkspaceVerdict> {
  const known = (token: Token, principal: string, what: Known): WorkspaceVerdict => ({
    kind: 'known',
    caller: verified({
      protocol,
      tenant: tenant.name,
      principal,
      credentialId: `${token.issuer} ${token.subject || '-'}`,
      region: '',
      sourceIp: request.remoteAddress,
      peerName: '',
      userAgent: request.headers['user-agent'] ?? '',
    }),
    ...what,
  })
  const { tokens: needed, roles } = WORKSPACE_METHODS[method]
  if (needed === 'privileged' || needed === 'peers') {
    const verdict = await tenant[needed === 'peers' ? 'peers' : 'administrators'].verify(tokens.authentication)
    if (!verdict.ok) return unknown(verdict.reason)
    const { token } = verdict
    if (tenant.peerUrls.has(token.issuer)) return known(token, token.issuer, ofPeer(tenant, token))
    const email = readEmail(token.claims.email)
    if (email === undefined) return unknown('TokenIdentity')
    const denial = tenant.admins.has(email) ? undefined : 'This method is for administrators of the key service.'
    return known(token, email, { email, grant: undefined, migrates: undefined, denial })
  }
  const authorization = await tenant.authorization.verify(tokens.authorization)
  if (!authorization.ok)
    return unknown(`Authorization${authorization.reason}`, authorization.reason === 'TokenKeysUnavailable')
  const grant = readGrant(authorization.token)
  if (grant === undefined) return unknown('AuthorizationClaims')
  const judged = denialOf(tenant, roles, authorization.token, grant)
  if (needed === 'authorized')
    return known(authorization.token, grant.email, { email: grant.email, grant, migrates: undefined, denial: judged })
  const authentication = await tenant.users.verify(tokens.authentication)
  if (!authentication.ok) return unknown(authentication.reason)
  const { token } = authentication
  const email = readEmail(token.claims.google_email ?? token.claims.email)
  if (email === undefined) return unknown('TokenIdentity')
  const delegated = token.issuer === tenant.kaclsUrl
  const one = delegated ? isDelegate(token, grant, method) : isSamePerson(email, grant, method)
  const denial = one ? (judged ?? perimeterDenial(tenant, grant, email)) : 'The two tokens are not of one person.'
  return known(token, email, { email, grant, migrates: undefined, denial })
}

function unknown(reason: WorkspaceFailure, keysAway = reason === 'TokenKeysUnavailable'): WorkspaceVerdict {
  return { kind: 'unknown', reason, keysAway }
}

/** One that a user delegated to is good for what it was made for, and for delegating no further. */
function isDelegate({ claims }: Token, grant: Grant, method: WorkspaceMethod): boolean {
  if (method === 'delegate' || grant.delegatedTo === undefined) return false
  return readEmail(claims.delegated_to) === grant.delegatedTo && claims.resource_name === grant.resource
}

/** What Google grants to a delegate takes the delegate's token; delegating takes the user's own. */
function isSamePerson(email: string, grant: Grant, method: WorkspaceMethod): boolean {
  return email === grant.email && (method === 'delegate' || grant.delegatedTo === undefined)
}

function readGrant({ claims }: Token): Grant | undefined {
  const email = readEmail(claims.email)
  const role = readText(claims.role, 64)
  const resource = readName(claims.resource_name ?? '')
  const perimeter = readName(claims.perimeter_id ?? '')
  const delegatedTo = claims.delegated_to === undefined ? undefined : readEmail(claims.delegated_to)
  if (email === undefined || role === undefined || resource === undefined || perimeter === undefined) return undefined
  if (claims.delegated_to !== undefined && delegatedTo === undefined) return undefined
  const hash = readText(claims.spki_hash, 128)
  const algorithm = readText(claims.spki_hash_algorithm, 32)
  const spki = hash === undefined || algorithm === undefined ? undefined : { hash, algorithm }
  return { email, role, resource, perimeter, delegatedTo, spki }
}

function readName(value: unknown): string | undefined {
  if (typeof value !== 'string' || Buffer.byteLength(value) > MAX_RESOURCE) return undefined
  // Halves of characters are all the same in UTF-8, in which a name is bound to its key.
  return value.isWellFormed() ? value : undefined
}

function denialOf(
  { kaclsUrl, ownerDomain, guests }: WorkspaceTenant,
  roles: readonly string[],
  { claims }: Token,
  grant: Grant,
): Denial | undefined {
  const { email_type: type = 'google', kacls_owner_domain: domain } = claims
  if (type !== 'google' && !(typeof type === 'string' && guests.has(type))) return 'Guests of this kind are not served.'
  if (!roles.includes(grant.role)) return 'The role of the authorization token does not allow this method.'
  if (claims.kacls_url !== kaclsUrl) return 'The authorization token is for another key service.'
  if (domain !== undefined && domain !== ownerDomain) return 'The authorization token is of another owner.'
  return undefined
}

function perimeterDenial({ perimeters }: WorkspaceTenant, { perimeter }: Grant, email: string): Denial | undefined {
  return isWithin(perimeters, perimeter, email) ? undefined : 'The perimeter is closed to this person.'
}

/** Another key service, which takes over: it has to say for whom its token is, and for which resource. */
function ofPeer({ kaclsUrl }: WorkspaceTenant, { claims }: Token): Known {
  const migrates = readName(claims.resource_name)
  const wrong = claims.kacls_url !== kaclsUrl || migrates === undefined
  const denial = wrong ? 'The token is for another key service, or for no resource.' : undefined
  return { email: '', grant: undefined, migrates, denial }
}
