/**
 * The tokens of custom key stores of type AWS_CLOUDHSM: which module and token stands for a cluster is configuration, the PIN is the store's password, in
 * its credential row. A token is opened at the first use of its store and kept; one that refused its PIN is not asked again until the store was disconnected.
 */
import type { ClusterConfig } from '../config.ts'
import { openSecret } from '../crypto/rows.ts'
import { openToken } from '../pkcs11/token.ts'
import { type Token, TokenError } from '../pkcs11/types.ts'
import type { Keyring } from '../root/keyring.ts'
import { Secret } from '../root/types.ts'
import type { Book } from './book.ts'

/** Why a store does not connect, in AWS's words (ConnectionErrorCode). */
export type ConnectionProblem =
  | 'CLUSTER_NOT_FOUND'
  | 'INTERNAL_ERROR'
  | 'INVALID_CREDENTIALS'
  | 'NETWORK_ERRORS'
  | 'USER_LOCKED_OUT'

const PROBLEMS: Readonly<Partial<Record<TokenError['code'], ConnectionProblem>>> = {
  PinIncorrect: 'INVALID_CREDENTIALS',
  TokenNotFound: 'CLUSTER_NOT_FOUND',
  TokenLost: 'NETWORK_ERRORS',
  Timeout: 'NETWORK_ERRORS',
  Busy: 'NETWORK_ERRORS',
}

export function problemOf(error: unknown): ConnectionProblem {
  if (!(error instanceof TokenError)) return 'INTERNAL_ERROR'
  if (error.code === 'PinIncorrect' && error.message.includes('CKR_PIN_LOCKED')) return 'USER_LOCKED_OUT'
  return PROBLEMS[error.code] ?? 'INTERNAL_ERROR'
}

export class Clusters {
  readonly #configured: ReadonlyMap<string, ClusterConfig>
  readonly #book: Pick<Book, 'read'>
  readonly #keyring: Keyring
  readonly #open = new Map<string, Promise<Token>>()

  constructor(configured: readonly ClusterConfig[], book: Pick<Book, 'read'>, keyring: Keyring) {
    this.#configured = new Map(configured.map(cluster => [cluster.id, cluster]))
    this.#book = book
    this.#keyring = keyring
  }

  /** The token of a store, by the store's row id. Rejects with `TokenError`. */
  token(store: string): Promise<Token> {
    let token = this.#open.get(store)
    if (token === undefined) {
      token = this.#connect(store)
      this.#open.set(store, token)
      token.catch(error => {
        // A PIN that was refused is not tried again by itself: it would use up the token's tries.
        const final = error instanceof TokenError && error.code === 'PinIncorrect'
        if (!final) this.#open.delete(store)
      })
    }
    return token
  }

  async #connect(store: string): Promise<Token> {
    const row = await this.#book.read('keystore-credential', store)
    if (row === undefined || row.body === null) throw new TokenError('Misconfigured', 'the key store has no password')
    const clear = openSecret(this.#keyring, { kind: row.kind, id: row.id, revision: row.revision, body: row.body })
    // `<cluster id>`, a line feed, the password.
    const end = clear.indexOf(0x0a)
    const cluster = this.#configured.get(clear.toString('latin1', 0, end))
    const pin = new Secret(Buffer.from(clear.subarray(end + 1)))
    clear.fill(0)
    if (cluster === undefined) {
      pin.wipe()
      throw new TokenError('TokenNotFound', 'the configuration has no such cluster')
    }
    const { module, token, sessions, deadlineMs, calls } = cluster
    return openToken({
      module,
      token,
      pin,
      ...(sessions === undefined ? {} : { sessions }),
      ...(deadlineMs === undefined ? {} : { deadlineMs }),
      ...(calls === undefined ? {} : { calls }),
    })
  }

  /** Logs out of a store's token, and forgets that it refused a PIN. */
  async disconnect(store: string): Promise<void> {
    const token = this.#open.get(store)
    this.#open.delete(store)
    if (token !== undefined) await token.then(opened => opened.close()).catch(() => {})
  }

  async close(): Promise<void> {
    await Promise.all([...this.#open.keys()].map(store => this.disconnect(store)))
  }
}
