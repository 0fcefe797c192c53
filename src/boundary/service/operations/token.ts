/**
 * External keys whose material is an object of a PKCS#11 token: made or found, and used there. The token's errors in the boundary's words.
 */
import { createPublicKey } from 'node:crypto'
import type { ExternalWrapAlgorithm } from '../../algorithms.ts'
import type { ExternalCiphertext } from '../../client/api.ts'
import type { InputOf } from '../../client/protocol/operations.ts'
import { externalAadBytes, externalMetadata, integrityValue } from '../../crypto/external.ts'
import { oaepEncrypt } from '../../crypto/oaep.ts'
import { fillRandom, secretBytes } from '../../crypto/random.ts'
import {
  IV_BYTES,
  type KeyWrap,
  type ModulusBits,
  type OaepHash,
  type ObjectRef,
  type Token,
  TokenError,
  type TokenErrorCode,
} from '../../pkcs11/types.ts'
import { BoundaryError, type BoundaryErrorCode } from '../../words.ts'
import type { Core } from '../core.ts'
import { type Place, readWantedPlace, type WantedPlace, writePlace } from '../keys/place.ts'

/** What is the caller's doing, or passes by itself. Everything else is the token's. */
const TOKEN_TO_BOUNDARY: { readonly [C in TokenErrorCode]?: BoundaryErrorCode } = {
  InvalidCiphertext: 'InvalidCiphertext',
  InvalidRequest: 'InvalidRequest',
  UsageRefused: 'InvalidKeyUsage',
  Unsupported: 'InvalidKeyUsage',
  Busy: 'Busy',
}
/** What an administrator who names an object can mend. */
const NAMING: ReadonlySet<TokenErrorCode> = new Set([
  'KeyNotFound',
  'KeyAmbiguous',
  'KeyUnsuitable',
  'UsageRefused',
  'Unsupported',
])

export const inOurWords = (error: unknown): unknown =>
  error instanceof TokenError
    ? new BoundaryError(TOKEN_TO_BOUNDARY[error.code] ?? 'TokenUnavailable', `${error.code}: ${error.message}`)
    : error

const inOperatorsWords = (error: unknown): unknown =>
  error instanceof TokenError && NAMING.has(error.code)
    ? new BoundaryError('InvalidRequest', error.message)
    : inOurWords(error)

function tokenOf(core: Core, name: string): Token {
  const token = core.tokens.get(name)
  if (token !== undefined) return token
  throw new BoundaryError(
    'InvalidRequest',
    name === '' ? 'the root of trust of this boundary is in no token' : `this boundary has no token ${name}`,
  )
}

/** What a version of a key is to be. */
export interface Wanted {
  readonly id: string
  readonly version: number
  readonly mayEncrypt: boolean
  readonly mayDecrypt: boolean
}

function checkWanted(core: Core, { token, object }: WantedPlace, found: { readonly id: string }): void {
  if (token === '' && found.id === core.rootObjectId) {
    throw new BoundaryError(
      'NotPermitted',
      'this object is the root of trust: it seals, and is never used for anything else',
    )
  }
  if (object === undefined && found.id === '') throw new BoundaryError('TokenUnavailable', 'a new object has no id')
}

/** By id, which no label can shadow, where the object has one. */
const placeOf = ({ token, opens }: WantedPlace, { id, ref }: { id: string; ref: ObjectRef }): string =>
  writePlace({ token, opens, object: id === '' ? ref : `id:${id}` })

/** Of an object of ours in a token. */
const labelOf = ({ id, version }: Pick<Wanted, 'id' | 'version'>): string => `${id} v${version}`

/** Whether the object of a key was made here, and not named by whoever made the key. */
export async function madeByUs(core: Core, keyId: string, { token, opens, object }: Place): Promise<boolean> {
  if (opens !== undefined) return false
  try {
    const { label } = await tokenOf(core, token).findKey(object)
    return label.startsWith(`${keyId} v`)
  } catch (error) {
    throw inOurWords(error)
  }
}

