/**
 * A PKCS#11 token as the boundary uses it: AES-256 keys and RSA pairs that never leave it, found by id or label; AES-GCM, AES key wrap and RSAES-OAEP under them.
 * `openToken` (token.ts) makes one; `tokenRoot` (root.ts) makes a root of trust of one.
 */
import type { Secret } from '../root/types.ts'

/**
 * What went wrong. `fatal`: the token object is of no more use and nothing is tried again until an operator acts and the process is started anew.
 * `lost`: it comes back by itself; later calls try.
 */
export const TOKEN_ERRORS = {
  /** The module cannot be loaded, or is not a PKCS#11 module of a version that we speak. */
  ModuleUnusable: { fatal: true, lost: false },
  /** The token refused the PIN, or has locked it. Login is never tried again with it: a second wrong try burns the token's counter. */
  PinIncorrect: { fatal: true, lost: false },
  /** What the operator must change before the token can be used is in the message. */
  Misconfigured: { fatal: true, lost: false },
  /** No token of that label or slot, at the first start. */
  TokenNotFound: { fatal: true, lost: false },
  /** The token, its session or the connection to it is gone. */
  TokenLost: { fatal: false, lost: true },
  KeyNotFound: { fatal: false, lost: false },
  /** More than one object answers to the name. */
  KeyAmbiguous: { fatal: false, lost: false },
  /** The object is not an AES-256 secret key or an RSA private key in the token, or is extractable, or is not sensitive. */
  KeyUnsuitable: { fatal: false, lost: false },
  /** The key may not be used for this (CKA_ENCRYPT, CKA_DECRYPT). */
  UsageRefused: { fatal: false, lost: false },
  /** The token has no mechanism for this, and it cannot be done soundly without. */
  Unsupported: { fatal: false, lost: false },
  /** What was to be opened is not what the key has made. Only ever from `gcmDecrypt`, `unwrapKey` and `oaepDecrypt`. */
  InvalidCiphertext: { fatal: false, lost: false },
  /** The caller of this room sent what it should have refused: an IV of another length, data above the bound. */
  InvalidRequest: { fatal: false, lost: false },
  /** The deadline ran out, waiting for a session or for the token's answer. */
  Timeout: { fatal: false, lost: false },
  /** Too many calls are waiting for a session. */
  Busy: { fatal: false, lost: false },
  /** `close` was called. */
  Closed: { fatal: true, lost: false },
  /** The token answered with something else; `ckr` has its code. */
  Failed: { fatal: false, lost: false },
} as const satisfies Record<string, { fatal: boolean; lost: boolean }>
export type TokenErrorCode = keyof typeof TOKEN_ERRORS

/** The one thing that is ever said of it. */
export const NOT_THE_KEYS = 'what was to be opened is not what the key has made'

/** `message` is for the operator and holds no secret. */
export class TokenError extends Error {
  readonly code: TokenErrorCode
  /** The CK_RV behind it, or 0. */
  readonly ckr: number
  constructor(code: TokenErrorCode, message: string, ckr = 0) {
    super(message)
    this.name = 'TokenError'
    this.code = code
    this.ckr = ckr
  }

  get fatal(): boolean {
    return TOKEN_ERRORS[this.code].fatal
  }
}

/** How an HSM differs from the standard. Configured, never assumed: see docs/hsm.md for what each vendor needs. */
export interface TokenCapabilities {
  /** The token makes the IV of AES-GCM itself and writes it into the mechanism (AWS CloudHSM). Then the IV of the result is the token's. */
  readonly tokenMakesIv: boolean
  /** Such a token wants 12 zero bytes where it will write its IV. Anything else that leaves the IV zero is refused. */
  readonly zeroIvRequired: boolean
  /** Further CK_RVs of `C_Decrypt` that mean "tag does not match" on this token, besides the standard's own. */
  readonly invalidCiphertext: readonly number[]
}

