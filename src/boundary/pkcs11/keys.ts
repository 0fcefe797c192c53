/**
 * Secret key objects in the token: found by id or label, exactly one, checked for what they must be; and made. RSA pairs are in pairs.ts.
 */
import { CKA, CKK_AES } from './constants.ts'
import { tokenError } from './errors.ts'
import { andThen, type Maybe, type Ran } from './module.ts'
import { AES_KEY, type Attribute, attributeBoolean, attributeNumber, SECRET_KEY, type Session } from './session.ts'
import { type KeyUsage, type ObjectRef, TokenError, type TokenKey } from './types.ts'

export interface KnownKey {
  readonly key: TokenKey
  readonly handle: bigint
}

export const MAX_NAME = 255
/** Room for what is read back: longer labels and ids are cut for display. */
const READ: ReadonlyArray<readonly [type: number, bytes: number]> = [
  [CKA.KEY_TYPE, 8],
  [CKA.VALUE_LEN, 8],
  [CKA.SENSITIVE, 1],
  [CKA.EXTRACTABLE, 1],
  [CKA.ENCRYPT, 1],
  [CKA.DECRYPT, 1],
  [CKA.LABEL, MAX_NAME],
  [CKA.ID, MAX_NAME],
]

export function checked<R extends Ran>(ran: R): R {
  if (ran.rv !== 0) throw tokenError(ran.call, ran.rv)
  return ran
}

export function nameAttribute(ref: ObjectRef): Attribute {
  const at = ref.indexOf(':')
  const [kind, name] = [ref.slice(0, at), ref.slice(at + 1)]
  if (kind === 'label' && name !== '' && Buffer.byteLength(name) <= MAX_NAME) return [CKA.LABEL, Buffer.from(name)]
  if (kind === 'id' && /^(?:[0-9a-f]{2}){1,255}$/.test(name)) return [CKA.ID, Buffer.from(name, 'hex')]
  throw new TokenError('InvalidRequest', 'a key is named id:<lower-case hex> or label:<1..255 bytes>')
}

/** Rejects with KeyNotFound, KeyAmbiguous, KeyUnsuitable, InvalidRequest, or what the token answered. */
export function lookUp(session: Session, ref: ObjectRef): Maybe<KnownKey> {
  return andThen(session.find([...SECRET_KEY, nameAttribute(ref)]), found => {
    const [handle, second] = checked(found).handles
    if (handle === undefined) throw new TokenError('KeyNotFound', `the token has no secret key ${ref}`)
    if (second !== undefined) throw new TokenError('KeyAmbiguous', `the token has several secret keys ${ref}`)
    return andThen(session.attributes(handle, READ), read => ({ handle, key: describe(ref, checked(read).values) }))
  })
}

function describe(ref: ObjectRef, values: readonly Buffer[]): TokenKey {
  const number = (index: number) => (values[index]?.length === 8 ? values[index].readUInt32LE() : -1)
  const flag = (index: number) => values[index]?.[0] === 1
  const refuse = (why: string) => new TokenError('KeyUnsuitable', `key ${ref} ${why}`)
  if (number(0) !== CKK_AES || number(1) !== 32) throw refuse('is not an AES key of 256 bits')
  if (!flag(2)) throw refuse('is not sensitive: its value could be read (CKA_SENSITIVE must be true)')
  if (flag(3)) throw refuse('is extractable: it could be wrapped and taken away (CKA_EXTRACTABLE must be false)')
  return {
    ref,
    label: (values[6] ?? Buffer.alloc(0)).toString('utf8'),
    id: (values[7] ?? Buffer.alloc(0)).toString('hex'),
    mayEncrypt: flag(4),
    mayDecrypt: flag(5),
  }
}

/** Makes a key that never leaves the token and can do nothing but what `usage` says. Refused when its label or id is taken. */
export function createKey(session: Session, label: string, id: Buffer, usage: KeyUsage): Maybe<void> {
  if (id.length < 1 || id.length > 32) throw new TokenError('InvalidRequest', 'an id has 1..32 bytes')
  const [byLabel, byId] = [nameAttribute(`label:${label}`), nameAttribute(`id:${id.toString('hex')}`)]
  const [yes, no] = [attributeBoolean(true), attributeBoolean(false)]
  const free = (name: Attribute, what: string) =>
    andThen(session.find([...SECRET_KEY, name]), found => {
      if (checked(found).handles.length > 0)
        throw new TokenError('KeyAmbiguous', `the token has a key with this ${what} already`)
    })
  return andThen(free(byLabel, 'label'), () =>
    andThen(free(byId, 'id'), () =>
      andThen(
        session.generate([
          ...AES_KEY,
          [CKA.VALUE_LEN, attributeNumber(32)],
          [CKA.PRIVATE, yes],
          [CKA.SENSITIVE, yes],
          [CKA.EXTRACTABLE, no],
          [CKA.MODIFIABLE, no],
          [CKA.ENCRYPT, attributeBoolean(usage.encrypt)],
          [CKA.DECRYPT, attributeBoolean(usage.decrypt)],
          [CKA.WRAP, no],
          [CKA.UNWRAP, no],
          [CKA.SIGN, no],
          [CKA.VERIFY, no],
          [CKA.DERIVE, no],
          byLabel,
          byId,
        ]),
        ran => {
          checked(ran)
        },
      ),
    ),
  )
}
