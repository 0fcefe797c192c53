/**
 * RSA pairs in the token: found by id or label of the private half, exactly one, checked for what they must be; and made. Only the public half is ever read.
 */
import { createPublicKey } from 'node:crypto'
import { CKA, CKK_RSA, CKO_PUBLIC_KEY, CKR } from './constants.ts'
import { checked, MAX_NAME, nameAttribute } from './keys.ts'
import { andThen, type Maybe } from './module.ts'
import { type Attribute, attributeBoolean, attributeNumber, PRIVATE_KEY, type Session } from './session.ts'
import { MODULUS_BITS, type ModulusBits, type ObjectRef, TokenError, type TokenPair } from './types.ts'

export interface KnownPair {
  readonly pair: TokenPair
  readonly handle: bigint
}

const MAX_MODULUS = 512
const MAX_EXPONENT = 8
const EXPONENT = Buffer.from('010001', 'hex')
const READ: ReadonlyArray<readonly [type: number, bytes: number]> = [
  [CKA.KEY_TYPE, 8],
  [CKA.SENSITIVE, 1],
  [CKA.EXTRACTABLE, 1],
  [CKA.DECRYPT, 1],
  [CKA.LABEL, MAX_NAME],
  [CKA.ID, MAX_NAME],
  [CKA.MODULUS, MAX_MODULUS],
  [CKA.PUBLIC_EXPONENT, MAX_EXPONENT],
]

/** Rejects with KeyNotFound, KeyAmbiguous, KeyUnsuitable, InvalidRequest, or what the token answered. */
export function lookUpPair(session: Session, ref: ObjectRef): Maybe<KnownPair> {
  return andThen(session.find([...PRIVATE_KEY, nameAttribute(ref)]), found => {
    const [handle, second] = checked(found).handles
    if (handle === undefined) throw new TokenError('KeyNotFound', `the token has no private key ${ref}`)
    if (second !== undefined) throw new TokenError('KeyAmbiguous', `the token has several private keys ${ref}`)
    return andThen(session.attributes(handle, READ), read => {
      // Some tokens keep the public exponent with the public half only: that is no error.
      if (read.rv !== CKR.ATTRIBUTE_TYPE_INVALID) checked(read)
      return andThen(describe(session, ref, read.values), pair => ({ handle, pair }))
    })
  })
}

function describe(session: Session, ref: ObjectRef, values: readonly Buffer[]): Maybe<TokenPair> {
  const [type, sensitive, extractable, decrypt, label, id, modulus, exponent] = values as [
    Buffer,
    Buffer,
    Buffer,
    Buffer,
    Buffer,
    Buffer,
    Buffer,
    Buffer,
  ]
  const refuse = (why: string) => new TokenError('KeyUnsuitable', `private key ${ref} ${why}`)
  if (type.length !== 8 || type.readUInt32LE() !== CKK_RSA) throw refuse('is not an RSA key')
  if (sensitive[0] !== 1) throw refuse('is not sensitive: its value could be read (CKA_SENSITIVE must be true)')
  if (extractable[0] !== 0)
    throw refuse('is extractable: it could be wrapped and taken away (CKA_EXTRACTABLE must be false)')
  const n = withoutZeros(modulus)
  const modulusBits = MODULUS_BITS.find(bits => bits === n.length * 8 && (n[0] as number) >= 0x80)
  if (modulusBits === undefined) throw refuse(`does not have ${MODULUS_BITS.join(', ')} bits`)
  const withExponent = (e: Buffer): TokenPair => ({
    ref,
    label: label.toString('utf8'),
    id: id.toString('hex'),
    mayDecrypt: decrypt[0] === 1,
    modulusBits,
    publicKey: spki(n, e) ?? raise(refuse('shows no public exponent that RSA can have')),
  })
  return exponent.length > 0 ? withExponent(exponent) : andThen(publicExponent(session, id, n), withExponent)
}

/** From the public half of the same id, where there is one with the same modulus; else empty. */
function publicExponent(session: Session, id: Buffer, n: Buffer): Maybe<Buffer> {
  const none = Buffer.alloc(0)
  if (id.length === 0) return none
  const wanted: readonly Attribute[] = [
    [CKA.CLASS, attributeNumber(CKO_PUBLIC_KEY)],
    [CKA.KEY_TYPE, attributeNumber(CKK_RSA)],
    [CKA.ID, id],
  ]
  return andThen(session.find(wanted), found => {
    const [handle, second] = checked(found).handles
    if (handle === undefined || second !== undefined) return none
    const read = session.attributes(handle, [
      [CKA.MODULUS, MAX_MODULUS],
      [CKA.PUBLIC_EXPONENT, MAX_EXPONENT],
    ])
    return andThen(read, ran => {
      const [modulus = none, exponent = none] = checked(ran).values
      return withoutZeros(modulus).equals(n) ? exponent : none
    })
  })
}

