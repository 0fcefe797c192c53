/**
 * RSAES-OAEP under a private key of the token: by the token's own mechanism, or, with a hash that it does not do there, by its raw RSA with the padding taken
 * off here, in constant time (docs/decisions/0035). Which of the two is decided by what the token says of the mechanism, before it has seen a ciphertext.
 */
import type { Check } from './aes-wrap.ts'
import { CKM, CKR } from './constants.ts'
import { canUnpad, unpadOaep } from './libcrypto-oaep.ts'
import { andThen, type Maybe } from './module.ts'
import type { KnownPair } from './pairs.ts'
import type { Session } from './session.ts'
import { NOT_THE_KEYS, type OaepHash, type ObjectRef, TokenError } from './types.ts'

type WithPair = <T>(ref: ObjectRef, work: (session: Session, known: KnownPair) => Maybe<T>) => Promise<T>

export class Oaep {
  readonly #check: Check
  readonly #withPair: WithPair
  readonly #ways: Record<OaepHash, 'native' | 'raw'> = { sha1: 'native', sha256: 'native' }

  constructor(check: Check, withPair: WithPair) {
    this.#check = check
    this.#withPair = withPair
  }

  async decrypt(ref: ObjectRef, hash: OaepHash, ciphertext: Buffer): Promise<Buffer> {
    if (this.#ways[hash] === 'native') {
      try {
        return await this.#decrypt(ref, ciphertext, (session, { handle }) =>
          andThen(session.crypt('decrypt', { type: CKM.RSA_PKCS_OAEP, hash }, handle, [ciphertext]), outcome => {
            this.#check(outcome)
            return outcome.out
          }),
        )
      } catch (error) {
        if (!(error instanceof TokenError) || error.code !== 'Unsupported' || !canUnpad) throw error
        this.#ways[hash] = 'raw'
      }
    }
    return this.#decrypt(ref, ciphertext, (session, { handle, pair }) =>
      rawDecrypt(session, { handle, modulusBits: pair.modulusBits }, hash, ciphertext, this.#check),
    )
  }

  #decrypt(
    ref: ObjectRef,
    ciphertext: Buffer,
    work: (session: Session, known: KnownPair) => Maybe<Buffer | undefined>,
  ): Promise<Buffer> {
    return this.#withPair(ref, (session, known) => {
      const { mayDecrypt, modulusBits } = known.pair
      if (!mayDecrypt) throw new TokenError('UsageRefused', `the token does not let private key ${ref} decrypt`)
      if (ciphertext.length * 8 !== modulusBits) return undefined
      return work(session, known)
    }).then(plaintext => {
      if (plaintext === undefined) throw new TokenError('InvalidCiphertext', NOT_THE_KEYS, CKR.ENCRYPTED_DATA_INVALID)
      return plaintext
    })
  }
}

/** Undefined where there is no plaintext in it, always alike. */
export function rawDecrypt(
  session: Session,
  { handle, modulusBits }: { readonly handle: bigint; readonly modulusBits: number },
  hash: OaepHash,
  ciphertext: Buffer,
  check: Check,
): Maybe<Buffer | undefined> {
  return andThen(session.crypt('decrypt', { type: CKM.RSA_X_509 }, handle, [ciphertext]), outcome => {
    check(outcome)
    if (outcome.out.length * 8 !== modulusBits)
      throw new TokenError('Failed', `the token answered ${outcome.out.length} bytes to a raw RSA operation`)
    return unpadOaep(outcome.out, hash)
  })
}