export interface TokenOptions {
  /** Path of the vendor's PKCS#11 module (.so, .dylib). */
  readonly module: string
  /** The token by its label (CK_TOKEN_INFO, trailing spaces aside), which must be unique, or by its slot number. */
  readonly token: { readonly label: string } | { readonly slot: number }
  /** `readPin` (pin.ts) makes it. The token takes it over: it logs in with it again after a loss, and wipes it when it is closed or has failed. */
  readonly pin: Secret
  /** Sessions for use, 1..64; the token object itself holds one more. Default 8. In `sync` mode one is ever in use. */
  readonly sessions?: number
  /** Milliseconds that one call may take, waiting for a session included. Default 200. In `sync` mode a call that blocks cannot be cut short. */
  readonly deadlineMs?: number
  /** Calls that may wait for a session; further ones are `Busy`. Default 1024. */
  readonly queue?: number
  /**
   * `sync`: on the calling thread, for tokens in this process (SoftHSM). `async`: on libuv's pool, for HSMs across a network or a bus; the process
   * must be started with `UV_THREADPOOL_SIZE` of at least `threadPoolSize(sessions)`. Default: `sync` for SoftHSM, `async` for everything else.
   */
  readonly calls?: 'sync' | 'async'
  readonly capabilities?: Partial<TokenCapabilities>
  /** Milliseconds between two attempts to get a lost token back. Default 1000. */
  readonly reopenMs?: number
  /** Told when the token is lost, is back, or has failed for good; must not throw. */
  readonly onChange?: (status: TokenStatus) => void
}

/** `id:<hex of CKA_ID>` or `label:<CKA_LABEL>`. */
export type ObjectRef = `id:${string}` | `label:${string}`

/** A key of the token. Valid across loss and return of the token: it names the object, not a handle. */
export interface TokenKey {
  readonly ref: ObjectRef
  /** CKA_LABEL and CKA_ID (hex), for people. */
  readonly label: string
  readonly id: string
  readonly mayEncrypt: boolean
  readonly mayDecrypt: boolean
}

export type ModulusBits = 2048 | 3072 | 4096
export const MODULUS_BITS: readonly ModulusBits[] = [2048, 3072, 4096]

/** An RSA pair whose private half is in the token. */
export interface TokenPair {
  readonly ref: ObjectRef
  readonly label: string
  readonly id: string
  readonly mayDecrypt: boolean
  readonly modulusBits: ModulusBits
  /** DER SPKI, read from the token. */
  readonly publicKey: Buffer
}

/** Of RSAES-OAEP, in both places. */
export type OaepHash = 'sha1' | 'sha256'
/** `plain`: RFC 3394, `padded`: RFC 5649. */
export type KeyWrap = 'plain' | 'padded'

export interface KeyUsage {
  readonly encrypt: boolean
  readonly decrypt: boolean
}

export interface GcmResult {
  /** 12 bytes. The one given, or the token's own where it makes them. Always take this one. */
  readonly iv: Buffer
  /** As long as the plaintext. */
  readonly ciphertext: Buffer
  /** 16 bytes. */
  readonly tag: Buffer
}

export interface TokenStatus {
  /** `open`: logged in. `lost`: gone, being tried again. `failed`: for good. */
  readonly state: 'open' | 'lost' | 'failed' | 'closed'
  /** Why not `open`: a sentence for the operator. Else empty. */
  readonly detail: string
  readonly module: string
  /** Library and token as they describe themselves. */
  readonly library: string
  readonly tokenLabel: string
  readonly manufacturer: string
  readonly model: string
  readonly serial: string
  readonly calls: 'sync' | 'async'
  /** Sessions that are open for use, busy ones included; of those, calls that ran past their deadline and have not returned. */
  readonly sessions: number
  readonly abandoned: number
  readonly waiting: number
  /** C_Login calls made so far: one at start, one for each return of the token, one each time that its module was initialised anew for another one. */
  readonly logins: number
  /** Times that the token was lost. */
  readonly losses: number
}