/** PKCS#11's big integers may begin with zeros. */
function withoutZeros(bytes: Buffer): Buffer {
  const at = bytes.findIndex(byte => byte !== 0)
  return at < 0 ? bytes.subarray(bytes.length) : bytes.subarray(at)
}

function spki(n: Buffer, exponent: Buffer): Buffer | undefined {
  const e = withoutZeros(exponent)
  if (e.length === 0 || ((e[e.length - 1] as number) & 1) === 0 || (e.length === 1 && e[0] === 1)) return undefined
  const jwk = { kty: 'RSA', n: n.toString('base64url'), e: e.toString('base64url') }
  return createPublicKey({ key: jwk, format: 'jwk' }).export({ format: 'der', type: 'spki' })
}

function raise(error: Error): never {
  throw error
}

/** DER SPKI of a public key object. */
export function publicHalfOf(session: Session, handle: bigint): Maybe<Buffer> {
  const read = session.attributes(handle, [
    [CKA.MODULUS, MAX_MODULUS],
    [CKA.PUBLIC_EXPONENT, MAX_EXPONENT],
  ])
  return andThen(read, ran => {
    const [modulus, exponent] = checked(ran).values as [Buffer, Buffer]
    return (
      spki(withoutZeros(modulus), exponent) ??
      raise(new TokenError('KeyUnsuitable', 'the token shows no public exponent that RSA can have'))
    )
  })
}

/** What a private half may be used for, beside where it is. */
const usesOf = (mayDecrypt: boolean): readonly Attribute[] => {
  const [yes, no] = [attributeBoolean(true), attributeBoolean(false)]
  return [
    [CKA.PRIVATE, yes],
    [CKA.SENSITIVE, yes],
    [CKA.EXTRACTABLE, no],
    [CKA.DECRYPT, attributeBoolean(mayDecrypt)],
    [CKA.SIGN, no],
    [CKA.UNWRAP, no],
  ]
}

/** Templates of a pair with this place and name. `inToken` false: an object of the session, gone with it. */
export function pairTemplates(
  modulusBits: ModulusBits,
  mayDecrypt: boolean,
  place: readonly Attribute[],
): readonly [ofPublic: readonly Attribute[], ofPrivate: readonly Attribute[]] {
  const [yes, no] = [attributeBoolean(true), attributeBoolean(false)]
  return [
    [
      ...place,
      [CKA.MODULUS_BITS, attributeNumber(modulusBits)],
      [CKA.PUBLIC_EXPONENT, EXPONENT],
      [CKA.ENCRYPT, yes],
      [CKA.VERIFY, no],
      [CKA.WRAP, no],
    ],
    [...place, ...usesOf(mayDecrypt)],
  ]
}

/** Makes a pair whose private half never leaves the token. Refused when its label or id is taken by another private key. */
export function createPair(
  session: Session,
  label: string,
  id: Buffer,
  modulusBits: ModulusBits,
  mayDecrypt: boolean,
): Maybe<void> {
  if (id.length < 1 || id.length > 32) throw new TokenError('InvalidRequest', 'an id has 1..32 bytes')
  const [byLabel, byId] = [nameAttribute(`label:${label}`), nameAttribute(`id:${id.toString('hex')}`)]
  const free = (name: Attribute, what: string) =>
    andThen(session.find([...PRIVATE_KEY, name]), found => {
      if (checked(found).handles.length > 0)
        throw new TokenError('KeyAmbiguous', `the token has a private key with this ${what} already`)
    })
  const [ofPublic, ofPrivate] = pairTemplates(modulusBits, mayDecrypt, [
    [CKA.TOKEN, attributeBoolean(true)],
    byLabel,
    byId,
  ])
  return andThen(free(byLabel, 'label'), () =>
    andThen(free(byId, 'id'), () =>
      andThen(session.generatePair(ofPublic, [...ofPrivate, [CKA.MODIFIABLE, attributeBoolean(false)]]), ran => {
        checked(ran)
      }),
    ),
  )
}
