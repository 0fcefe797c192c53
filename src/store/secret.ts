/**
 * Secret bytes that the front end must know in the clear. The object redacts itself wherever it could be printed, copied or serialised.
 */
import { inspect } from 'node:util'

const REDACTED = '[secret]'

export class Secret {
  readonly #bytes: Buffer

  /** Copies `bytes`, so that the caller can wipe its own. */
  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.allocUnsafeSlow(bytes.length)
    this.#bytes.set(bytes)
  }

  get length(): number {
    return this.#bytes.length
  }

  /** Gives the bytes to `use` and returns its result. Neither keep nor change them. */
  reveal<T>(use: (bytes: Buffer) => T): T {
    return use(this.#bytes)
  }

  /** Overwrites the bytes; whoever still holds the object gets zeros. */
  wipe(): void {
    this.#bytes.fill(0)
  }

  toString(): string {
    return REDACTED
  }

  toJSON(): string {
    return REDACTED
  }

  [inspect.custom](): string {
    return REDACTED
  }
}
