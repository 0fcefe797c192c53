/**
 * A PKCS#11 token in use: keys and pairs resolved once and remembered, what is done under them, and what each return value means for the key at hand.
 * How sessions are had and a lost token comes back is in `link.ts`.
 */
import { Aes } from './aes-wrap.ts'
import { ckrName } from './constants.ts'
import { type Cryptoki, loadCryptoki } from './cryptoki.ts'
import { isInvalidCiphertext, isNotOffered, isStaleHandle, tokenError } from './errors.ts'
import { createKey, type KnownKey, lookUp } from './keys.ts'
import { TokenLink } from './link.ts'
import { andThen, type Maybe, type Module, openModule, type Ran } from './module.ts'
import { Oaep } from './oaep.ts'
import { createPair, type KnownPair, lookUpPair } from './pairs.ts'
import type { Session } from './session.ts'
import {
  type GcmResult,
  IV_BYTES,
  type KeyUsage,
  type KeyWrap,
  MAX_AAD,
  MAX_DATA,
  type ModulusBits,
  NOT_THE_KEYS,
  type OaepHash,
  type ObjectRef,
  TAG_BYTES,
  type Token,
  type TokenCapabilities,
  TokenError,
  type TokenKey,
  type TokenOptions,
  type TokenPair,
  type TokenStatus,
  threadPoolSize,
} from './types.ts'
import { Outdated, within } from './waits.ts'

const MAX_SESSIONS = 64
/** Finding the token and logging in at the start, and making a key: network HSMs take seconds for these. */
const SLOW_MS = 30_000
/** How often work is done in all when handles went stale or the token came back meanwhile. */
const MAX_ATTEMPTS = 3
const ZERO_IV = Buffer.alloc(IV_BYTES)
const PLAIN: TokenCapabilities = { tokenMakesIv: false, zeroIvRequired: false, invalidCiphertext: [] }

/** Opens the token and logs in once. Rejects with `TokenError`: ModuleUnusable, Misconfigured, TokenNotFound, PinIncorrect, TokenLost, Timeout. */
export function openToken(options: TokenOptions): Promise<Token> {
  return openTokenWith(loadCryptoki, options)
}

/** `openToken` over functions of the caller's choice; tests count and delay calls with it. */
export async function openTokenWith(load: (path: string) => Cryptoki, options: TokenOptions): Promise<Token> {
  const { sessions = 8 } = options
  if (!Number.isInteger(sessions) || sessions < 1 || sessions > MAX_SESSIONS) {
    throw new TokenError('Misconfigured', `sessions must be 1..${MAX_SESSIONS}`)
  }
  const module = openModule(options.module, load)
  let link: TokenLink | undefined
  try {
    const asynchronous = (options.calls ?? (module.vendor.inProcess ? 'sync' : 'async')) === 'async'
    if (module.alone) module.asynchronous = asynchronous
    else if (module.asynchronous !== asynchronous)
      throw new TokenError('Misconfigured', `all tokens of ${options.module} are called in one way, sync or async`)
    if (module.asynchronous) checkThreadPool(sessions)
    link = new TokenLink(module, options)
    await within(link.open(), SLOW_MS, `the token did not open within ${SLOW_MS / 1000} s`)
    return new HsmToken(link, { ...PLAIN, ...options.capabilities }, module)
  } catch (error) {
    if (link !== undefined) link.giveUp()
    else {
      options.pin.wipe()
      module.close()
    }
    throw error
  }
}

function checkThreadPool(sessions: number): void {
  const { UV_THREADPOOL_SIZE = '4' } = process.env
  const needed = threadPoolSize(sessions)
  if (Number(UV_THREADPOOL_SIZE) >= needed) return
  throw new TokenError(
    'Misconfigured',
    `${sessions} sessions need UV_THREADPOOL_SIZE of at least ${needed} in the environment at start, and it is ${UV_THREADPOOL_SIZE}`,
  )
}

/** Objects of one kind, as they were found, with handles that belong to one generation of the token. */
class Found<K> {
  readonly #lookUp: (session: Session, ref: ObjectRef) => Maybe<K>
  #known = new Map<ObjectRef, K>()
  #generation = 0

  constructor(lookUp: (session: Session, ref: ObjectRef) => Maybe<K>) {
    this.#lookUp = lookUp
  }

  get(session: Session, ref: ObjectRef): Maybe<K> {
    if (this.#generation !== session.generation) {
      this.#known = new Map()
      this.#generation = session.generation
    }
    const { generation } = session
    const known = this.#known.get(ref)
    if (known !== undefined) return known
    return andThen(this.#lookUp(session, ref), found => {
      // A token that came back meanwhile has other handles.
      if (this.#generation === generation) this.#known.set(ref, found)
      return found
    })
  }