/** The largest plaintext or ciphertext, and the largest additional data, in bytes: above what any protocol here allows. */
export const MAX_DATA = 16_384
export const MAX_AAD = 16_384
/** The largest key that is wrapped, in bytes: each 8 of them may be six calls. */
export const MAX_WRAPPED = 4096
export const IV_BYTES = 12
export const TAG_BYTES = 16

/** All methods reject with `TokenError`. Input buffers must not change until the promise has settled. */
export interface Token {
  /**
   * Exactly one secret key object in the token with this id or label, AES of 32 bytes, sensitive and not extractable. Found once, then remembered
   * until the token says that the handle is stale. KeyNotFound, KeyAmbiguous, KeyUnsuitable.
   */
  findKey(ref: ObjectRef): Promise<TokenKey>
  /**
   * Makes an AES-256 key in the token: CKA_TOKEN, CKA_PRIVATE, CKA_SENSITIVE, not CKA_EXTRACTABLE, not modifiable. `id` is 1..32 bytes. Refused with
   * KeyAmbiguous when an object with this label or id is there already.
   */
  generateKey(label: string, id: Buffer, usage: KeyUsage): Promise<TokenKey>
  /**
   * Exactly one private key object in the token with this id or label, RSA of 2048, 3072 or 4096 bits, sensitive and not extractable. Remembered as keys
   * are. KeyNotFound, KeyAmbiguous, KeyUnsuitable.
   */
  findPair(ref: ObjectRef): Promise<TokenPair>
  /** Makes an RSA pair in the token, as `generateKey` makes a key: the private half may decrypt where `mayDecrypt` says so, and nothing else. */
  generatePair(label: string, id: Buffer, modulusBits: ModulusBits, mayDecrypt: boolean): Promise<TokenPair>
  /** Destroys a key in the token. KeyNotFound where there is none. */
  destroyKey(ref: ObjectRef): Promise<void>
  /** AES-256-GCM. `iv` is 12 bytes, fresh for every call, made by the caller; refused before the token sees it when it is not 12 bytes or all zero. */
  gcmEncrypt(key: ObjectRef, iv: Buffer, aad: Buffer, plaintext: Buffer): Promise<GcmResult>
  /** `iv` 12 or 16 bytes, `tag` 16. Rejects with InvalidCiphertext when they do not belong together. */
  gcmDecrypt(key: ObjectRef, iv: Buffer, aad: Buffer, ciphertext: Buffer, tag: Buffer): Promise<Buffer>
  /**
   * AES key wrap under a secret key. InvalidRequest where the length is none that the algorithm takes (`plain`: a multiple of 8, 16 to MAX_WRAPPED bytes;
   * `padded`: 1 to MAX_WRAPPED).
   */
  wrapKey(key: ObjectRef, how: KeyWrap, plaintext: Buffer): Promise<Buffer>
  /** InvalidCiphertext, always the same, whatever is wrong. */
  unwrapKey(key: ObjectRef, how: KeyWrap, wrapped: Buffer): Promise<Buffer>
  /** RSAES-OAEP under a pair's private half. InvalidCiphertext, always the same, whatever is wrong. */
  oaepDecrypt(pair: ObjectRef, hash: OaepHash, ciphertext: Buffer): Promise<Buffer>
  /** 1..1024 random bytes of the token's generator. */
  random(bytes: number): Promise<Buffer>
  status(): TokenStatus
  /** Lets calls in flight return (at most the deadline), logs out, and lets go of the module. */
  close(): Promise<void>
}

/**
 * What UV_THREADPOOL_SIZE must at least be for `sessions`: one thread for each, one for asking or opening again, and the four that files and
 * node:crypto count on, so that a hanging token never takes theirs.
 */
export function threadPoolSize(sessions: number): number {
  return sessions + 1 + 4
}