/**
 * A boundary that ended between the object and the record of its version left an object that no version names, and its label is taken: what finds an object is
 * its id, so the next one has another label.
 */
async function underFreeLabel<T>(wanted: string, make: (label: string, id: Buffer) => Promise<T>): Promise<T> {
  const id = secretBytes(16)
  try {
    return await make(wanted, id)
  } catch (error) {
    if (!(error instanceof TokenError) || error.code !== 'KeyAmbiguous') throw error
    return make(`${wanted} ${id.toString('hex', 0, 4)}`, id)
  }
}

/** The object for one version of an AES key: the named one, or a new one where `named` names none. Returns its place. */
export async function makeTokenKey(core: Core, key: Wanted, named: string): Promise<string> {
  const wanted = readWantedPlace(named)
  const token = tokenOf(core, wanted.token)
  const usage = { encrypt: key.mayEncrypt, decrypt: key.mayDecrypt }
  if (wanted.opens !== undefined && wanted.object === undefined)
    throw new BoundaryError('InvalidRequest', 'a new object has no ciphertexts of another key manager')
  try {
    const found = await (wanted.object === undefined
      ? underFreeLabel(labelOf(key), (label, id) => token.generateKey(label, id, usage))
      : token.findKey(wanted.object))
    checkWanted(core, wanted, found)
    if ((key.mayEncrypt && !found.mayEncrypt) || (key.mayDecrypt && !found.mayDecrypt)) throw notAllowed()
    return placeOf(wanted, found)
  } catch (error) {
    throw inOperatorsWords(error)
  }
}

const notAllowed = (): BoundaryError =>
  new BoundaryError('InvalidRequest', 'the token does not allow this object the use that the key is to have')

/** The same for an RSA pair, with its public half. A pair that is to decrypt is tried before it is taken. */
export async function makeTokenPair(
  core: Core,
  key: Wanted,
  named: string,
  modulusBits: ModulusBits,
): Promise<{ place: string; publicKey: Buffer }> {
  const wanted = readWantedPlace(named)
  const token = tokenOf(core, wanted.token)
  if (wanted.opens !== undefined)
    throw new BoundaryError('InvalidRequest', 'ciphertexts of another key manager are those of an AES key')
  try {
    const found = await (wanted.object === undefined
      ? underFreeLabel(labelOf(key), (label, id) => token.generatePair(label, id, modulusBits, key.mayDecrypt))
      : token.findPair(wanted.object))
    checkWanted(core, wanted, found)
    if (found.modulusBits !== modulusBits)
      throw new BoundaryError('InvalidRequest', `this pair of the token has ${found.modulusBits} bits`)
    if (key.mayDecrypt) {
      if (!found.mayDecrypt) throw notAllowed()
      await tryPair(token, found.ref, found.publicKey)
    }
    return { place: placeOf(wanted, found), publicKey: found.publicKey }
  } catch (error) {
    throw inOperatorsWords(error)
  }
}

/** Throws unless the private half in the token decrypts what the public half, which is read from there, encrypts. */
async function tryPair(token: Token, ref: ObjectRef, spki: Buffer): Promise<void> {
  const publicKey = createPublicKey({ key: spki, format: 'der', type: 'spki' })
  const sent = secretBytes(32)
  try {
    const opened = await token.oaepDecrypt(ref, 'sha256', oaepEncrypt(publicKey, 'sha256', sent))
    if (opened.equals(sent)) return
  } catch (error) {
    if (!(error instanceof TokenError) || error.code !== 'InvalidCiphertext') throw error
  }
  throw new TokenError('KeyUnsuitable', `private key ${ref} does not fit the public half that the token shows`)
}

