/**
 * Validation of request bodies: presence, type and length, and no more. Identifiers of the provider are opaque, and members that nobody knows are passed over.
 */
import { EXTERNAL_WRAP_ALGORITHMS, type ExternalWrapAlgorithm } from '../../../boundary/algorithms.ts'
import type { Claims } from '../../access/claims.ts'
import { isObject, type Members, own } from '../members.ts'
import { decodeCanonical, encodedLength } from './base64url.ts'
import { AzureError } from './errors.ts'

/** What is wrapped are keys; of private keys the largest are some thousand bytes. */
export const MAX_VALUE = 4096
/** A256KWP of as many. */
export const MAX_WRAPPED = MAX_VALUE + 8
/** A whole request at every limit is below it; what is larger is refused unread. */
export const MAX_BODY = 16 * 1024
/** Characters of each id in `request_context`. */
const MAX_ID = 512

export interface KeyOperationBody {
  readonly algorithm: ExternalWrapAlgorithm
  readonly value: Buffer
}

/**
 * What the provider asserts ("Request context"). The record has one field for the provider's ids: the correlation id, by which Managed HSM links its logs,
 * and after it the id that its own client gave. Throws AzureError InvalidRequest.
 */
export function parseClaims(members: Members): Claims {
  const context = own(members, 'request_context')
  if (context === undefined) throw invalid('request_context is missing.')
  if (!isObject(context)) throw invalid('request_context is not an object.')
  const correlation = text(context, 'request_context', 'correlation_id', MAX_ID)
  const pool = text(context, 'request_context', 'pool_name', MAX_ID)
  const given = own(context, 'request_id') ?? undefined
  const requestId = given === undefined ? '' : text(context, 'request_context', 'request_id', MAX_ID)
  return { requestId: requestId === '' ? correlation : `${correlation} ${requestId}`, pool }
}

/** `max`: bytes of the value. Throws AzureError. */
export function parseKeyOperation(members: Members, max: number): KeyOperationBody {
  const algorithm = own(members, 'alg')
  if (algorithm === undefined) throw invalid('alg is missing.')
  if (typeof algorithm !== 'string') throw invalid('alg is not a string.')
  if (!Object.hasOwn(EXTERNAL_WRAP_ALGORITHMS, algorithm))
    throw new AzureError('UnsupportedAlgorithm', `alg must be one of ${ALGORITHMS}.`)
  const encoded = text(members, '', 'value', encodedLength(max))
  const value = decodeCanonical(encoded)
  if (value === undefined) throw invalid('value is not canonical base64url (RFC 7515, without padding).')
  if (value.length === 0) throw invalid('value is empty.')
  return { algorithm: algorithm as ExternalWrapAlgorithm, value }
}

const ALGORITHMS = Object.keys(EXTERNAL_WRAP_ALGORITHMS).join(', ')

function text(members: Members, within: string, name: string, max: number): string {
  const value = own(members, name)
  const path = within === '' ? name : `${within}.${name}`
  if (value === undefined) throw invalid(`${path} is missing.`)
  if (typeof value !== 'string') throw invalid(`${path} is not a string.`)
  if (value.length > max) throw invalid(`${path} is longer than ${max} characters.`)
  return value
}

export function invalid(message: string): AzureError {
  return new AzureError('InvalidRequest', message)
}
