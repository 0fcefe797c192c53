/**
 * WrapRequest and UnwrapRequest (STET's public protos) in proto3's JSON: a member by its JSON name or its proto name, null as if it were not there, defaults
 * left out. Where that form allows several texts for some bytes, one is taken: canonical standard Base64, as every writer of it makes.
 */
import type { Claims } from '../../access/claims.ts'
import { type ReasonCode, reasonCode } from '../../access/reasons.ts'
import { base64, isObject, type Members, own, readObject, string } from '../members.ts'
import { invalid } from './errors.ts'

/** What the boundary takes; Cloud KMS itself takes no more in one request. */
export const MAX_PLAINTEXT = 64 * 1024
/** Of `additionalAuthenticatedData`, beside what else a blob is bound to. */
const MAX_AAD = 64 * 1024
const MAX_NAME = 2048
/** Both in Base64, and the names. */
export const MAX_BODY = 256 * 1024

/** By JSON name; the proto has the other. */
const NAMES = {
  plaintext: 'plaintext',
  wrappedBlob: 'wrapped_blob',
  additionalContext: 'additional_context',
  additionalAuthenticatedData: 'additional_authenticated_data',
  fullResourceName: 'full_resource_name',
  relativeResourceName: 'relative_resource_name',
  accessReasonContext: 'access_reason_context',
  reason: 'reason',
  isKeyHealthCheck: 'is_key_health_check',
} as const
type Name = keyof typeof NAMES

/** Only what was sent and is not null, each by its JSON name. */
function fields(members: Members, names: readonly Name[]): Members {
  const found: Record<string, unknown> = {}
  for (const name of names) {
    const ours = own(members, name) ?? undefined
    const theirs = NAMES[name] === name ? undefined : (own(members, NAMES[name]) ?? undefined)
    if (ours !== undefined && theirs !== undefined) throw invalid(`${name} is given twice.`)
    const value = ours ?? theirs
    if (value !== undefined) found[name] = value
  }
  return found
}

const EMPTY = Buffer.alloc(0)
const NONE: Members = {}

/** The message's own fields. Which key it is, the path says; `keyPath` and `keyUriPrefix` only repeat it. Throws GoogleError. */
export function parseMessage(body: Buffer): Members {
  return fields(readObject(body, invalid), [
    'plaintext',
    'wrappedBlob',
    'additionalContext',
    'additionalAuthenticatedData',
  ])
}

function message(members: Members, name: Name): Members {
  const value = members[name]
  if (value === undefined) return NONE
  if (!isObject(value)) throw invalid(`${name} is not an object.`)
  return value
}

/** What Google asserts of the request (RequestContext). Throws GoogleError. */
export function parseClaims(members: Members): Claims {
  const context = fields(message(members, 'additionalContext'), [
    'fullResourceName',
    'relativeResourceName',
    'accessReasonContext',
    'isKeyHealthCheck',
  ])
  const nameOf = (name: Name) => (name in context ? string(context, name, MAX_NAME, invalid) : undefined)
  const keyArn = nameOf('fullResourceName') ?? nameOf('relativeResourceName')
  const { isKeyHealthCheck = false } = context
  if (typeof isKeyHealthCheck !== 'boolean') throw invalid('isKeyHealthCheck is not true or false.')
  const reason = readReason(fields(message(context, 'accessReasonContext'), ['reason']).reason)
  return {
    ...(keyArn === undefined ? {} : { keyArn, ...placeOf(keyArn) }),
    ...(reason === undefined ? {} : { reason }),
    // A claim, too: whoever may ask could put it on any request, so that it excuses from nothing.
    ...(isKeyHealthCheck ? { operation: 'isKeyHealthCheck' } : {}),
  }
}

const MAX_REASON = 64

/** The code; of one that nobody knows what was sent, for the record. Undefined where there is none: zero is left out by whoever writes. */
function readReason(sent: unknown): string | undefined {
  if (sent === undefined) return undefined
  if (typeof sent === 'number' ? !Number.isInteger(sent) : typeof sent !== 'string' || sent.length > MAX_REASON)
    throw invalid('accessReasonContext.reason is neither a name nor a number.')
  const code: ReasonCode = reasonCode(sent as string | number)
  if (code === 'REASON_UNSPECIFIED') return undefined
  return code === 'REASON_UNKNOWN' ? String(sent) : code
}

const PLACE = /(?:^|\/)projects\/([^/]{1,128})\/locations\/([^/]{1,64})(?:\/|$)/

/** Project and location in a resource name of Cloud KMS. */
function placeOf(name: string): Pick<Claims, 'account' | 'region'> {
  const [, account, region] = PLACE.exec(name) ?? []
  return account === undefined || region === undefined ? {} : { account, region }
}

/** Absent equals empty, as in the proto. Throws GoogleError. */
export function parseAad(members: Members): Buffer {
  const { additionalAuthenticatedData: sent = '' } = members
  return sent === '' ? EMPTY : base64(members, 'additionalAuthenticatedData', MAX_AAD, invalid)
}

/** `max`: bytes. Throws GoogleError. */
export function parseBytes(members: Members, name: 'plaintext' | 'wrappedBlob', max: number): Buffer {
  return base64(members, name, max, invalid)
}
