/**
 * AES key wrap under a secret key of the token. Two ways lead to the same bytes: the token's own mechanism, one call, which some tokens do wrongly for some
 * lengths; and the loop of RFC 3394 here over the token's AES blocks, twelve calls for each 16 bytes. The loop is the rule. A token behind a network, where calls
 * are dear, is given its own mechanism once that has shown, under the key at hand, that it makes what the loop makes.
 */
import { timingSafeEqual } from 'node:crypto'
import { CKM, CKR } from './constants.ts'
import {
  type BlockCipher,
  type Unwrapped,
  unwrapByBlocks,
  unwrapPaddedByBlocks,
  wrapByBlocks,
  wrapPaddedByBlocks,
} from './key-wrap.ts'
import type { KnownKey } from './keys.ts'
import { andThen, type Maybe, type Ran } from './module.ts'
import type { Direction, Session } from './session.ts'
import { type KeyWrap, MAX_WRAPPED, NOT_THE_KEYS, type ObjectRef, TokenError } from './types.ts'

/** Throws what a return value other than CKR_OK means. */
export type Check = (ran: Ran) => void
type WithKey = <T>(
  ref: ObjectRef,
  work: (session: Session, known: KnownKey, deadline: number) => Maybe<T>,
  ms?: number,
) => Promise<T>

interface Algorithm {
  readonly mechanism: typeof CKM.AES_KEY_WRAP | typeof CKM.AES_KEY_WRAP_KWP
  readonly wrap: (plaintext: Buffer, encrypt: BlockCipher) => Maybe<Buffer>
  readonly unwrap: (wrapped: Buffer, decrypt: BlockCipher) => Maybe<Unwrapped>
  readonly takes: (length: number) => boolean
  readonly least: number
  /** Lengths for which a token has to show that it does the algorithm. */
  readonly shown: readonly number[]
}

export const ALGORITHMS: Readonly<Record<KeyWrap, Algorithm>> = {
  plain: {
    mechanism: CKM.AES_KEY_WRAP,
    wrap: wrapByBlocks,
    unwrap: unwrapByBlocks,
    takes: length => length >= 16 && length % 8 === 0,
    least: 24,
    shown: [16, 24, 32, 40],
  },
  padded: {
    mechanism: CKM.AES_KEY_WRAP_KWP,
    wrap: wrapPaddedByBlocks,
    unwrap: unwrapPaddedByBlocks,
    takes: length => length >= 1,
    least: 16,
    shown: [1, 8, 9, 16, 20, 32, 33],
  },
}

/** Milliseconds in which a token shows its own mechanism. */
const SHOWING_MS = 30_000

/** Runs `work` with the token's AES in the place of a block cipher. */
export function byBlocks<T>(
  session: Session,
  direction: Direction,
  handle: bigint,
  { check, deadline }: { readonly check: Check; readonly deadline: number },
  work: (cipher: BlockCipher) => Maybe<T>,
): Maybe<T> {
  const cipher: BlockCipher = block => {
    if (performance.now() > deadline) throw new TokenError('Timeout', 'the token is too slow for a key of this length')
    return andThen(session.piece(direction, block), piece => {
      check(piece)
      if (!piece.fits) throw new TokenError('Failed', 'the token answers a block of AES with another length')
    })
  }
  return andThen(session.begin(direction, { type: CKM.AES_ECB }, handle), begun => {
    check(begun)
    return andThen(work(cipher), result =>
      andThen(session.end(direction), ended => {
        check(ended)
        return result
      }),
    )
  })
}

export class Aes {
  readonly #check: Check
  readonly #withKey: WithKey
  readonly #seeksNative: boolean
  /** What each algorithm is done with. */
  readonly #ways: Record<KeyWrap, 'blocks' | 'native'> = { plain: 'blocks', padded: 'blocks' }
  readonly #asked = new Set<KeyWrap>()

  /** `seeksNative`: whether the token's own mechanisms are worth looking at. */
  constructor(check: Check, seeksNative: boolean, withKey: WithKey) {
    this.#check = check
    this.#seeksNative = seeksNative
    this.#withKey = withKey
  }

