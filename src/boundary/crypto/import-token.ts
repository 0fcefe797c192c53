/**
 * Import tokens: an RSA key pair for one import, whose private half travels inside the token, sealed by the boundary. See docs/formats/import-token.md.
 */
import { createPrivateKey, createPublicKey, generateKeyPair, hash, type KeyObject } from 'node:crypto'
import { promisify } from 'node:util'
import { Reader, Writer } from '../bytes.ts'
import type { WrappingAlgorithm } from '../client/api.ts'
import type { Keyring } from '../root/keyring.ts'
import { BoundaryError, KEY_SPECS, type KeySpec } from '../words.ts'
import { openBox, sealBox } from './box.ts'
import { unwrapInTwo, wrapInTwo } from './key-wrap.ts'
import { type OaepHash, oaepEncrypt } from './oaep.ts'
import type { PrivateWork } from './private-work.ts'
import type { RandomOption } from './random.ts'

export interface ImportTokenInput {
  /** Row id of the key. */
  readonly keyId: string
  readonly spec: KeySpec
  readonly algorithm: WrappingAlgorithm
  readonly modulusBits: 2048 | 3072 | 4096
  /** Milliseconds of lifecycle time. */
  readonly validTo: number
}

const VERSION = 1
const ALGORITHMS: Readonly<Record<WrappingAlgorithm, { code: number; oaepHash: OaepHash; inTwo: boolean }>> = {
  RSAES_OAEP_SHA_1: { code: 1, oaepHash: 'sha1', inTwo: false },
  RSAES_OAEP_SHA_256: { code: 2, oaepHash: 'sha256', inTwo: false },
  RSA_AES_KEY_WRAP_SHA_1: { code: 3, oaepHash: 'sha1', inTwo: true },
  RSA_AES_KEY_WRAP_SHA_256: { code: 4, oaepHash: 'sha256', inTwo: true },
}
const MODULI = [2048, 3072, 4096] as const
const MAX_TOKEN_BYTES = 6144
/** Version 1, boundary id 16, digest of the key's row id 32, spec 1, algorithm 1, modulus 2, expiry 8. */
const HEADER_BYTES = 61

const generate = promisify(generateKeyPair)

/** A fresh key pair, made on the thread pool. `publicKey` is DER SPKI; the token is below 6144 bytes. */
export async function makeImportToken(
  keyring: Keyring,
  input: ImportTokenInput,
): Promise<{ token: Buffer; publicKey: Buffer }> {
  const pair = await generate('rsa', {
    modulusLength: input.modulusBits,
    publicKeyEncoding: { type: 'spki', format: 'der' },
    privateKeyEncoding: { type: 'pkcs8', format: 'der' },
  })
  const token = sealImportToken(keyring, input, pair.privateKey)
  pair.privateKey.fill(0)
  return { token, publicKey: pair.publicKey }
}

/** The token of a key pair that is there: `privateKey` is PKCS #8 DER, and is not wiped. */
export function sealImportToken(
  keyring: Keyring,
  input: ImportTokenInput,
  privateKey: Buffer,
  options?: RandomOption,
): Buffer {
  const header = new Writer(HEADER_BYTES)
    .u8(VERSION)
    .raw(keyring.boundaryId)
    .raw(hash('sha256', input.keyId, 'buffer'))
    .u8(KEY_SPECS[input.spec])
    .u8(ALGORITHMS[input.algorithm].code)
    .u16(input.modulusBits)
    .u64(input.validTo)
    .done()
  return Buffer.concat([header, sealBox(keyring, 'import-token', header, privateKey, options)])
}

/** An opened token. The private half shows itself nowhere. */
export interface OpenedImportToken extends ImportTokenInput {
  /** Throws InvalidCiphertext, always the same, whatever is wrong with `wrapped`. */
  unwrap(wrapped: Buffer, work: PrivateWork): Promise<Buffer>
}

/**
 * Throws InvalidImportToken where the token is not this boundary's or is for another key or spec, ExpiredImportToken where `now` (lifecycle time) is past it.
 */
export function openImportToken(
  keyring: Keyring,
  token: Buffer,
  expected: { keyId: string; spec: KeySpec; now: number },
): OpenedImportToken {
  const invalid = new BoundaryError('InvalidImportToken')
  if (token.length <= HEADER_BYTES || token.length > MAX_TOKEN_BYTES) throw invalid
  const header = token.subarray(0, HEADER_BYTES)
  let privateKey: KeyObject
  try {
    const der = openBox(keyring, 'import-token', header, token.subarray(HEADER_BYTES))
    privateKey = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
    der.fill(0)
  } catch {
    throw invalid
  }
  // From here on the header is authentic, so what does not fit is a token of another key, not a forgery.
  const reader = new Reader(header)
  const version = reader.u8()
  const boundaryId = reader.raw(16)
  const keyDigest = reader.raw(32)
  const spec = reader.u8()
  const code = reader.u8()
  const modulus = reader.u16()
  const modulusBits = MODULI.find(bits => bits === modulus)
  const algorithm = (Object.keys(ALGORITHMS) as WrappingAlgorithm[]).find(name => ALGORITHMS[name].code === code)
  const validTo = reader.u64()
  const fits =
    version === VERSION &&
    boundaryId.equals(keyring.boundaryId) &&
    keyDigest.equals(hash('sha256', expected.keyId, 'buffer')) &&
    spec === KEY_SPECS[expected.spec]
  if (!fits || algorithm === undefined || modulusBits === undefined) throw invalid
  if (expected.now > validTo) throw new BoundaryError('ExpiredImportToken')
  return {
    keyId: expected.keyId,
    spec: expected.spec,
    algorithm,
    modulusBits,
    validTo,
    unwrap: (wrapped, work) => {
      const { oaepHash: hash, inTwo } = ALGORITHMS[algorithm]
      if (inTwo) return unwrapInTwo(privateKey, hash, wrapped, work)
      return work.rsaDecrypt(privateKey, { kind: 'oaep', hash }, wrapped)
    },
  }
}

/**
 * The owner's half: wraps material under a provider's import key. `publicKey` is DER SPKI, RSA of 2048 to 4096 bits, else InvalidRequest.
 */
export function wrapForImport(
  publicKey: Buffer,
  algorithm: WrappingAlgorithm,
  material: Buffer,
  options?: RandomOption,
): Buffer {
  const refuse = (): BoundaryError =>
    new BoundaryError('InvalidRequest', 'an import key is a DER SPKI RSA public key of 2048 to 4096 bits')
  let key: KeyObject
  try {
    key = createPublicKey({ key: publicKey, format: 'der', type: 'spki' })
  } catch {
    throw refuse()
  }
  const bits = key.asymmetricKeyDetails?.modulusLength ?? 0
  if (key.asymmetricKeyType !== 'rsa' || bits < 2048 || bits > 4096) throw refuse()
  const { oaepHash, inTwo } = ALGORITHMS[algorithm]
  return inTwo ? wrapInTwo(key, oaepHash, material, options) : oaepEncrypt(key, oaepHash, material)
}
