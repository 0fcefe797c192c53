/**
 * Validation of request bodies: presence, type and length, and no more ("RequestMetadata fields"). Identifiers of the provider are opaque,
 * unknown operations are accepted, unknown fields are passed over; what is above the sizes of the specification is 501, as it demands.
 */
import { isUtf8 } from 'node:buffer'
import type { Claims } from '../../access/claims.ts'
import { decodeCanonical, encodedLength } from './base64.ts'
import { XksError } from './errors.ts'
import type { XksOperation } from './route.ts'

export const MAX_PLAINTEXT = 4300
export const MAX_AAD = 8192
export const MAX_METADATA = 20
export const TAG_BYTES = 16
const IV_BYTES: readonly number[] = [12, 16]

/** A whole request at every limit is below 40 KiB, escapes included; what is larger is refused unread. */
export const MAX_BODY = 64 * 1024

interface ClaimRule {
  readonly claim: keyof Claims
  /** Characters; ARNs must be supported up to 2048. */
  readonly max: number
  readonly requiredBy: readonly XksOperation[]
}

/** Members of `requestMetadata` ("Appendix B"), and the claim that each becomes. */
const METADATA_RULES: Readonly<Record<string, ClaimRule>> = {
  kmsRequestId: { claim: 'requestId', max: 512, requiredBy: ['health', 'metadata', 'encrypt', 'decrypt'] },
  kmsOperation: { claim: 'operation', max: 512, requiredBy: ['health', 'metadata', 'encrypt', 'decrypt'] },
  awsPrincipalArn: { claim: 'principal', max: 2048, requiredBy: ['metadata', 'encrypt', 'decrypt'] },
  kmsKeyArn: { claim: 'keyArn', max: 2048, requiredBy: ['encrypt', 'decrypt'] },
  kmsViaService: { claim: 'viaService', max: 512, requiredBy: [] },
  awsSourceVpc: { claim: 'sourceVpc', max: 512, requiredBy: [] },
  awsSourceVpce: { claim: 'sourceVpce', max: 512, requiredBy: [] },
}
const METADATA_ENTRIES = Object.entries(METADATA_RULES)

type Members = Readonly<Record<string, unknown>>

export interface EncryptBody {
  readonly plaintext: Buffer
  readonly aad: Buffer
  readonly integrity: boolean
}

export interface DecryptBody {
  readonly iv: Buffer
  readonly ciphertext: Buffer
  readonly tag: Buffer
  /** Empty where the caller sent none. */
  readonly metadata: Buffer
  readonly aad: Buffer
}

const EMPTY = Buffer.alloc(0)

/** The body as an object of members. Throws XksError ValidationException. */
export function parseBody(body: Buffer): Members {
  if (!isUtf8(body)) throw invalid('The body is not UTF-8.')
  let value: unknown
  try {
    value = JSON.parse(body.toString('utf8'))
  } catch {
    throw invalid('The body is not JSON.')
  }
  if (!isObject(value)) throw invalid('The body is not a JSON object.')
  return value
}

/** What the provider asserts of the request. Throws XksError. */
export function parseClaims(members: Members, operation: XksOperation): Claims {
  const metadata = own(members, 'requestMetadata')
  if (metadata === undefined) throw invalid('requestMetadata is missing.')
  if (!isObject(metadata)) throw invalid('requestMetadata is not an object.')
  const claims: { -readonly [C in keyof Claims]: string } = {}
  for (const [name, rule] of METADATA_ENTRIES) {
    const value = own(metadata, name)
    if (value === undefined) {
      if (rule.requiredBy.includes(operation)) throw invalid(`requestMetadata.${name} is missing.`)
      continue
    }
    if (typeof value !== 'string') throw invalid(`requestMetadata.${name} is not a string.`)
    if (value.length > rule.max) throw unsupported(`requestMetadata.${name}`, rule.max, 'characters')
    claims[rule.claim] = value
  }
  const account = accountOf(claims.principal) ?? accountOf(claims.keyArn)
  return account === undefined ? claims : { ...claims, account }
}

