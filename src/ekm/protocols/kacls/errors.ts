/**
 * The errors of Google Workspace client-side encryption, as data, and their form ("Structured error replies"): the HTTP status as `code`, a message, and
 * Holdfast's own name of the error as `details`.
 */
import type { HttpErrorKind, Reply } from '../../../http/types.ts'
import type { CoreErrorCode } from '../../core.ts'
import { ProtocolError } from '../error.ts'

export const KACLS_ERRORS = {
  InvalidRequest: 400,
  Unauthorized: 401,
  Forbidden: 403,
  KeyRevoked: 403,
  KeyNotFound: 404,
  NotFound: 404,
  MethodNotAllowed: 405,
  TooManyRequests: 429,
  InternalError: 500,
  NotImplemented: 501,
  Unavailable: 503,
} as const
export type KaclsErrorName = keyof typeof KACLS_ERRORS

export class KaclsError extends ProtocolError<KaclsErrorName> {}

export const invalid = (message: string): KaclsError => new KaclsError('InvalidRequest', message)
/** A rule of the owner's, or of the protocol, refuses what would be possible. */
export const denied = (message: string): KaclsError => new KaclsError('Forbidden', message, 'denied')

/** What each failure of the core is called here. */
export const ERROR_NAMES: Readonly<Record<CoreErrorCode, KaclsErrorName>> = {
  KeyUnknown: 'KeyNotFound',
  KeyRevoked: 'KeyRevoked',
  UsageForbidden: 'InvalidRequest',
  BadRequest: 'InvalidRequest',
  PolicyDenied: 'Forbidden',
  Held: 'Forbidden',
  BadCiphertext: 'InvalidRequest',
  KeyExhausted: 'KeyRevoked',
  Busy: 'TooManyRequests',
  Unavailable: 'Unavailable',
  Internal: 'InternalError',
}

const JSON_HEADERS = { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' }

export function jsonReply(body: object): Reply {
  return { status: 200, headers: JSON_HEADERS, body: JSON.stringify(body) }
}

export function errorReply(
  name: KaclsErrorName,
  message: string,
  headers: Readonly<Record<string, string>> = {},
): Reply {
  const code = KACLS_ERRORS[name]
  return {
    status: code,
    headers: { ...JSON_HEADERS, ...headers },
    body: JSON.stringify({ code, message, details: name }),
  }
}

/** What the listener refuses by itself, in this protocol's form. */
const LISTENER_ERRORS: Readonly<Record<HttpErrorKind, readonly [KaclsErrorName, string]>> = {
  TooLarge: ['InvalidRequest', 'The request is larger than any that this API needs.'],
  Timeout: ['InvalidRequest', 'The request did not arrive in time.'],
  BadRequest: ['InvalidRequest', 'This is not an HTTP request that can be read.'],
  Overloaded: ['TooManyRequests', 'Too many requests are being handled; try again.'],
  Unavailable: ['Unavailable', 'The key manager is stopping; try again.'],
  Internal: ['InternalError', 'The key manager failed; its operator finds the cause in its log.'],
}

export function kaclsListenerError(kind: HttpErrorKind): Reply {
  const [name, message] = LISTENER_ERRORS[kind]
  return errorReply(name, message)
}
