/**
 * The errors of double key encryption, as data. The protocol has statuses and no names: those here are Holdfast's, for its records and for whoever reads an
 * answer. What is wrong with a request is 400, an unknown key too, as Microsoft's sample service has it.
 */
import type { HttpErrorKind, Reply } from '../../../http/types.ts'
import type { CoreErrorCode } from '../../core.ts'
import { ProtocolError } from '../error.ts'

export const DKE_ERRORS = {
  InvalidRequest: 400,
  KeyNotFound: 400,
  Unauthorized: 401,
  Forbidden: 403,
  KeyRevoked: 403,
  NotFound: 404,
  MethodNotAllowed: 405,
  TooManyRequests: 429,
  InternalError: 500,
  Unavailable: 503,
} as const
export type DkeErrorName = keyof typeof DKE_ERRORS

export class DkeError extends ProtocolError<DkeErrorName> {}

export const invalid = (message: string): DkeError => new DkeError('InvalidRequest', message)

/** What each failure of the core is called here. */
export const ERROR_NAMES: Readonly<Record<CoreErrorCode, DkeErrorName>> = {
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

export function errorReply(name: DkeErrorName, message: string, headers: Readonly<Record<string, string>> = {}): Reply {
  return {
    status: DKE_ERRORS[name],
    headers: { ...JSON_HEADERS, ...headers },
    body: JSON.stringify({ code: name, message }),
  }
}

/** What the listener refuses by itself, in this protocol's form. */
const LISTENER_ERRORS: Readonly<Record<HttpErrorKind, readonly [DkeErrorName, string]>> = {
  TooLarge: ['InvalidRequest', 'The request is larger than any that this API needs.'],
  Timeout: ['InvalidRequest', 'The request did not arrive in time.'],
  BadRequest: ['InvalidRequest', 'This is not an HTTP request that can be read.'],
  Overloaded: ['TooManyRequests', 'Too many requests are being handled; try again.'],
  Unavailable: ['Unavailable', 'The key manager is stopping; try again.'],
  Internal: ['InternalError', 'The key manager failed; its operator finds the cause in its log.'],
}

export function dkeListenerError(kind: HttpErrorKind): Reply {
  const [name, message] = LISTENER_ERRORS[kind]
  return errorReply(name, message)
}
