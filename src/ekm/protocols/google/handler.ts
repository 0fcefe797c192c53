/**
 * Wrap and unwrap of Google Cloud EKM, as far as STET's public protos and Google's documentation give the wire: experimental, and untested against Google. The
 * order of checks: path, token, body, and from there the core's: key, state and usage, policy, boundary.
 */
import type { Handler, HttpRequest, Reply } from '../../../http/types.ts'
import type { AuthenticatedCaller } from '../../access/caller.ts'
import { authenticateServiceAccount, type ServiceAccountTenant } from '../../access/service-account.ts'
import type { Call, Core } from '../../core.ts'
import { type Answer, answer } from '../answer.ts'
import { BLOB_OVERHEAD, blobAad, decodeBlob, encodeBlob } from '../blob.ts'
import type { Members } from '../members.ts'
import { type Denials, ERROR_NAMES, errorReply, type GoogleErrorName, invalid, JSON_HEADERS } from './errors.ts'
import { MAX_PLAINTEXT, parseAad, parseBytes, parseClaims, parseMessage } from './request.ts'
import { type GoogleOperation, type GoogleRoute, parsePath } from './route.ts'

export const GOOGLE_PROTOCOL = 'google'

export interface GoogleTenant extends ServiceAccountTenant {
  readonly denials: Denials
}

export interface GoogleOptions {
  readonly core: Core
  readonly tenants: ReadonlyMap<string, GoogleTenant>
  readonly nextRequestId: () => string
  readonly onStranger: (reason: string, address: string) => void
  readonly onAnswer: (operation: string, outcome: string, seconds: number) => void
  readonly onDefect: (error: unknown, requestId?: string) => void
}

export function googleHandler(options: GoogleOptions): Handler {
  return request => handle(options, request)
}

async function handle(options: GoogleOptions, request: HttpRequest): Promise<Reply> {
  const begun = performance.now()
  const stranger = (reason: string, name: GoogleErrorName, message: string): Reply => {
    options.onStranger(reason, request.remoteAddress)
    return errorReply(name, message)
  }
  const route = request.method === 'POST' ? parsePath(request.rawPath) : undefined
  if (route === undefined) return stranger('InvalidUriPath', 'NOT_FOUND', 'There is no key at this path.')
  if (route === 'unimplemented')
    return stranger('Unimplemented', 'UNIMPLEMENTED', 'Of Cloud EKM only wrap and unwrap are spoken.')
  const tenant = options.tenants.get(route.tenant)
  // Whether there is such a tenant is nobody's to know who has no token for it. Not 403: Google would disable the key version.
  const refused = 'A token of a service account that is named for this path is needed.'
  if (tenant === undefined) return stranger('InvalidUriPath', 'UNAUTHENTICATED', refused)
  const verdict = await authenticateServiceAccount(GOOGLE_PROTOCOL, tenant, request)
  if (!verdict.ok) {
    if (verdict.reason === 'TokenKeysUnavailable')
      return stranger(verdict.reason, 'UNAVAILABLE', 'The keys of the issuer of tokens cannot be had; try again.')
    return stranger(verdict.reason, 'UNAUTHENTICATED', refused)
  }
  const { outcome, reply } = await authenticated(options, request, route, tenant, verdict.caller)
  options.onAnswer(route.operation, outcome, (performance.now() - begun) / 1000)
  return reply
}

function authenticated(
  { core, nextRequestId, onDefect }: GoogleOptions,
  request: HttpRequest,
  { operation, keyId }: GoogleRoute,
  { denials }: GoogleTenant,
  caller: AuthenticatedCaller,
): Promise<Answer<Reply>> {
  const requestId = nextRequestId()
  const errorNames = ERROR_NAMES[denials]
  return answer({
    core,
    busy: false,
    onDefect,
    call: claims => ({ caller, claims, operation, keyId, requestId, errorNames }),
    run: async told => {
      const members = parseMessage(request.body)
      return OPERATIONS[operation](core, told(parseClaims(members)), members)
    },
    refusal: (name, message) => errorReply(name as GoogleErrorName, message),
  })
}

/** What a blob is bound to beside its tenant and key. */
function boundTo({ caller, keyId }: Call, members: Members): Buffer {
  const aad = blobAad(GOOGLE_PROTOCOL, caller.tenant, keyId, [parseAad(members)])
  if (aad === undefined) throw invalid('additionalAuthenticatedData is longer than this service takes.')
  return aad
}

export const OPERATIONS: Readonly<
  Record<GoogleOperation, (core: Core, call: Call, members: Members) => Promise<Reply>>
> = {
  wrap: async (core, call, members) => {
    const plaintext = parseBytes(members, 'plaintext', MAX_PLAINTEXT)
    const made = await core.encrypt(call, plaintext, boundTo(call, members), false).finally(() => plaintext.fill(0))
    return ok(`{"wrappedBlob":"${encodeBlob(GOOGLE_PROTOCOL, made).toString('base64')}"}`)
  },
  unwrap: async (core, call, members) => {
    const blob = decodeBlob(GOOGLE_PROTOCOL, parseBytes(members, 'wrappedBlob', MAX_PLAINTEXT + BLOB_OVERHEAD))
    if (blob === undefined) throw invalid('wrappedBlob is not what this key has made.')
    const plaintext = await core.decrypt(call, blob, boundTo(call, members))
    // No allowedCacheDuration: Google is to keep nothing, and to ask again.
    const reply = ok(`{"plaintext":"${plaintext.toString('base64')}"}`)
    plaintext.fill(0)
    return reply
  },
}

function ok(body: string): Reply {
  return { status: 200, headers: JSON_HEADERS, body }
}
