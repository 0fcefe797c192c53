/**
 * Who is calling: the tenant's certificate names, then SigV4 with one of the tenant's credentials, then the memory of signatures. See caller.ts.
 */
import { parseAuthorization, verifySignature } from '../../http/sigv4.ts'
import type { HttpRequest, Peer } from '../../http/types.ts'
import type { Replica } from '../../store/replica.ts'
import type { Tenant } from '../keys/tenants.ts'
import { type AuthenticatedCaller, verified } from './caller.ts'
import type { ReplayMemory } from './replay.ts'

/** Why a request is nobody's. It stands in the counted records; callers are told less. */
export type AuthenticationFailure =
  | 'ClientCertificate'
  | 'MissingSignature'
  | 'MalformedSignature'
  | 'SessionToken'
  | 'UnknownCredential'
  | 'InvalidSignature'
  | 'WrongDate'
  | 'WrongService'
  | 'Replayed'

export type Authentication =
  | { readonly kind: 'caller'; readonly caller: AuthenticatedCaller }
  /** Authentic, and to be signed and sent once more: memory of signatures is full, or began after the request was signed. */
  | { readonly kind: 'busy'; readonly caller: AuthenticatedCaller }
  | { readonly kind: 'failed'; readonly reason: AuthenticationFailure; readonly message: string }

export interface Authenticator {
  readonly protocol: string
  /** The service of the credential scope. */
  readonly service: string
  readonly replica: Pick<Replica, 'get' | 'peek' | 'secret' | 'peekSecret'>
  readonly replay: ReplayMemory
  /** Real time in milliseconds since 1970. */
  readonly now: () => number
}

/** One text for a credential that does not exist and a signature that is wrong: which of them it was is nobody's to know. */
const NO_MATCH = 'The signature does not match. Check the access key id and the secret access key of this path.'

/** Rejects only where the boundary or the store cannot be asked (BoundaryError). */
export async function authenticate(
  authenticator: Authenticator,
  request: HttpRequest,
  tenant: Tenant,
): Promise<Authentication> {
  if (!maySpeakFor(tenant, request.peer))
    return failed('ClientCertificate', 'The client certificate is not one of this path.')
  const parsed = parseAuthorization(request.headers)
  if (!parsed.ok) {
    const missing = parsed.code === 'MissingAuthenticationToken'
    return failed(missing ? 'MissingSignature' : 'MalformedSignature', parsed.message)
  }
  if (parsed.sessionToken) return failed('SessionToken', 'Session tokens are not accepted.')
  const secret = await secretOf(authenticator, parsed.accessKeyId, tenant)
  if (secret === undefined) return failed('UnknownCredential', NO_MATCH)
  const { service, now } = authenticator
  const result = verifySignature(parsed, request, secret, { service, now: now() })
  if (!result.ok) {
    switch (result.code) {
      case 'SignatureExpired':
      case 'NotYetCurrent':
        return failed('WrongDate', 'X-Amz-Date is more than five minutes from this clock.')
      case 'WrongService':
        return failed('WrongService', `The credential scope must name the service ${service}.`)
      case 'InvalidSignature':
        return failed('InvalidSignature', NO_MATCH)
      default:
        return failed('MalformedSignature', result.message)
    }
  }
  const verdict = authenticator.replay.judge({
    accessKeyId: parsed.accessKeyId,
    signature: parsed.signature,
    signedAt: readAmzDate(parsed.amzDate),
    credentialCreated: tenant.credentials[parsed.accessKeyId]?.created ?? 0,
    peer: request.peer?.fingerprint ?? request.remoteAddress,
  })
  if (verdict === 'replayed')
    return failed('Replayed', 'This very request was answered before: sign each request anew.')
  const caller = verified({
    protocol: authenticator.protocol,
    tenant: tenant.name,
    principal: parsed.accessKeyId,
    credentialId: parsed.accessKeyId,
    region: parsed.region,
    sourceIp: request.remoteAddress,
    peerName: peerName(request.peer),
    userAgent: request.headers['user-agent'] ?? '',
  })
  return { kind: verdict === 'full' || verdict === 'early' ? 'busy' : 'caller', caller }
}

function failed(reason: AuthenticationFailure, message: string): Authentication {
  return { kind: 'failed', reason, message }
}

function maySpeakFor(tenant: Tenant, peer: Peer | undefined): boolean {
  if (tenant.clients.length === 0) return true
  if (peer === undefined) return false
  return [peer.commonName, ...peer.dnsNames, ...peer.uris].some(name => name !== '' && tenant.clients.includes(name))
}

function peerName(peer: Peer | undefined): string {
  return peer === undefined ? '' : peer.commonName || peer.dnsNames[0] || peer.uris[0] || peer.fingerprint
}

/** The secret of a credential of this very tenant: another tenant's is not even tried. */
async function secretOf({ replica }: Authenticator, accessKeyId: string, tenant: Tenant) {
  if (!Object.hasOwn(tenant.credentials, accessKeyId)) return undefined
  const row = replica.peek('credential', accessKeyId) ?? (await replica.get('credential', accessKeyId))
  if (row === undefined || row.scope !== tenant.name) return undefined
  return replica.peekSecret('credential', accessKeyId) ?? (await replica.secret('credential', accessKeyId))
}

/** `yyyymmddThhmmssZ`, whose form was checked, in milliseconds since 1970. */
export function readAmzDate(text: string): number {
  const part = (from: number, to: number) => Number(text.slice(from, to))
  return Date.UTC(part(0, 4), part(4, 6) - 1, part(6, 8), part(9, 11), part(11, 13), part(13, 15))
}
