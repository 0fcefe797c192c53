/**
 * What a root of trust is, and the class in which root secrets travel inside the boundary.
 */
import { createSecretKey, type KeyObject } from 'node:crypto'
import { inspect } from 'node:util'

export type RootKind = 'keyfile' | 'passphrase' | 'pkcs11' | 'shares'

/** What opens a boundary: it wraps the sealing roots for the root file and unwraps them at start. Wrapping authenticates. */
export interface RootOfTrust {
  readonly kind: RootKind
  /** What `unwrap` will need to know another time (salt, costs, which object of which token); kept in the clear in the root file, at most 4096 bytes. */
  readonly parameters: Buffer
  wrap(secret: Secret): Promise<Buffer>
  /** Throws `RootError` where the bytes were not wrapped by this root. */
  unwrap(wrapped: Buffer): Promise<Secret>
}

export type RootErrorCode =
  /** The passphrase is not the one. */
  | 'WrongPassphrase'
  /** One or more of the shares; never which. */
  | 'WrongShares'
  /** The key file is not the one, or the token's key is another. */
  | 'WrongRoot'
  /** The file is no root file, is damaged, or was changed by someone else. */
  | 'Damaged'
  /** What the operator must change is in the message. */
  | 'Refused'

/** A root of trust that could not be used. The message tells the operator what to do and holds no secret. */
export class RootError extends Error {
  readonly code: RootErrorCode
  constructor(code: RootErrorCode, message: string) {
    super(message)
    this.name = 'RootError'
    this.code = code
  }
}

/** Secret bytes that show themselves nowhere: not under inspect, JSON, string conversion or a stack. Wipe it after use. */
export class Secret {
  #bytes: Buffer

  /** Takes the bytes over: the caller must not keep them. */
  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  get length(): number {
    return this.#bytes.length
  }

  /** Lends the bytes to `use`, which must not keep them. Throws once the secret was wiped: an empty key would encrypt for everybody. */
  use<T>(use: (bytes: Buffer) => T): T {
    if (this.#bytes.length === 0) throw new Error('a secret was used after it was wiped')
    return use(this.#bytes)
  }

  toKeyObject(): KeyObject {
    return this.use(bytes => createSecretKey(bytes))
  }

  /** Overwrites the bytes; the secret is empty afterwards. */
  wipe(): void {
    this.#bytes.fill(0)
    this.#bytes = Buffer.alloc(0)
  }

  toString(): string {
    return '[secret]'
  }

  toJSON(): string {
    return '[secret]'
  }

  [inspect.custom](): string {
    return '[secret]'
  }
}