  forget(ref: ObjectRef): void {
    this.#known.delete(ref)
  }
}

class HsmToken implements Token {
  readonly #link: TokenLink
  readonly #capabilities: TokenCapabilities
  readonly #vendorInvalid: readonly number[]
  readonly #keys = new Found<KnownKey>(lookUp)
  readonly #pairs = new Found<KnownPair>(lookUpPair)
  readonly #aes: Aes
  readonly #oaep: Oaep
  /** Keys are made one after the other, so that two of one name cannot come to be. */
  #making: Promise<unknown> = Promise.resolve()

  constructor(link: TokenLink, capabilities: TokenCapabilities, module: Module) {
    this.#link = link
    this.#capabilities = capabilities
    this.#vendorInvalid = module.vendor.invalidCiphertext
    const check = (ran: Ran) => this.#check(ran)
    // A token in this process does a block in the time of a call: nothing is gained by asking it for more.
    this.#aes = new Aes(check, module.asynchronous, (ref, work, ms) => this.#with(this.#keys, ref, work, ms))
    this.#oaep = new Oaep(check, (ref, work) => this.#with(this.#pairs, ref, work))
  }

  /**
   * Runs `work` with the object's handle, again where that has gone stale or the token came back: the same input, so repeating is safe. `work` is told
   * the deadline, of performance.now().
   */
  async #with<K, T>(
    objects: Found<K>,
    ref: ObjectRef,
    work: (session: Session, known: K, deadline: number) => Maybe<T>,
    ms = this.#link.deadlineMs,
  ): Promise<T> {
    const deadline = performance.now() + ms
    for (let attempt = 1; ; attempt += 1) {
      try {
        if (attempt > 1 || this.#link.lost) await this.#link.opened(deadline - performance.now())
        return await this.#link.onSession(deadline, session =>
          andThen(objects.get(session, ref), known => work(session, known, deadline)),
        )
      } catch (error) {
        if (error instanceof Outdated) objects.forget(ref)
        const again = await this.#link.recover(error, isDoubtful(error))
        if (!again || attempt >= MAX_ATTEMPTS || performance.now() >= deadline) {
          throw error instanceof Outdated ? error.error : error
        }
      }
    }
  }

  findKey(ref: ObjectRef): Promise<TokenKey> {
    return this.#with(this.#keys, ref, (_, known) => known.key)
  }

  findPair(ref: ObjectRef): Promise<TokenPair> {
    return this.#with(this.#pairs, ref, (_, known) => known.pair)
  }

  generateKey(label: string, id: Buffer, usage: KeyUsage): Promise<TokenKey> {
    const copy = Buffer.from(id)
    return this.#made(session => createKey(session, label, copy, usage)).then(() =>
      this.findKey(`id:${copy.toString('hex')}`),
    )
  }

  generatePair(label: string, id: Buffer, modulusBits: ModulusBits, mayDecrypt: boolean): Promise<TokenPair> {
    const copy = Buffer.from(id)
    // Seconds, in which this thread has other things to do.
    return this.#made(session => createPair(session, label, copy, modulusBits, mayDecrypt), true).then(() =>
      this.findPair(`id:${copy.toString('hex')}`),
    )
  }

  #made(make: (session: Session) => Maybe<void>, aside = false): Promise<void> {
    const made = this.#making.then(() => this.#once(SLOW_MS, make, aside && this.status().calls === 'sync'))
    this.#making = made.catch(() => undefined)
    return made
  }

  destroyKey(ref: ObjectRef): Promise<void> {
    return this.#with(this.#keys, ref, (session, { handle }) =>
      andThen(session.destroy(handle), ran => {
        this.#check(ran)
        this.#keys.forget(ref)
      }),
    )
  }

  /** Work that is not repeated. */
  async #once<T>(ms: number, work: (session: Session) => Maybe<T>, aside = false): Promise<T> {
    const deadline = performance.now() + ms
    try {
      await this.#link.opened(ms)
      return await (aside ? this.#link.aside(ms, work) : this.#link.onSession(deadline, work))
    } catch (error) {
      await this.#link.recover(error, isDoubtful(error))
      throw error instanceof Outdated ? error.error : error
    }
  }

  async gcmEncrypt(ref: ObjectRef, iv: Buffer, aad: Buffer, plaintext: Buffer): Promise<GcmResult> {
    checkSizes(aad, plaintext)
    if (iv.length !== IV_BYTES || iv.equals(ZERO_IV)) {
      throw new TokenError('InvalidRequest', `the IV must be ${IV_BYTES} random bytes`)
    }
    const { tokenMakesIv, zeroIvRequired } = this.#capabilities
    const given = tokenMakesIv && zeroIvRequired ? ZERO_IV : iv
    return this.#with(this.#keys, ref, (session, { key, handle }) => {
      if (!key.mayEncrypt) throw new TokenError('UsageRefused', `the token does not let key ${ref} encrypt`)
      return andThen(session.gcm('encrypt', handle, given, aad, [plaintext]), outcome => {
        this.#check(outcome)
        const end = outcome.out.length - TAG_BYTES
        checkLength(end, plaintext.length)
        const used = tokenMakesIv ? outcome.iv : given
        if (used.equals(ZERO_IV)) {
          throw new TokenError(
            'Misconfigured',
            'the token left the IV zero: it does not make IVs, so tokenMakesIv is wrong',
          )
        }
        return { iv: Buffer.from(used), ciphertext: outcome.out.subarray(0, end), tag: outcome.out.subarray(end) }
      })
    })
  }

  async gcmDecrypt(ref: ObjectRef, iv: Buffer, aad: Buffer, ciphertext: Buffer, tag: Buffer): Promise<Buffer> {
    checkSizes(aad, ciphertext)
    if ((iv.length !== 12 && iv.length !== 16) || tag.length !== TAG_BYTES) {
      throw new TokenError('InvalidRequest', `an IV has 12 or 16 bytes and a tag ${TAG_BYTES}`)
    }
    return this.#with(this.#keys, ref, (session, { key, handle }) => {
      if (!key.mayDecrypt) throw new TokenError('UsageRefused', `the token does not let key ${ref} decrypt`)
      return andThen(session.gcm('decrypt', handle, iv, aad, [ciphertext, tag]), outcome => {
        this.#check(outcome)
        checkLength(outcome.out.length, ciphertext.length)
        return outcome.out
      })
    })
  }

  wrapKey(ref: ObjectRef, how: KeyWrap, plaintext: Buffer): Promise<Buffer> {
    return this.#aes.wrap(ref, how, plaintext)
  }

  unwrapKey(ref: ObjectRef, how: KeyWrap, wrapped: Buffer): Promise<Buffer> {
    return this.#aes.unwrap(ref, how, wrapped)
  }

  oaepDecrypt(ref: ObjectRef, hash: OaepHash, ciphertext: Buffer): Promise<Buffer> {
    return this.#oaep.decrypt(ref, hash, ciphertext)
  }

  #check({ rv, call }: Ran): void {
    if (rv === 0) return
    if (isStaleHandle(rv)) throw new Outdated(tokenError(call, rv))
    if (isNotOffered({ rv, call }))
      throw new TokenError('Unsupported', `the token does not offer this: ${call} answered ${ckrName(rv)}`, rv)
    if (call === 'C_Decrypt' && this.#meansInvalidCiphertext(rv)) {
      throw new TokenError('InvalidCiphertext', NOT_THE_KEYS, rv)
    }
    throw tokenError(call, rv)
  }

  #meansInvalidCiphertext(rv: number): boolean {
    return (
      isInvalidCiphertext(rv) || this.#vendorInvalid.includes(rv) || this.#capabilities.invalidCiphertext.includes(rv)
    )
  }

  async random(bytes: number): Promise<Buffer> {
    if (!Number.isInteger(bytes) || bytes < 1 || bytes > 1024) {
      throw new TokenError('InvalidRequest', '1..1024 random bytes')
    }
    return this.#once(this.#link.deadlineMs, session =>
      andThen(session.random(bytes), outcome => {
        this.#check(outcome)
        return outcome.out
      }),
    )
  }

  status(): TokenStatus {
    return this.#link.status()
  }

  close(): Promise<void> {
    return this.#link.close()
  }
}

/** Errors after which the token has to be asked whether it is still there: SoftHSM without its folder finds no key, and answers with nothing clearer. */
function isDoubtful(error: unknown): boolean {
  if (!(error instanceof TokenError)) return false
  return (
    error.code === 'KeyNotFound' ||
    error.code === 'Unsupported' ||
    error.code === 'Failed' ||
    (error.code === 'InvalidCiphertext' && !isInvalidCiphertext(error.ckr))
  )
}

function checkSizes(aad: Buffer, data: Buffer): void {
  if (aad.length > MAX_AAD) throw new TokenError('InvalidRequest', `at most ${MAX_AAD} bytes of additional data`)
  if (data.length > MAX_DATA) throw new TokenError('InvalidRequest', `at most ${MAX_DATA} bytes`)
}

/** GCM keeps the length: a token that answers another one is not used on. */
function checkLength(actual: number, expected: number): void {
  if (actual !== expected) throw new TokenError('Failed', `the token answered ${actual} bytes where ${expected} belong`)
}
