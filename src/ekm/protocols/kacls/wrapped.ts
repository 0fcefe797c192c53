/**
 * What `wrap` and `wrapprivatekey` give Google to keep: a blob, and before it what the privileged methods are not told again. All of it is authenticated: it
 * stands in the blob's additional data. See docs/formats/blob.md.
 */
import { FormatError, Reader, Writer } from '../../../boundary/bytes.ts'
import type { ExternalCiphertext } from '../../../boundary/client/api.ts'
import { blobAad, decodeBlob, encodeBlob } from '../blob.ts'

const VERSION = 1
const SPKI_BYTES = 32

export interface WrappedKey {
  readonly perimeter: string
  readonly ciphertext: ExternalCiphertext
}

export interface WrappedPrivateKey extends WrappedKey {
  /** SHA-256 of the DER SPKI of the key. */
  readonly spki: Buffer
}

export function encodeKey({ perimeter, ciphertext }: WrappedKey): Buffer {
  return head(perimeter).raw(encodeBlob('kacls', ciphertext)).done()
}

/** Undefined for anything that is none. */
export function decodeKey(bytes: Buffer): WrappedKey | undefined {
  return decoded(bytes, (reader, perimeter) => {
    const ciphertext = decodeBlob('kacls', reader.raw(reader.left))
    return ciphertext && { perimeter, ciphertext }
  })
}

export function encodePrivateKey({ perimeter, spki, ciphertext }: WrappedPrivateKey): Buffer {
  return head(perimeter).raw(spki).raw(encodeBlob('kacls-private-key', ciphertext)).done()
}

/** Undefined for anything that is none. */
export function decodePrivateKey(bytes: Buffer): WrappedPrivateKey | undefined {
  return decoded(bytes, (reader, perimeter) => {
    const spki = reader.raw(SPKI_BYTES)
    const ciphertext = decodeBlob('kacls-private-key', reader.raw(reader.left))
    return ciphertext && { perimeter, spki, ciphertext }
  })
}

/** Names are bounded before. */
export function keyAad(tenant: string, keyId: string, resource: string, perimeter: string): Buffer {
  return bounded(blobAad('kacls', tenant, keyId, [resource, perimeter]))
}

export function privateKeyAad(tenant: string, keyId: string, perimeter: string, spki: Buffer): Buffer {
  return bounded(blobAad('kacls-private-key', tenant, keyId, [perimeter, spki]))
}

function bounded(aad: Buffer | undefined): Buffer {
  if (aad === undefined) throw new Error('names were not bounded')
  return aad
}

const head = (perimeter: string): Writer => new Writer().u8(VERSION).short(Buffer.from(perimeter, 'utf8'))

function decoded<T>(bytes: Buffer, rest: (reader: Reader, perimeter: string) => T): T | undefined {
  const reader = new Reader(bytes)
  try {
    if (reader.u8() !== VERSION) return undefined
    const perimeter = reader.short()
    const text = perimeter.toString('utf8')
    // One text has one encoding.
    return Buffer.from(text, 'utf8').equals(perimeter) ? rest(reader, text) : undefined
  } catch (error) {
    if (error instanceof FormatError) return undefined
    throw error
  }
}
