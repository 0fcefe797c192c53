/**
 * The errors of the XKS proxy API v1 ("Error codes"), as data, and their form on the wire: `errorName` and an `errorMessage` of fewer than
 * 512 printable ASCII characters, which tells whoever runs the provider's side what to do, and nothing about secrets or the machine.
 */
import type { Reply } from '../../../http/types.ts'
import { ProtocolError } from '../error.ts'

export const XKS_ERRORS = {
  ValidationException: 400,
  InvalidStateException: 400,
  InvalidCiphertextException: 400,
  InvalidKeyUsageException: 400,
  AuthenticationFailedException: 401,
  AccessDeniedException: 403,
  KeyNotFoundException: 404,
  InvalidUriPathException: 404,
  ThrottlingException: 429,
  InternalException: 500,
  UnsupportedOperationException: 501,
  DependencyTimeoutException: 503,
} as const
export type XksErrorName = keyof typeof XKS_ERRORS

const MAX_MESSAGE = 511

export class XksError extends ProtocolError<XksErrorName> {}

const JSON_HEADERS = { 'Content-Type': 'application/json' }

/** Printable ASCII only (0x20..0x7e), fewer than 512 characters; anything else becomes `?`. */
export function errorMessage(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?').slice(0, MAX_MESSAGE)
}

export function errorReply(name: XksErrorName, message: string): Reply {
  return {
    status: XKS_ERRORS[name],
    headers: JSON_HEADERS,
    body: JSON.stringify({ errorName: name, errorMessage: errorMessage(message) }),
  }
}

/** All four operations are POST, and this is the one refusal without a body ("API operations": GET must give 405). */
export const METHOD_NOT_ALLOWED: Reply = { status: 405, headers: { Allow: 'POST' }, body: '' }

export function jsonReply(body: object): Reply {
  return { status: 200, headers: JSON_HEADERS, body: JSON.stringify(body) }
}
