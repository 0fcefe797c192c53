/**
 * The three methods of Kubernetes KMS v2: from an encoded request to a call of the core, and from its answer to an encoded reply. What is encrypted is the
 * seed of an API server's data keys, so there are few calls, and none of them is about an object of the cluster.
 */
import { readExternalMetadata } from '../../../boundary/crypto/external.ts'
import type { Claims } from '../../access/claims.ts'
import { NO_CLAIMS } from '../../access/claims.ts'
import type { Call, Core } from '../../core.ts'
import type { Health } from '../../health.ts'
import { blobAad, decodeBlob, encodeBlob } from '../blob.ts'
import { KubernetesError } from './errors.ts'
import { keyIdOf } from './key-id.ts'
import {
  DECRYPT_REQUEST,
  DECRYPT_RESPONSE,
  ENCRYPT_REQUEST,
  ENCRYPT_RESPONSE,
  MAX_PLAINTEXT,
  type Method,
  STATUS_REQUEST,
  STATUS_RESPONSE,
} from './messages.ts'
import { decode, encode, type Message, ProtobufError, type Shape } from './protobuf.ts'

/** What the operations need besides the request. */
export interface World {
  readonly core: Core
  /** Of the key manager, as the background check found it. */
  readonly health: () => Promise<Health>
  /** Takes the claims as soon as they are read. */
  readonly told: (claims: Claims) => Call
}

type Operation = (world: World, request: Buffer) => Promise<Buffer>

/**
 * The one annotation: the id of the request in the owner's log. It stands in etcd in the clear, so that whoever has an object there finds the record of what
 * its key was encrypted by. `.internal` is nobody's domain.
 */
export const REQUEST_ANNOTATION = 'request.holdfast.internal'

export const HEALTHY = 'ok'
export const API_VERSION = 'v2'

function parse<S extends Shape>(shape: S, request: Buffer): Message<S> {
  try {
    return decode(shape, request)
  } catch (error) {
    if (error instanceof ProtobufError) throw new KubernetesError('INVALID_ARGUMENT', error.message)
    throw error
  }
}

/** Only names of bounded lengths go in. */
function aadOf({ caller, keyId }: Call): Buffer {
  const aad = blobAad('kubernetes', caller.tenant, keyId, [])
  if (aad === undefined) throw new Error('names are longer than they can be')
  return aad
}

/**
 * Says ok only where the key can be used: the API server encrypts on with what it holds for as long as it hears that, and asks for nothing. No key of a
 * customer's is tried for it.
 */
const status: Operation = async ({ core, told, health }, request) => {
  parse(STATUS_REQUEST, request)
  const call = told(NO_CLAIMS)
  const key = await core.describe(call)
  const { ok } = await health()
  const healthz = !key.enabled
    ? 'the owner has revoked the key'
    : ok
      ? HEALTHY
      : 'the key manager is not well; its operator finds the cause in its log'
  const key_id = keyIdOf(call.caller.tenant, call.keyId, key.version)
  return encode(STATUS_RESPONSE, { version: API_VERSION, healthz, key_id })
}

const encrypt: Operation = async ({ core, told }, request) => {
  const { plaintext, uid } = parse(ENCRYPT_REQUEST, request)
  const call = told({ requestId: uid })
  if (plaintext.length === 0) throw new KubernetesError('INVALID_ARGUMENT', 'plaintext is empty.')
  if (plaintext.length > MAX_PLAINTEXT)
    throw new KubernetesError(
      'UNIMPLEMENTED',
      `plaintext is longer than ${MAX_PLAINTEXT} bytes, for which a ciphertext has room.`,
    )
  const made = await core.encrypt(call, plaintext, aadOf(call), false)
  return encode(ENCRYPT_RESPONSE, {
    ciphertext: encodeBlob('kubernetes', made),
    // Of the very version that encrypted, whatever Status has said meanwhile.
    key_id: keyIdOf(call.caller.tenant, call.keyId, readExternalMetadata(made.metadata) ?? 0),
    annotations: new Map([[REQUEST_ANNOTATION, Buffer.from(call.requestId)]]),
  })
}

const decrypt: Operation = async ({ core, told }, request) => {
  const { ciphertext, uid, key_id } = parse(DECRYPT_REQUEST, request)
  const call = told({ requestId: uid })
  const blob = decodeBlob('kubernetes', ciphertext)
  if (blob === undefined) throw new KubernetesError('INVALID_ARGUMENT', 'ciphertext is not one of this key manager.')
  // By it the API server tells what is to be encrypted anew, and it stands beside the ciphertext, not in it: who changes it must not go unseen.
  if (blob.metadata[0] !== 1 || key_id !== keyIdOf(call.caller.tenant, call.keyId, blob.metadata.readUInt32BE(1)))
    throw new KubernetesError('INVALID_ARGUMENT', 'key_id is not that of the ciphertext under this key.')
  const plaintext = await core.decrypt(call, blob, aadOf(call))
  const response = encode(DECRYPT_RESPONSE, { plaintext })
  plaintext.fill(0)
  return response
}

export const OPERATIONS: Readonly<Record<Method, Operation>> = { Status: status, Encrypt: encrypt, Decrypt: decrypt }
/** As in records and policies: `kubernetes:status`. */
export const OPERATION_NAMES: Readonly<Record<Method, string>> = {
  Status: 'status',
  Encrypt: 'encrypt',
  Decrypt: 'decrypt',
}