export async function tokenEncrypt(
  core: Core,
  place: Place,
  version: number,
  input: Pick<InputOf<'externalEncrypt'>, 'plaintext' | 'aad' | 'integrity'>,
): Promise<ExternalCiphertext> {
  const token = tokenOf(core, place.token)
  const metadata = externalMetadata(version)
  const aad = externalAadBytes(input.aad, metadata)
  const iv = Buffer.alloc(IV_BYTES)
  fillRandom(iv, 0, IV_BYTES)
  try {
    const made = { ...(await token.gcmEncrypt(place.object, iv, aad, input.plaintext)), metadata }
    if (!input.integrity) return { ...made, integrityValue: undefined }
    // The order is the protocol's advice (XKS proxy API §2.5): the value first, then the decryption that verifies what it covers.
    const value = integrityValue(input.aad, made)
    const opened = await token.gcmDecrypt(place.object, made.iv, aad, made.ciphertext, made.tag)
    const same = opened.equals(input.plaintext)
    opened.fill(0)
    if (!same) throw new BoundaryError('TokenUnavailable', 'the token does not decrypt what it encrypted')
    return { ...made, integrityValue: value }
  } catch (error) {
    throw inOurWords(error)
  }
}

/** `aad` is GCM's additional data, as the form of the ciphertext has it. */
export async function tokenDecrypt(
  core: Core,
  place: Place,
  { iv, tag, ciphertext }: ExternalCiphertext,
  aad: Buffer,
): Promise<Buffer> {
  if ((iv.length !== 12 && iv.length !== 16) || tag.length !== 16) throw new BoundaryError('InvalidCiphertext')
  try {
    return await tokenOf(core, place.token).gcmDecrypt(place.object, iv, aad, ciphertext, tag)
  } catch (error) {
    throw inOurWords(error)
  }
}

const KEY_WRAPS: { readonly [A in ExternalWrapAlgorithm]?: KeyWrap } = { A256KW: 'plain', A256KWP: 'padded' }
const OAEP_HASHES: { readonly [A in ExternalWrapAlgorithm]?: OaepHash } = {
  'RSA-OAEP': 'sha1',
  'RSA-OAEP-256': 'sha256',
}

/** AES key wrap; RSAES-OAEP needs the public half only, and no token. */
export async function tokenWrap(
  core: Core,
  place: Place,
  algorithm: ExternalWrapAlgorithm,
  plaintext: Buffer,
): Promise<Buffer> {
  const how = KEY_WRAPS[algorithm]
  if (how === undefined) throw new BoundaryError('Internal')
  try {
    return await tokenOf(core, place.token).wrapKey(place.object, how, plaintext)
  } catch (error) {
    throw inOurWords(error)
  }
}

export async function tokenUnwrap(
  core: Core,
  place: Place,
  algorithm: ExternalWrapAlgorithm,
  wrapped: Buffer,
): Promise<Buffer> {
  const token = tokenOf(core, place.token)
  const [how, hash] = [KEY_WRAPS[algorithm], OAEP_HASHES[algorithm]]
  try {
    if (how !== undefined) return await token.unwrapKey(place.object, how, wrapped)
    if (hash !== undefined) return await token.oaepDecrypt(place.object, hash, wrapped)
  } catch (error) {
    throw inOurWords(error)
  }
  throw new BoundaryError('Internal')
}

const TEST_LABEL = 'holdfast self test'

/** Encrypts and decrypts under a test key in the token, made where there is none. */
export async function testToken(token: Token, bytes: Buffer): Promise<boolean> {
  const ref: ObjectRef = `label:${TEST_LABEL}`
  try {
    await token.findKey(ref)
  } catch (error) {
    if (!(error instanceof TokenError) || error.code !== 'KeyNotFound') throw error
    await token.generateKey(TEST_LABEL, secretBytes(16), { encrypt: true, decrypt: true })
  }
  const iv = Buffer.alloc(IV_BYTES)
  fillRandom(iv, 0, IV_BYTES)
  const aad = Buffer.from(TEST_LABEL)
  const made = await token.gcmEncrypt(ref, iv, aad, bytes)
  return (await token.gcmDecrypt(ref, made.iv, aad, made.ciphertext, made.tag)).equals(bytes)
}
