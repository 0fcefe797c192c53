/**
 * The XKS proxy API v1 as the KMS speaks it: requests built, answers believed only as far as they keep to the specification. Everything else is malformed.
 */
import { hash, timingSafeEqual } from 'node:crypto'
import type { ExternalCiphertext } from '../../boundary/client/api.ts'
import type { ExternalRequest } from '../operations/types.ts'
import { type FailureName, PROXY_ERRORS, XksFailure } from './failures.ts'
import type { HttpAnswer } from './transport.ts'

/** What a proxy must be able to take; nothing larger is sent. */
export const MAX_PLAINTEXT = 4300
export const MAX_AAD = 8192
const MAX_METADATA = 20
const TAG_BYTES = 16
const MAX_KEY_USAGES = 10
const MAX_FLEET = 10
const MAX_ERROR_TEXT = 512

type Json = Readonly<Record<string, unknown>>

function malformed(what: string): XksFailure {
  return new XksFailure('malformed', what)
}

// ---- Requests ----

function metadata(request: ExternalRequest, withKey: boolean): Json {
  return {
    awsPrincipalArn: request.principalArn,
    ...(withKey ? { kmsKeyArn: request.keyArn } : {}),
    kmsOperation: request.operation,
    kmsRequestId: request.requestId,
    ...(withKey && request.viaService !== '' ? { kmsViaService: request.viaService } : {}),
  }
}

function json(value: Json): Buffer {
  return Buffer.from(JSON.stringify(value), 'utf8')
}

function aadMember(aad: Buffer): Json {
  return aad.length === 0 ? {} : { additionalAuthenticatedData: aad.toString('base64') }
}

export function healthRequest(operation: string, requestId: string): Buffer {
  return json({ requestMetadata: { kmsRequestId: requestId, kmsOperation: operation } })
}

export function metadataRequest(request: ExternalRequest): Buffer {
  return json({ requestMetadata: metadata(request, false) })
}

export function encryptRequest(plaintext: Buffer, aad: Buffer, request: ExternalRequest): Buffer {
  return json({
    requestMetadata: metadata(request, true),
    ...aadMember(aad),
    plaintext: plaintext.toString('base64'),
    encryptionAlgorithm: 'AES_GCM',
    ciphertextDataIntegrityValueAlgorithm: 'SHA_256',
  })
}

export function decryptRequest(ciphertext: ExternalCiphertext, aad: Buffer, request: ExternalRequest): Buffer {
  return json({
    requestMetadata: metadata(request, true),
    ...aadMember(aad),
    ciphertext: ciphertext.ciphertext.toString('base64'),
    ...(ciphertext.metadata.length === 0 ? {} : { ciphertextMetadata: ciphertext.metadata.toString('base64') }),
    encryptionAlgorithm: 'AES_GCM',
    initializationVector: ciphertext.iv.toString('base64'),
    authenticationTag: ciphertext.tag.toString('base64'),
  })
}

// ---- Answers ----

/** The object of a 200; throws `XksFailure` for everything else. */
function success(answer: HttpAnswer): Json {
  const body = parse(answer.body)
  if (answer.status === 200) {
    if (body === undefined) throw malformed('the answer is no JSON object')
    return body
  }
  const name = body?.errorName
  if (typeof name !== 'string' || !PROXY_ERRORS.has(name))
    throw malformed(`status ${answer.status} without a known errorName`)
  throw new XksFailure(name as FailureName, errorText(body?.errorMessage))
}

function parse(body: Buffer): Json | undefined {
  try {
    const value: unknown = JSON.parse(body.toString('utf8'))
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : undefined
  } catch {
    return undefined
  }
}

/** The proxy's own words for the operator: printable ASCII, below 512 characters, or nothing. */
function errorText(message: unknown): string {
  const fits = typeof message === 'string' && message.length < MAX_ERROR_TEXT && /^[\x20-\x7e]*$/.test(message)
  return fits ? message : 'no usable message'
}

