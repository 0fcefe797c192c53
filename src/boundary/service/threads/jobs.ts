/**
 * What the threads of slow work do: private operations of RSA and of the slower curves, ML-DSA. About a millisecond each. A job is data, so that it can be
 * handed over; keys are lent for it, as handles of the same key that OpenSSL has, and never as bytes.
 */
import type { KeyObject } from 'node:crypto'
import type { MessageType, SigningAlgorithm } from '../../algorithms.ts'
import { agree } from '../../crypto/agreement.ts'
import { type Padding, rsaDecrypt } from '../../crypto/oaep.ts'
import { sign, verify } from '../../crypto/signing.ts'
import { NativeKey } from '../../pkcs11/libcrypto.ts'
import { BoundaryError, type BoundaryErrorCode } from '../../words.ts'

export type Job =
  | {
      readonly kind: 'sign'
      readonly key: KeyObject
      /** Address of the key as OpenSSL has it, where the message is not RAW. */
      readonly native: bigint | undefined
      readonly algorithm: SigningAlgorithm
      readonly type: MessageType
      readonly message: Uint8Array
    }
  | {
      readonly kind: 'verify'
      readonly key: KeyObject
      readonly native: bigint | undefined
      readonly algorithm: SigningAlgorithm
      readonly type: MessageType
      readonly message: Uint8Array
      readonly signature: Uint8Array
    }
  | { readonly kind: 'agree'; readonly key: KeyObject; readonly peer: KeyObject }
  | {
      readonly kind: 'rsaDecrypt'
      readonly key: KeyObject
      readonly padding: Padding
      readonly ciphertext: Uint8Array
    }

export type Result =
  | { readonly made: Uint8Array<ArrayBuffer> }
  | { readonly valid: boolean }
  | { readonly error: BoundaryErrorCode; readonly detail: string }
  /** Something that no caller can do anything about; only its words cross. */
  | { readonly failed: string }

const bytes = (view: Uint8Array): Buffer => Buffer.from(view.buffer, view.byteOffset, view.byteLength)

/** Never throws. */
export function work(job: Job): Result {
  try {
    return done(job)
  } catch (error) {
    if (error instanceof BoundaryError) return { error: error.code, detail: error.detail }
    return { failed: error instanceof Error ? error.message : 'unknown' }
  }
}

function done(job: Job): Result {
  switch (job.kind) {
    case 'sign': {
      const { key, native, algorithm, type, message } = job
      const pair = { privateKey: key, native: () => lent(native) }
      return { made: alone(sign(pair, algorithm, type, bytes(message))) }
    }
    case 'verify': {
      const { key, native, algorithm, type, message, signature } = job
      const half = { publicKey: key, nativePublic: () => lent(native) }
      return { valid: verify(half, algorithm, type, bytes(message), bytes(signature)) }
    }
    case 'agree':
      return { made: alone(agree(job.key, job.peer)) }
    case 'rsaDecrypt':
      return { made: alone(rsaDecrypt(job.key, job.padding, bytes(job.ciphertext))) }
  }
}

function lent(address: bigint | undefined): NativeKey {
  if (address === undefined) throw new Error('no key was lent')
  return NativeKey.lent(address)
}

/** Bytes with a buffer of their own, that can be moved to another thread. */
function alone(view: Buffer): Uint8Array<ArrayBuffer> {
  const own = new Uint8Array(view)
  view.fill(0)
  return own
}
