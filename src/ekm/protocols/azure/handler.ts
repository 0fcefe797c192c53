/**
 * The EKM proxy API 0.1-preview of Azure Managed HSM, from a whole HTTP request to a reply. The order of checks: path, method, (size and the certificate's
 * root: the listener), the certificate's name, version, body, and from there the core's: key, state and usage, policy, boundary.
 */
import type { Handler, HttpErrorKind, HttpRequest, Reply } from '../../../http/types.ts'
import type { Replica } from '../../../store/replica.ts'
import type { AuthenticatedCaller } from '../../access/caller.ts'
import { certificateCaller } from '../../access/connection.ts'
import type { Core, CoreErrorCode } from '../../core.ts'
import { readTenant } from '../../keys/tenants.ts'
import { type Answer, answer } from '../answer.ts'
import { readObject } from '../members.ts'
import { AzureError, type AzureErrorCode, errorReply } from './errors.ts'
import { OPERATIONS } from './operations.ts'
import { invalid, parseClaims } from './request.ts'
import { API_VERSION, type AzureRoute, isOurVersion, parsePath } from './route.ts'

export const AZURE_PROTOCOL = 'azure'

/** What each failure of the core is called here. */
export const ERROR_CODES: Readonly<Record<CoreErrorCode, AzureErrorCode>> = {
  KeyUnknown: 'KeyNotFound',
  KeyRevoked: 'KeyDisabled',
  UsageForbidden: 'OperationNotAllowed',
  BadRequest: 'InvalidRequest',
  PolicyDenied: 'Forbidden',
  Held: 'Forbidden',
  BadCiphertext: 'InvalidRequest',
  KeyExhausted: 'OperationNotAllowed',
  Busy: 'TooManyRequests',
  Unavailable: 'ServiceUnavailable',
  Internal: 'InternalError',
}

export interface AzureOptions {
  readonly core: Core
  readonly replica: Pick<Replica, 'get' | 'peek'>
  /** Unique for each request of this process. */
  readonly nextRequestId: () => string
  /** A request of nobody who is known, with a reason out of a table. */
  readonly onStranger: (reason: string, address: string) => void
  /** Every other, when it is answered: `ok` or the code of the error, and how long it took. */
  readonly onAnswer: (operation: string, outcome: string, seconds: number) => void
  readonly onDefect: (error: unknown, requestId?: string) => void
}

export function azureHandler(options: AzureOptions): Handler {
  return request => handle(options, request)
}

async function handle(options: AzureOptions, request: HttpRequest): Promise<Reply> {
  const begun = performance.now()
  const stranger = (reason: string, code: AzureErrorCode, message: string): Reply => {
    options.onStranger(reason, request.remoteAddress)
    return errorReply(code, message)
  }
  try {
    const route = parsePath(request.rawPath)
    if (route === undefined)
      return stranger(
        'InvalidUriPath',
        'NotFound',
        'This is no path of the EKM proxy API: prefixes and keys are of letters, digits and hyphens.',
      )
    if (request.method !== 'POST') return stranger('MethodNotAllowed', 'MethodNotAllowed', 'Every operation is a POST.')
    const caller = await callerOf(options, request, route)
    if (caller === undefined)
      return stranger(
        'ClientCertificate',
        'Unauthorized',
        'There is no tenant at this path that admits this client certificate.',
      )
    const { outcome, reply } = await authenticated(options, request, route, caller)
    options.onAnswer(route.operation, outcome, (performance.now() - begun) / 1000)
    return reply
  } catch (error) {
    // Only asking the boundary or the store can fail here, before anyone is authenticated.
    options.onDefect(error)
    return errorReply('ServiceUnavailable', 'The key manager does not answer; try again.')
  }
}

/** Whether there is no such tenant, or it is another's, is nobody's to know: every customer of the provider has a certificate under the same root. */
async function callerOf(
  { replica }: AzureOptions,
  { peer, remoteAddress, headers }: HttpRequest,
  { tenant }: AzureRoute,
): Promise<AuthenticatedCaller | undefined> {
  const row = replica.peek('tenant', tenant) ?? (await replica.get('tenant', tenant))
  if (row === undefined || peer === undefined) return undefined
  return certificateCaller(AZURE_PROTOCOL, readTenant(row), peer, remoteAddress, headers['user-agent'] ?? '')
}

function authenticated(
  options: AzureOptions,
  request: HttpRequest,
  { operation, keyId }: AzureRoute,
  caller: AuthenticatedCaller,
): Promise<Answer<Reply>> {
  const { core, onDefect } = options
  const requestId = options.nextRequestId()
  return answer({
    core,
    busy: false,
    onDefect,
    call: claims => ({ caller, claims, operation, keyId, requestId, errorNames: ERROR_CODES }),
    run: async told => {
      if (!isOurVersion(request.query))
        throw new AzureError('UnsupportedApiVersion', `api-version must be given once, and be ${API_VERSION}.`)
      const members = readObject(request.body, invalid)
      return OPERATIONS[operation](core, told(parseClaims(members)), members)
    },
    refusal: (name, message) => errorReply(name as AzureErrorCode, message),
  })
}

/** What the listener refuses by itself, in this protocol's form. */
const LISTENER_ERRORS: Readonly<Record<HttpErrorKind, readonly [AzureErrorCode, string]>> = {
  TooLarge: ['InvalidRequest', 'The request is larger than any that this API needs.'],
  Timeout: ['RequestTimeout', 'The request did not arrive in time.'],
  BadRequest: ['InvalidRequest', 'This is not an HTTP request that can be read.'],
  Overloaded: ['TooManyRequests', 'Too many requests are being handled; try again.'],
  Unavailable: ['ServiceUnavailable', 'The key manager is stopping; try again.'],
  Internal: ['InternalError', 'The key manager failed; its operator finds the cause in its log.'],
}

export function azureListenerError(kind: HttpErrorKind): Reply {
  return errorReply(...LISTENER_ERRORS[kind])
}
