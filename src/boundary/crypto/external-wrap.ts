/**
 * How keys of others are wrapped under an owner's external key, as data. See docs/formats/external.md.
 */
import type { KeyObject } from 'node:crypto'
import type { ExternalWrapAlgorithm } from '../algorithms.ts'
import { unwrapPadded, unwrapPlain, wrapPadded, wrapPlain } from './key-wrap.ts'
import { type OaepHash, oaepEncrypt, rsaDecrypt } from './oaep.ts'

export interface ExternalWrapping {
  /** Whether it takes a pair: `wrap` its public half, `unwrap` its private one. Else both take the secret. */
  readonly rsa: boolean
  /** Of RSA: who unwraps elsewhere needs to know no more. */
  readonly oaepHash?: OaepHash
  /** Throws InvalidRequest for a length that the algorithm does not take. */
  readonly wrap: (key: KeyObject, plaintext: Buffer) => Buffer
  /** Throws InvalidCiphertext, always the same, whatever is wrong. */
  readonly unwrap: (key: KeyObject, wrapped: Buffer) => Buffer
}

const oaep = (hash: OaepHash): ExternalWrapping => ({
  rsa: true,
  oaepHash: hash,
  wrap: (key, plaintext) => oaepEncrypt(key, hash, plaintext),
  unwrap: (key, wrapped) => rsaDecrypt(key, { kind: 'oaep', hash }, wrapped),
})

export const EXTERNAL_WRAPPINGS: Readonly<Record<ExternalWrapAlgorithm, ExternalWrapping>> = {
  A256KW: { rsa: false, wrap: wrapPlain, unwrap: unwrapPlain },
  A256KWP: { rsa: false, wrap: wrapPadded, unwrap: unwrapPadded },
  'RSA-OAEP': oaep('sha1'),
  'RSA-OAEP-256': oaep('sha256'),
}
