/**
 * External keys whose material is an object of the PKCS#11 token: made or found, and used there. The token's errors in the boundary's words.
 */
import type { ExternalCiphertext } from '../../client/api.ts'
import type { InputOf } from '../../client/protocol/operations.ts'
import { externalAadBytes, externalMetadata, integrityValue } from '../../crypto/external.ts'
import { fillRandom, secretBytes } from '../../crypto/random.ts'
import {
  IV_BYTES,
  type ObjectRef,
  type Token,
  TokenError,
  type TokenErrorCode,
  type TokenKey,
} from '../../pkcs11/types.ts'
import { BoundaryError, type BoundaryErrorCode } from '../../words.ts'
import type { Core } from '../core.ts'

/** What is the caller's doing. Everything else is the token's, and passes. */
const TOKEN_TO_BOUNDARY: { readonly [C in TokenErrorCode]?: BoundaryErrorCode } = {
  InvalidCiphertext: 'InvalidCiphertext',
  InvalidRequest: 'InvalidRequest',
  UsageRefused: 'InvalidKeyUsage',
}
/** What an administrator who names an object can mend. */
const NAMING: ReadonlySet<TokenErrorCode> = new Set(['KeyNotFound', 'KeyAmbiguous', 'KeyUnsuitable', 'UsageRefused'])

export const inOurWords = (error: unknown): unknown =>
  error instanceof TokenError
    ? new BoundaryError(TOKEN_TO_BOUNDARY[error.code] ?? 'TokenUnavailable', `${error.code}: ${error.message}`)
    : error

function tokenOf(core: Core): Token {
  if (core.token === undefined) throw new BoundaryError('InvalidRequest', 'this boundary has no token')
  return core.token
}

const isRef = (text: string): text is ObjectRef => /^id:([0-9a-f]{2}){1,32}$/.test(text) || /^label:.+$/s.test(text)

/**
 * The object for one version of a key: the named one, or a new one where `named` is empty. Returns its reference by id, which no label can shadow.
 */
export async function makeTokenKey(
  core: Core,
  key: { readonly id: string; readonly mayEncrypt: boolean; readonly mayDecrypt: boolean },
  version: number,
  named: string,
): Promise<string> {
  const token = tokenOf(core)
  const usage = { encrypt: key.mayEncrypt, decrypt: key.mayDecrypt }
  let found: TokenKey
  try {
    if (named === '') found = await token.generateKey(`${key.id} v${version}`, secretBytes(16), usage)
    else {
      if (!isRef(named)) throw new BoundaryError('InvalidRequest', 'a token object is named id:<hex> or label:<text>')
      found = await token.findKey(named)
    }
  } catch (error) {
    if (error instanceof TokenError && NAMING.has(error.code)) throw new BoundaryError('InvalidRequest', error.message)
    throw inOurWords(error)
  }
  if (found.id === core.rootObjectId) {
    throw new BoundaryError(
      'NotPermitted',
      'this object is the root of trust: it seals, and is never used for anything else',
    )
  }
  if ((key.mayEncrypt && !found.mayEncrypt) || (key.mayDecrypt && !found.mayDecrypt)) {
    throw new BoundaryError('InvalidRequest', 'the token does not allow this object the use that the key is to have')
  }
  return found.id === '' ? found.ref : `id:${found.id}`
}

export async function tokenEncrypt(
  core: Core,
  object: string,
  version: number,
  input: Pick<InputOf<'externalEncrypt'>, 'plaintext' | 'aad' | 'integrity'>,
): Promise<ExternalCiphertext> {
  const token = tokenOf(core)
  const metadata = externalMetadata(version)
  const aad = externalAadBytes(input.aad, metadata)
  const iv = Buffer.alloc(IV_BYTES)
  fillRandom(iv, 0, IV_BYTES)
  try {
    const made = { ...(await token.gcmEncrypt(object as ObjectRef, iv, aad, input.plaintext)), metadata }
    if (!input.integrity) return { ...made, integrityValue: undefined }
    // The order is the protocol's advice (XKS proxy API §2.5): the value first, then the decryption that verifies what it covers.
    const value = integrityValue(input.aad, made)
    const opened = await token.gcmDecrypt(object as ObjectRef, made.iv, aad, made.ciphertext, made.tag)
    const same = opened.equals(input.plaintext)
    opened.fill(0)
    if (!same) throw new BoundaryError('TokenUnavailable', 'the token does not decrypt what it encrypted')
    return { ...made, integrityValue: value }
  } catch (error) {
    throw inOurWords(error)
  }
}

export async function tokenDecrypt(
  core: Core,
  object: string,
  { ciphertext, aad }: Pick<InputOf<'externalDecrypt'>, 'ciphertext' | 'aad'>,
): Promise<Buffer> {
  const { iv, tag, metadata } = ciphertext
  if ((iv.length !== 12 && iv.length !== 16) || tag.length !== 16) throw new BoundaryError('InvalidCiphertext')
  try {
    const bytes = externalAadBytes(aad, metadata)
    return await tokenOf(core).gcmDecrypt(object as ObjectRef, iv, bytes, ciphertext.ciphertext, tag)
  } catch (error) {
    throw inOurWords(error)
  }
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
