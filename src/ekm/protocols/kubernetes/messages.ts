/**
 * The messages of Kubernetes KMS v2 (kubernetes/kms, apis/v2/api.proto) as data, with the bounds that the API server puts on them: its own for what it
 * gets, so that nothing is made that it refuses.
 */
import { BLOB_OVERHEAD } from '../blob.ts'
import type { Message, Shape } from './protobuf.ts'

/** `encryptedDEKSourceMaxSize` and `KeyIDMaxSize` of the API server. */
const MAX_CIPHERTEXT = 1024
const MAX_KEY_ID = 1024
const MAX_ANNOTATIONS = 32 * 1024
/** The API server's is a UUID of 36. */
const MAX_UID = 256
const MAX_HEALTHZ = 1024
/** A whole message at every limit, with the encoding of a thousand annotations. */
export const MAX_MESSAGE = 64 * 1024
/** What a ciphertext has room for. The API server's seeds are 32 bytes. */
export const MAX_PLAINTEXT = MAX_CIPHERTEXT - BLOB_OVERHEAD

export const STATUS_REQUEST = {} as const satisfies Shape
export const STATUS_RESPONSE = {
  version: { number: 1, type: 'string', max: 16 },
  healthz: { number: 2, type: 'string', max: MAX_HEALTHZ },
  key_id: { number: 3, type: 'string', max: MAX_KEY_ID },
} as const satisfies Shape

export const ENCRYPT_REQUEST = {
  // Longer ones are refused by another name than what is malformed.
  plaintext: { number: 1, type: 'bytes', max: MAX_MESSAGE },
  uid: { number: 2, type: 'string', max: MAX_UID },
} as const satisfies Shape
export const ENCRYPT_RESPONSE = {
  ciphertext: { number: 1, type: 'bytes', max: MAX_CIPHERTEXT },
  key_id: { number: 2, type: 'string', max: MAX_KEY_ID },
  annotations: { number: 3, type: 'map', max: MAX_ANNOTATIONS },
} as const satisfies Shape

export const DECRYPT_REQUEST = {
  ciphertext: { number: 1, type: 'bytes', max: MAX_CIPHERTEXT },
  uid: { number: 2, type: 'string', max: MAX_UID },
  key_id: { number: 3, type: 'string', max: MAX_KEY_ID },
  annotations: { number: 4, type: 'map', max: MAX_ANNOTATIONS },
} as const satisfies Shape
export const DECRYPT_RESPONSE = {
  plaintext: { number: 1, type: 'bytes', max: MAX_PLAINTEXT },
} as const satisfies Shape

export type StatusResponse = Message<typeof STATUS_RESPONSE>

export const METHODS = ['Status', 'Encrypt', 'Decrypt'] as const
export type Method = (typeof METHODS)[number]

const SERVICE = '/v2.KeyManagementService/'
export const pathOf = (method: Method): string => `${SERVICE}${method}`

const BY_PATH: ReadonlyMap<string, Method> = new Map(METHODS.map(method => [pathOf(method), method]))
/** Undefined for a path of no method of this service. */
export const methodAt = (path: string): Method | undefined => BY_PATH.get(path)
