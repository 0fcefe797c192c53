/**
 * The KMS as the client of one owner's proxy. Each attempt has 250 ms from the name's look-up to the last byte. An attempt that timed out, or whose kept-alive
 * connection was just being closed, is made once more with the very same bytes (a proxy answers a byte-identical request once more, so a lost answer is not
 * lost), with 250 ms of its own: so a caller waits at most half a second. Beyond the bound of requests in flight, and while the breaker is open, it waits for nothing.
 */
import { type Signer, signRequest } from '../../http/sigv4-sign.ts'
import { tooFast } from '../wire/errors.ts'
import { type Admission, Breaker } from './breaker.ts'
import { XksFailure } from './failures.ts'
import { type HttpAnswer, type Route, StaleConnection, Transport } from './transport.ts'

export const SERVICE = 'kms-xks-proxy'

export interface ClientSettings {
  /** Milliseconds that one attempt may take, connection set-up included. */
  readonly deadlineMs: number
  /** Requests that one store may have under way, and connections. 1,800 requests a second at the recommended 35 ms need 63. */
  readonly inFlight: number
}

export const DEFAULT_CLIENT: ClientSettings = { deadlineMs: 250, inFlight: 128 }

/** What is constant for the requests of one call: the store's path and who signs. */
export interface Access {
  readonly uriPath: string
  readonly region: string
  readonly signer: Signer
}

export interface ClientStatus {
  readonly hostName: string
  readonly inFlight: number
  readonly breaker: 'closed' | 'open' | 'half-open'
}

export class XksClient {
  readonly hostName: string
  readonly #settings: ClientSettings
  readonly #transport: Transport
  readonly #breaker: Breaker
  #inFlight = 0
  #closing = false
  /** Why nobody answered last: what callers are told while the breaker is open. */
  #lastSilence = new XksFailure('timeout', 'not tried')

  constructor(hostName: string, route: Route, settings: ClientSettings = DEFAULT_CLIENT, breaker = new Breaker()) {
    this.hostName = hostName
    this.#settings = settings
    this.#transport = new Transport(hostName, route, settings.inFlight)
    this.#breaker = breaker
  }

  /**
   * One request of the protocol, whose answer `read` turns into a result. Rejects with `XksFailure` (also what `read` throws), or with `KmsError`
   * ThrottlingException when too many are under way.
   */
  async request<T>(access: Access, suffix: string, body: Buffer, read: (answer: HttpAnswer) => T): Promise<T> {
    if (this.#inFlight >= this.#settings.inFlight) throw tooFast()
    const path = access.uriPath + suffix
    const headers = signRequest(
      { method: 'POST', path, host: this.hostName, body },
      access.signer,
      SERVICE,
      access.region,
      Date.now(),
    )
    this.#inFlight += 1
    try {
      return read(await this.#twice(path, { ...headers }, body))
    } finally {
      this.#inFlight -= 1
      if (this.#closing && this.#inFlight === 0) this.#transport.close()
    }
  }

  async #twice(path: string, headers: Record<string, string>, body: Buffer): Promise<HttpAnswer> {
    try {
      return await this.#once(path, headers, body)
    } catch (error) {
      const again = error instanceof XksFailure && (error.failure === 'timeout' || error instanceof StaleConnection)
      if (!again || this.#breaker.state === 'open') throw error
    }
    return this.#once(path, headers, body)
  }

  async #once(path: string, headers: Record<string, string>, body: Buffer): Promise<HttpAnswer> {
    const admission = this.#breaker.admit()
    if (admission === 'refused') {
      throw new XksFailure(
        this.#lastSilence.failure,
        `not tried, since nobody answered lately: ${this.#lastSilence.detail}`,
      )
    }
    try {
      const answer = await this.#transport.post(path, headers, body, this.#settings.deadlineMs)
      this.#breaker.answered()
      return answer
    } catch (error) {
      this.#note(error, admission)
      throw error
    }
  }

  #note(error: unknown, admission: Admission): void {
    if (error instanceof XksFailure && !error.silent) {
      this.#breaker.answered()
      return
    }
    if (error instanceof StaleConnection) {
      this.#breaker.undecided(admission)
      return
    }
    if (error instanceof XksFailure) this.#lastSilence = error
    this.#breaker.unanswered(admission)
  }

  status(): ClientStatus {
    return { hostName: this.hostName, inFlight: this.#inFlight, breaker: this.#breaker.state }
  }

  /** New requests are sent by this route. */
  renew(route: Route): void {
    this.#transport.renew(route)
  }

  /** No new requests come; the connections close when the last one has ended. */
  close(): void {
    this.#closing = true
    if (this.#inFlight === 0) this.#transport.close()
  }
}
