/**
 * The errors of the EKM proxy API 0.1-preview ("Error response"), as data: `code` and `message`. The documentation has no closed list of codes: those that
 * it names are these, and each other status that it names has one.
 */
import type { Reply } from '../../../http/types.ts'
import { ProtocolError } from '../error.ts'

export const AZURE_ERRORS = {
  InvalidRequest: 400,
  UnsupportedAlgorithm: 400,
  UnsupportedApiVersion: 400,
  Unauthorized: 401,
  Forbidden: 403,
  KeyDisabled: 403,
  OperationNotAllowed: 403,
  KeyNotFound: 404,
  NotFound: 404,
  MethodNotAllowed: 405,
  RequestTimeout: 408,
  TooManyRequests: 429,
  InternalError: 500,
  ServiceUnavailable: 503,
} as const
export type AzureErrorCode = keyof typeof AZURE_ERRORS

export class AzureError extends ProtocolError<AzureErrorCode> {}

export const JSON_HEADERS = { 'Content-Type': 'application/json' }
/** Seconds; the troubleshooting page tells callers to respect it. */
const COME_BACK = { ...JSON_HEADERS, 'Retry-After': '1' }
const HEADERS: Partial<Record<AzureErrorCode, Reply['headers']>> = {
  MethodNotAllowed: { ...JSON_HEADERS, Allow: 'POST' },
  TooManyRequests: COME_BACK,
  ServiceUnavailable: COME_BACK,
}

export function errorReply(code: AzureErrorCode, message: string): Reply {
  return {
    status: AZURE_ERRORS[code],
    headers: HEADERS[code] ?? JSON_HEADERS,
    body: JSON.stringify({ code, message }),
  }
}

export function jsonReply(body: object): Reply {
  return { status: 200, headers: JSON_HEADERS, body: JSON.stringify(body) }
}
