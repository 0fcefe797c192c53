/**
 * Key pairs: made, and kept ready for use. PKCS #8 and SPKI are DER.
 */
import { createPublicKey, generateKeyPair, type KeyObject } from 'node:crypto'
import { promisify } from 'node:util'
import type { MaterialKind } from '../algorithms.ts'
import { NativeKey } from '../pkcs11/libcrypto.ts'
import { materialBytes } from './sealed.ts'

export type PairKind = Exclude<MaterialKind, { kind: 'secret' }>

export interface MadePair {
  /** PKCS #8, the caller's to wipe. */
  readonly privateKey: Buffer
  /** SPKI. */
  readonly publicKey: Buffer
}

const generate = promisify(generateKeyPair) as unknown as (
  type: string,
  options: object,
) => Promise<{ privateKey: Buffer; publicKey: Buffer }>

const FORMATS = {
  publicKeyEncoding: { type: 'spki', format: 'der' },
  privateKeyEncoding: { type: 'pkcs8', format: 'der' },
} as const

/** A fresh pair, made on the thread pool: up to seconds for RSA. RSA has e = 65537, curves are named and points uncompressed. */
export function makePair(kind: PairKind): Promise<MadePair> {
  switch (kind.kind) {
    case 'rsa':
      return generate('rsa', { ...FORMATS, modulusLength: kind.modulusBits, publicExponent: 0x10001 })
    case 'ec':
      return generate('ec', { ...FORMATS, namedCurve: kind.curve, paramEncoding: 'named' })
    default:
      return generate(kind.kind, FORMATS)
  }
}

/** A public key that is kept open. */
export class PublicHalf {
  readonly publicKey: KeyObject
  #native: NativeKey | undefined

  constructor(publicKey: KeyObject) {
    this.publicKey = publicKey
  }

  /** As OpenSSL has it, for what node:crypto does not do. Made once and when it is first needed. */
  nativePublic(): NativeKey {
    this.#native ??= NativeKey.read(this.publicKey.export({ format: 'der', type: 'spki' }), 'public')
    return this.#native
  }
}

/** A private key that is kept open, with what follows from it. */
export class Pair extends PublicHalf {
  readonly privateKey: KeyObject
  #native: NativeKey | undefined

  constructor(privateKey: KeyObject) {
    super(createPublicKey(privateKey))
    this.privateKey = privateKey
  }

  /** As `nativePublic`, of the private half. */
  native(): NativeKey {
    if (this.#native === undefined) {
      const der = materialBytes(this.privateKey)
      try {
        this.#native = NativeKey.read(der, 'private')
      } finally {
        der.fill(0)
      }
    }
    return this.#native
  }
}

/** SPKI of a private key. */
export const publicBytes = (privateKey: KeyObject): Buffer =>
  createPublicKey(privateKey).export({ format: 'der', type: 'spki' })