/** The account in an ARN; undefined where it has none, as services of the provider have. */
function accountOf(arn: string | undefined): string | undefined {
  const account = arn?.startsWith('arn:') ? arn.split(':', 5)[4] : undefined
  return account === '' ? undefined : account
}

/** Throws XksError. */
export function parseEncrypt(members: Members): EncryptBody {
  checkAlgorithm(members, 'encryptionAlgorithm', 'AES_GCM', true)
  const plaintext = bytes(members, 'plaintext', MAX_PLAINTEXT, unsupported)
  if (plaintext.length === 0) throw invalid('plaintext is empty.')
  return {
    plaintext,
    aad: optionalBytes(members, 'additionalAuthenticatedData', MAX_AAD, unsupported),
    integrity: checkAlgorithm(members, 'ciphertextDataIntegrityValueAlgorithm', 'SHA_256', false),
  }
}

/** Throws XksError. */
export function parseDecrypt(members: Members): DecryptBody {
  checkAlgorithm(members, 'encryptionAlgorithm', 'AES_GCM', true)
  const ciphertext = bytes(members, 'ciphertext', MAX_PLAINTEXT, unsupported)
  if (ciphertext.length === 0) throw invalid('ciphertext is empty.')
  const iv = exactly(members, 'initializationVector', IV_BYTES)
  const tag = exactly(members, 'authenticationTag', [TAG_BYTES])
  return {
    iv,
    ciphertext,
    tag,
    metadata: optionalBytes(members, 'ciphertextMetadata', MAX_METADATA, outOfForm),
    aad: optionalBytes(members, 'additionalAuthenticatedData', MAX_AAD, unsupported),
  }
}

/** True where the member is there and names the one algorithm of version 1. */
function checkAlgorithm(members: Members, name: string, only: string, required: boolean): boolean {
  const value = own(members, name)
  if (value === undefined) {
    if (required) throw invalid(`${name} is missing.`)
    return false
  }
  if (value !== only) throw invalid(`${name} must be ${only}.`)
  return true
}

type TooLong = (name: string, max: number) => XksError

function bytes(members: Members, name: string, max: number, over: TooLong): Buffer {
  const value = own(members, name)
  if (value === undefined) throw invalid(`${name} is missing.`)
  if (typeof value !== 'string') throw invalid(`${name} is not a string.`)
  if (value.length > encodedLength(max)) throw over(name, max)
  const decoded = decodeCanonical(value)
  if (decoded === undefined) throw invalid(`${name} is not canonical Base64 (RFC 4648, section 4, with padding).`)
  if (decoded.length > max) throw over(name, max)
  return decoded
}

/** Absent equals empty: both are a length of zero in the additional data ("Encrypt", ciphertextMetadata). */
function optionalBytes(members: Members, name: string, max: number, over: TooLong): Buffer {
  return own(members, name) === undefined ? EMPTY : bytes(members, name, max, over)
}

function exactly(members: Members, name: string, lengths: readonly number[]): Buffer {
  const wrong = () => invalid(`${name} must be ${lengths.join(' or ')} bytes.`)
  const decoded = bytes(members, name, Math.max(...lengths), wrong)
  if (!lengths.includes(decoded.length)) throw wrong()
  return decoded
}

function own(members: Members, name: string): unknown {
  return Object.hasOwn(members, name) ? members[name] : undefined
}

function isObject(value: unknown): value is Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function invalid(message: string): XksError {
  return new XksError('ValidationException', message)
}

/** Above what this implementation supports, which is the least that the specification demands. */
function unsupported(name: string, max: number, unit = 'bytes'): XksError {
  return new XksError(
    'UnsupportedOperationException',
    `${name} is longer than ${max} ${unit}, the most that is supported.`,
  )
}

/** Above what the specification lets anyone send. */
function outOfForm(name: string, max: number): XksError {
  return invalid(`${name} is longer than ${max} bytes.`)
}