  async wrap(ref: ObjectRef, how: KeyWrap, plaintext: Buffer): Promise<Buffer> {
    const { takes, wrap } = ALGORITHMS[how]
    if (!takes(plaintext.length) || plaintext.length > MAX_WRAPPED)
      throw new TokenError('InvalidRequest', `the token wraps no key of ${plaintext.length} bytes in this way`)
    return this.#run(ref, how, 'encrypt', {
      native: (session, handle) => this.#native(session, 'encrypt', handle, how, plaintext),
      blocks: cipher => wrap(plaintext, cipher),
    })
  }

  async unwrap(ref: ObjectRef, how: KeyWrap, wrapped: Buffer): Promise<Buffer> {
    const { least, unwrap } = ALGORITHMS[how]
    if (wrapped.length < least || wrapped.length % 8 !== 0 || wrapped.length > MAX_WRAPPED + 8) throw invalid()
    const unwrapped = await this.#run(ref, how, 'decrypt', {
      native: (session, handle) => this.#native(session, 'decrypt', handle, how, wrapped),
      blocks: cipher => unwrap(wrapped, cipher),
    })
    if (unwrapped === undefined) throw invalid()
    return unwrapped
  }

  async #run<T>(
    ref: ObjectRef,
    how: KeyWrap,
    direction: Direction,
    ways: {
      readonly native: (session: Session, handle: bigint) => Maybe<T>
      readonly blocks: (cipher: BlockCipher) => Maybe<T>
    },
  ): Promise<T> {
    const way = this.#ways[how]
    if (way === 'blocks' && this.#seeksNative && !this.#asked.has(how)) {
      this.#asked.add(how)
      // Not waited for: until the token has shown that it can, the loop does it.
      void this.#seek(ref, how)
    }
    return this.#withKey(ref, (session, { key, handle }, deadline) => {
      if (!(direction === 'encrypt' ? key.mayEncrypt : key.mayDecrypt))
        throw new TokenError('UsageRefused', `the token does not let key ${ref} ${direction}`)
      return way === 'native'
        ? ways.native(session, handle)
        : byBlocks(session, direction, handle, { check: this.#check, deadline }, ways.blocks)
    })
  }

  #native(session: Session, direction: Direction, handle: bigint, how: KeyWrap, input: Buffer): Maybe<Buffer> {
    return andThen(session.crypt(direction, { type: ALGORITHMS[how].mechanism }, handle, [input]), outcome => {
      this.#check(outcome)
      const whole = Math.ceil(input.length / 8) * 8 + 8
      if (direction === 'encrypt' && outcome.out.length !== whole)
        throw new TokenError('Failed', `the token answered ${outcome.out.length} bytes where ${whole} belong`)
      return outcome.out
    })
  }

  /** Lets the token's own mechanism show, under this key, that it makes what the loop makes. */
  async #seek(ref: ObjectRef, how: KeyWrap): Promise<void> {
    try {
      const same = await this.#withKey(ref, (session, known) => this.#shows(session, known, how), SHOWING_MS)
      if (same) this.#ways[how] = 'native'
    } catch (error) {
      // A token that is gone or slow just now is asked again; one that has no such mechanism, or a key that may not, is not.
      if (
        error instanceof TokenError &&
        (error.code === 'TokenLost' || error.code === 'Timeout' || error.code === 'Busy')
      )
        this.#asked.delete(how)
    }
  }

  async #shows(session: Session, { handle }: KnownKey, how: KeyWrap): Promise<boolean> {
    const { wrap, shown } = ALGORITHMS[how]
    const limits = { check: this.#check, deadline: performance.now() + SHOWING_MS }
    for (const length of shown) {
      const bytes = Buffer.alloc(length, 0x5a)
      const native = await this.#native(session, 'encrypt', handle, how, bytes)
      const looped = await byBlocks(session, 'encrypt', handle, limits, cipher => wrap(bytes, cipher))
      if (native.length !== looped.length || !timingSafeEqual(native, looped)) return false
      const opened = await this.#native(session, 'decrypt', handle, how, looped)
      if (!opened.equals(bytes)) return false
    }
    return true
  }
}

/** The value is one of the standard's own: the token is well. */
const invalid = (): TokenError => new TokenError('InvalidCiphertext', NOT_THE_KEYS, CKR.ENCRYPTED_DATA_INVALID)
