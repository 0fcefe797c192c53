/** HMAC (RFC 2104), never cut short. */
import { createHmac, type KeyObject, timingSafeEqual } from 'node:crypto'
import type { MacAlgorithm } from '../algorithms.ts'

const HASHES: Readonly<Record<MacAlgorithm, string>> = {
  HMAC_SHA_224: 'sha224',
  HMAC_SHA_256: 'sha256',
  HMAC_SHA_384: 'sha384',
  HMAC_SHA_512: 'sha512',
}

/** As many bytes as the hash has. */
export const macOf = (secret: KeyObject, algorithm: MacAlgorithm, message: Buffer): Buffer =>
  createHmac(HASHES[algorithm], secret).update(message).digest()

/** Whether a MAC is the whole of the one expected, found out in constant time. */
export const sameMac = (expected: Buffer, given: Buffer): boolean =>
  expected.length === given.length && timingSafeEqual(expected, given)
