/**
 * The XKS proxy API v1, from a whole HTTP request to a reply. The order of checks is that of the table in `handle`: path, method, (size: the
 * listener), signature, body, and from there the core's: key, state and usage, policy, boundary.
 */
import type { Handler, HttpErrorKind, HttpRequest, Reply } from '../../../http/types.ts'
import type { Replica } from '../../../store/replica.ts'
import { type AuthenticatedCaller, type Authenticator, authenticate } from '../../access/authenticate.ts'
import { type Claims, NO_CLAIMS } from '../../access/claims.ts'
import { type Call, type Core, CoreError, type CoreErrorCode } from '../../core.ts'
import { readTenant } from '../../keys/tenants.ts'
import { errorReply, METHOD_NOT_ALLOWED, XksError, type XksErrorName } from './errors.ts'
import { OPERATIONS } from './operations.ts'
import { parseBody, parseClaims } from './request.ts'
import { parsePath, type XksOperation, type XksRoute } from './route.ts'

export const XKS_PROTOCOL = 'xks'
/** The service in the credential scope ("Appendix A"). */
export const XKS_SERVICE = 'kms-xks-proxy'

/** What each failure of the core is called here ("Error codes"). */
export const ERROR_NAMES: Readonly<Record<CoreErrorCode, XksErrorName>> = {
  KeyUnknown: 'KeyNotFoundException',
  KeyRevoked: 'InvalidStateException',
  UsageForbidden: 'InvalidKeyUsageException',
  PolicyDenied: 'AccessDeniedException',
  BadCiphertext: 'InvalidCiphertextException',
  KeyExhausted: 'InvalidStateException',
  Busy: 'ThrottlingException',
  Unavailable: 'DependencyTimeoutException',
  Internal: 'InternalException',
}

export interface XksOptions {
  readonly core: Core
  readonly replica: Pick<Replica, 'get' | 'peek'>
  readonly authenticator: Authenticator
  /** Unique for each request of this process. */
  readonly nextRequestId: () => string
  /** A request of nobody who is known, with a reason out of a table. */
  readonly onStranger: (reason: string, address: string) => void
  /** Every other, when it is answered: `ok` or the name of the error, and how long it took. */
  readonly onAnswer: (operation: XksOperation, outcome: string, seconds: number) => void
  readonly onDefect: (error: unknown, requestId?: string) => void
}

export function xksHandler(options: XksOptions): Handler {
  return request => handle(options, request)
}

async function handle(options: XksOptions, request: HttpRequest): Promise<Reply> {
  const { replica, onStranger } = options
  const begun = performance.now()
  const stranger = (reason: string, reply: Reply): Reply => {
    onStranger(reason, request.remoteAddress)
    return reply
  }
  try {
    const route = parsePath(request.rawPath, request.query)
    const row = route && (replica.peek('tenant', route.tenant) ?? (await replica.get('tenant', route.tenant)))
    if (route === undefined || row === undefined)
      return stranger('InvalidUriPath', errorReply('InvalidUriPathException', 'There is no XKS proxy at this path.'))
    if (request.method !== 'POST') return stranger('MethodNotAllowed', METHOD_NOT_ALLOWED)
    const authentication = await authenticate(options.authenticator, request, readTenant(row))
    if (authentication.kind === 'failed')
      return stranger(authentication.reason, errorReply('AuthenticationFailedException', authentication.message))
    const { caller, kind } = authentication
    const { outcome, reply } = await authenticated(options, request, route, caller, kind === 'busy')
    options.onAnswer(route.operation, outcome, (performance.now() - begun) / 1000)
    return reply
  } catch (error) {
    // Only asking the boundary or the store can fail here, before anyone is authenticated.
    options.onDefect(error)
    return errorReply('DependencyTimeoutException', 'The key manager does not answer; try again.')
  }
}

interface Answer {
  readonly outcome: string
  readonly reply: Reply
}

const refusal = (name: XksErrorName, message: string): Answer => ({ outcome: name, reply: errorReply(name, message) })

async function authenticated(
  options: XksOptions,
  request: HttpRequest,
  route: XksRoute,
  caller: AuthenticatedCaller,
  busy: boolean,
): Promise<Answer> {
  const { core } = options
  const requestId = options.nextRequestId()
  const call = (claims: Claims): Call => ({
    caller,
    claims,
    operation: route.operation,
    keyId: route.keyId,
    requestId,
    errorNames: ERROR_NAMES,
  })
  let claims = NO_CLAIMS
  try {
    if (busy) return await core.busy(call(claims))
    const members = parseBody(request.body)
    claims = parseClaims(members, route.operation)
    return { outcome: 'ok', reply: await OPERATIONS[route.operation](core, call(claims), members) }
  } catch (error) {
    if (error instanceof CoreError) return refusal(ERROR_NAMES[error.code], error.message)
    if (!(error instanceof XksError)) options.onDefect(error, requestId)
    const { name, message } =
      error instanceof XksError ? error : new XksError('InternalException', 'The key manager failed.')
    try {
      await core.refused(call(claims), name)
    } catch (cause) {
      if (cause instanceof CoreError) return refusal(ERROR_NAMES[cause.code], cause.message)
      throw cause
    }
    return refusal(name, message)
  }
}

/** What the listener refuses by itself, in this protocol's form. */
const LISTENER_ERRORS: Readonly<Record<HttpErrorKind, readonly [XksErrorName, string]>> = {
  TooLarge: ['UnsupportedOperationException', 'The request is larger than any that this API needs.'],
  Timeout: ['ValidationException', 'The request did not arrive in time.'],
  BadRequest: ['ValidationException', 'This is not an HTTP request that can be read.'],
  Overloaded: ['ThrottlingException', 'Too many requests are being handled; try again.'],
  Unavailable: ['DependencyTimeoutException', 'The key manager is stopping; try again.'],
  Internal: ['InternalException', 'The key manager failed; its operator finds the cause in its log.'],
}

export function xksListenerError(kind: HttpErrorKind): Reply {
  const [name, message] = LISTENER_ERRORS[kind]
  return errorReply(name, message)
}
