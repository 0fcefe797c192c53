/**
 * The XKS proxy API v1, from a whole HTTP request to a reply. The order of checks is that of the table in `handle`: path, method, (size: the
 * listener), signature, body, and from there the core's: key, state and usage, policy, boundary.
 */
import type { Handler, HttpErrorKind, HttpRequest, Reply } from '../../../http/types.ts'
import type { Replica } from '../../../store/replica.ts'
import { type Authenticator, authenticate } from '../../access/authenticate.ts'
import type { AuthenticatedCaller } from '../../access/caller.ts'
import type { Core, CoreErrorCode } from '../../core.ts'
import { readTenant } from '../../keys/tenants.ts'
import { type Answer, answer } from '../answer.ts'
import { errorReply, METHOD_NOT_ALLOWED, type XksErrorName } from './errors.ts'
import { OPERATIONS } from './operations.ts'
import { parseBody, parseClaims } from './request.ts'
import { parsePath, type XksRoute } from './route.ts'

export const XKS_PROTOCOL = 'xks'
/** The service in the credential scope ("Appendix A"). */
export const XKS_SERVICE = 'kms-xks-proxy'

/** What each failure of the core is called here ("Error codes"). */
export const ERROR_NAMES: Readonly<Record<CoreErrorCode, XksErrorName>> = {
  KeyUnknown: 'KeyNotFoundException',
  KeyRevoked: 'InvalidStateException',
  UsageForbidden: 'InvalidKeyUsageException',
  BadRequest: 'ValidationException',
  PolicyDenied: 'AccessDeniedException',
  Held: 'AccessDeniedException',
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
  readonly onAnswer: (operation: string, outcome: string, seconds: number) => void
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

function authenticated(
  options: XksOptions,
  request: HttpRequest,
  route: XksRoute,
  caller: AuthenticatedCaller,
  busy: boolean,
): Promise<Answer<Reply>> {
  const { core, onDefect } = options
  const requestId = options.nextRequestId()
  return answer({
    core,
    busy,
    onDefect,
    call: claims => ({
      caller,
      claims,
      operation: route.operation,
      keyId: route.keyId,
      requestId,
      errorNames: ERROR_NAMES,
    }),
    run: async told => {
      const members = parseBody(request.body)
      return OPERATIONS[route.operation](core, told(parseClaims(members, route.operation)), members)
    },
    refusal: (name, message) => errorReply(name as XksErrorName, message),
  })
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
