/**
 * Errors in the form of Google's own APIs (google.rpc.Status as JSON), since the form that Cloud EKM wants is not public. What is public is what it makes of a
 * status: PERMISSION_DENIED on a key has it disable the key version, which its owner then has to undo there; so that is said of nothing that passes.
 */
import type { HttpErrorKind, Reply } from '../../../http/types.ts'
import type { CoreErrorCode } from '../../core.ts'
import { ProtocolError } from '../error.ts'

/** HTTP status of each name of google.rpc.Code that is used here. */
export const GOOGLE_ERRORS = {
  INVALID_ARGUMENT: 400,
  FAILED_PRECONDITION: 400,
  UNAUTHENTICATED: 401,
  PERMISSION_DENIED: 403,
  NOT_FOUND: 404,
  RESOURCE_EXHAUSTED: 429,
  INTERNAL: 500,
  UNIMPLEMENTED: 501,
  UNAVAILABLE: 503,
} as const
export type GoogleErrorName = keyof typeof GOOGLE_ERRORS

export class GoogleError extends ProtocolError<GoogleErrorName> {}

export const invalid = (message: string): GoogleError => new GoogleError('INVALID_ARGUMENT', message)

const NAMES: Readonly<Record<CoreErrorCode, GoogleErrorName>> = {
  KeyUnknown: 'NOT_FOUND',
  // May be restored, and then nothing is to be undone at Google.
  KeyRevoked: 'FAILED_PRECONDITION',
  UsageForbidden: 'FAILED_PRECONDITION',
  BadRequest: 'INVALID_ARGUMENT',
  PolicyDenied: 'PERMISSION_DENIED',
  Held: 'FAILED_PRECONDITION',
  BadCiphertext: 'INVALID_ARGUMENT',
  KeyExhausted: 'FAILED_PRECONDITION',
  Busy: 'RESOURCE_EXHAUSTED',
  Unavailable: 'UNAVAILABLE',
  Internal: 'INTERNAL',
}

/** How a tenant wants denials by its policy to be told. */
export type Denials = 'PERMISSION_DENIED' | 'FAILED_PRECONDITION'

/** What each failure of the core is called here. */
export const ERROR_NAMES: Readonly<Record<Denials, typeof NAMES>> = {
  PERMISSION_DENIED: NAMES,
  FAILED_PRECONDITION: { ...NAMES, PolicyDenied: 'FAILED_PRECONDITION' },
}

export const JSON_HEADERS = { 'Content-Type': 'application/json' }
const COME_BACK = { ...JSON_HEADERS, 'Retry-After': '1' }
const HEADERS: Partial<Record<GoogleErrorName, Reply['headers']>> = {
  UNAUTHENTICATED: { ...JSON_HEADERS, 'WWW-Authenticate': 'Bearer' },
  RESOURCE_EXHAUSTED: COME_BACK,
  UNAVAILABLE: COME_BACK,
}

export function errorReply(name: GoogleErrorName, message: string): Reply {
  const code = GOOGLE_ERRORS[name]
  return {
    status: code,
    headers: HEADERS[name] ?? JSON_HEADERS,
    body: JSON.stringify({ error: { code, message, status: name } }),
  }
}

/** What the listener refuses by itself, in this protocol's form. */
const LISTENER_ERRORS: Readonly<Record<HttpErrorKind, readonly [GoogleErrorName, string]>> = {
  TooLarge: ['INVALID_ARGUMENT', 'The request is larger than any that this API needs.'],
  Timeout: ['INVALID_ARGUMENT', 'The request did not arrive in time.'],
  BadRequest: ['INVALID_ARGUMENT', 'This is not an HTTP request that can be read.'],
  Overloaded: ['RESOURCE_EXHAUSTED', 'Too many requests are being handled; try again.'],
  Unavailable: ['UNAVAILABLE', 'The key manager is stopping; try again.'],
  Internal: ['INTERNAL', 'The key manager failed; its operator finds the cause in its log.'],
}

export function googleListenerError(kind: HttpErrorKind): Reply {
  return errorReply(...LISTENER_ERRORS[kind])
}