/** Canonical base64 of an allowed number of bytes. */
function bytes(body: Json, member: string, allowed: (length: number) => boolean): Buffer {
  const text = body[member]
  if (typeof text !== 'string') throw malformed(`${member} is missing`)
  const decoded = Buffer.from(text, 'base64')
  if (decoded.toString('base64') !== text) throw malformed(`${member} is no canonical base64`)
  if (!allowed(decoded.length)) throw malformed(`${member} has ${decoded.length} bytes`)
  return decoded
}

function text(body: Json, member: string): string {
  const value = body[member]
  if (typeof value !== 'string') throw malformed(`${member} is missing`)
  return value
}

const NOTHING = Buffer.alloc(0)

export function readEncryptAnswer(answer: HttpAnswer, plaintextBytes: number, aad: Buffer): ExternalCiphertext {
  const body = success(answer)
  const ciphertext = bytes(body, 'ciphertext', length => length === plaintextBytes)
  const iv = bytes(body, 'initializationVector', length => length === 12 || length === 16)
  const tag = bytes(body, 'authenticationTag', length => length === TAG_BYTES)
  const absent = body.ciphertextMetadata === undefined || body.ciphertextMetadata === null
  const metadata = absent ? NOTHING : bytes(body, 'ciphertextMetadata', length => length <= MAX_METADATA)
  const integrityValue = bytes(body, 'ciphertextDataIntegrityValue', length => length === 32)
  const ours = hash('sha256', Buffer.concat([aad, metadata, iv, ciphertext, tag]), 'buffer')
  if (!timingSafeEqual(ours, integrityValue)) throw malformed('the integrity value does not fit the ciphertext')
  return { ciphertext, iv, tag, metadata, integrityValue }
}

export function readDecryptAnswer(answer: HttpAnswer, ciphertextBytes: number): Buffer {
  return bytes(success(answer), 'plaintext', length => length === ciphertextBytes)
}

/** CreateKey's conditions on the external key: AES-256, for both, enabled. */
export function checkKeyMetadata(answer: HttpAnswer): void {
  const body = success(answer)
  const { keyUsage } = body
  if (
    !Array.isArray(keyUsage) ||
    keyUsage.length > MAX_KEY_USAGES ||
    !keyUsage.every(usage => typeof usage === 'string')
  ) {
    throw malformed('keyUsage is no list of at most ten')
  }
  const status = text(body, 'keyStatus')
  if (status !== 'ENABLED' && status !== 'DISABLED') throw malformed('keyStatus is neither ENABLED nor DISABLED')
  const spec = text(body, 'keySpec')
  if (spec !== 'AES_256') throw new XksFailure('unsuitableKey', 'keySpec is not AES_256')
  if (!keyUsage.includes('ENCRYPT') || !keyUsage.includes('DECRYPT')) {
    throw new XksFailure('unsuitableKey', 'keyUsage lacks ENCRYPT or DECRYPT')
  }
  if (status !== 'ENABLED') throw new XksFailure('InvalidStateException', 'keyStatus is DISABLED')
}

const HEALTH: ReadonlySet<unknown> = new Set(['ACTIVE', 'DEGRADED', 'UNAVAILABLE'])

/** Healthy is what can serve: at least one key manager of the fleet is not UNAVAILABLE. */
export function checkHealth(answer: HttpAnswer): void {
  const body = success(answer)
  const { xksProxyFleetSize: size, ekmFleetDetails: fleet } = body
  if (!Number.isInteger(size) || (size as number) < 1) throw malformed('xksProxyFleetSize is no positive integer')
  for (const member of ['xksProxyVendor', 'xksProxyModel', 'ekmVendor']) text(body, member)
  if (!Array.isArray(fleet) || fleet.length < 1 || fleet.length > MAX_FLEET) {
    throw malformed('ekmFleetDetails is no list of one to ten')
  }
  const states = fleet.map((one: unknown) => {
    if (typeof one !== 'object' || one === null) throw malformed('ekmFleetDetails holds something else than objects')
    for (const member of ['id', 'model']) text(one as Json, member)
    const state = (one as Json).healthStatus
    if (!HEALTH.has(state)) throw malformed('healthStatus is none of ACTIVE, DEGRADED, UNAVAILABLE')
    return state
  })
  if (states.every(state => state === 'UNAVAILABLE')) {
    throw new XksFailure('InternalException', 'every external key manager is UNAVAILABLE')
  }
}
