/**
 * The public keys of one issuer of tokens (RFC 7517), by kid. They are fetched when they are first needed and now and again after that; a kid that nobody
 * knows has them fetched at once, but not more often than strangers could make it cost something; while their host is away the last ones stand, for a while.
 */
import { createPublicKey, type KeyObject } from 'node:crypto'
import { open } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { type Destination, OutboundError, outbound } from './outbound.ts'

/** `url` may be `file:` too, where nothing can be fetched. */
export type KeySource = Destination

export interface KeySetOptions {
  /** What is older is fetched again, while it is used. */
  readonly refreshMs: number
  /** What is older is used no more. */
  readonly staleMs: number
  /** Between two attempts, whatever they are for. */
  readonly attemptMs: number
  /** For one attempt. */
  readonly deadlineMs: number
}

export const KEY_SET_DEFAULTS: KeySetOptions = {
  refreshMs: 3_600_000,
  staleMs: 86_400_000,
  attemptMs: 10_000,
  deadlineMs: 5000,
}

export interface KeySetWiring {
  /** Milliseconds of a clock that only goes forward. */
  readonly monotonic: () => number
  /** For the operator's log: the keys could not be had, and why. */
  readonly onProblem: (url: string, reason: string) => void
}

/** `unknown`: its issuer has no such key. `unavailable`: its issuer's keys are not to be had. */
export type FoundKey = KeyObject | 'unknown' | 'unavailable'

const MAX_BYTES = 256 * 1024
const MAX_KEYS = 100
export const MAX_KID = 256
const MODULUS_BITS = { min: 2048, max: 8192 }

export class KeySet {
  readonly source: KeySource
  readonly #options: KeySetOptions
  readonly #wiring: KeySetWiring
  #keys: ReadonlyMap<string, KeyObject> | undefined
  #fetchedAt = 0
  #attemptedAt = Number.NEGATIVE_INFINITY
  #attempt: Promise<void> | undefined

  constructor(source: KeySource, wiring: KeySetWiring, options: Partial<KeySetOptions> = {}) {
    this.source = source
    this.#wiring = wiring
    this.#options = { ...KEY_SET_DEFAULTS, ...options }
  }

  /** Answers at once wherever it can. Never rejects. */
  find(kid: string): FoundKey | Promise<FoundKey> {
    const key = this.#fresh()?.get(kid)
    if (key === undefined) return this.#findAfterRefresh(kid)
    if (this.#age() > this.#options.refreshMs) void this.#refresh()
    return key
  }

  async #findAfterRefresh(kid: string): Promise<FoundKey> {
    await this.#refresh()
    const keys = this.#fresh()
    return keys === undefined ? 'unavailable' : (keys.get(kid) ?? 'unknown')
  }

  #age(): number {
    return this.#wiring.monotonic() - this.#fetchedAt
  }

  #fresh(): ReadonlyMap<string, KeyObject> | undefined {
    return this.#age() > this.#options.staleMs ? undefined : this.#keys
  }

  /** One attempt at a time, and none too soon after the last: then it resolves with nothing changed. */
  #refresh(): Promise<void> {
    if (this.#attempt !== undefined) return this.#attempt
    const now = this.#wiring.monotonic()
    if (now - this.#attemptedAt < this.#options.attemptMs) return Promise.resolve()
    this.#attemptedAt = now
    this.#attempt = this.#fetch(now).finally(() => {
      this.#attempt = undefined
    })
    return this.#attempt
  }

  async #fetch(begun: number): Promise<void> {
    const { url } = this.source
    try {
      this.#keys = readKeys(url.startsWith('file:') ? await readBounded(url) : await this.#download())
      this.#fetchedAt = begun
    } catch (error) {
      this.#wiring.onProblem(url, reasonOf(error))
    }
  }

  async #download(): Promise<Buffer> {
    const { deadlineMs } = this.#options
    const { status, body } = await outbound(this.source, { method: 'GET', deadlineMs, maxBytes: MAX_BYTES })
    if (status !== 200) throw new KeySetError(`answered with status ${status}`)
    return body
  }
}

class KeySetError extends Error {
  override readonly name = 'KeySetError'
}

function reasonOf(error: unknown): string {
  if (error instanceof KeySetError || error instanceof OutboundError) return error.message
  return `cannot be read (${(error as NodeJS.ErrnoException).code ?? 'unknown'})`
}

async function readBounded(url: string): Promise<Buffer> {
  const file = await open(fileURLToPath(url), 'r')
  try {
    const bytes = Buffer.alloc(MAX_BYTES + 1)
    const { bytesRead } = await file.read(bytes, 0, bytes.length, 0)
    if (bytesRead > MAX_BYTES) throw new KeySetError(`has more than ${MAX_BYTES} bytes`)
    return bytes.subarray(0, bytesRead)
  } finally {
    await file.close()
  }
}

/** RSA keys for signatures with a kid; others are passed over. Throws KeySetError for what is no key set, and where one kid names two keys. */
export function readKeys(document: Buffer): ReadonlyMap<string, KeyObject> {
  let set: unknown
  try {
    set = JSON.parse(document.toString('utf8'))
  } catch {
    throw new KeySetError('is not JSON')
  }
  const list = isObject(set) ? set.keys : undefined
  if (!Array.isArray(list)) throw new KeySetError('is not a JWK set')
  if (list.length > MAX_KEYS) throw new KeySetError(`has more than ${MAX_KEYS} keys`)
  const keys = new Map<string, KeyObject>()
  for (const jwk of list) {
    const key = readKey(jwk)
    if (key === undefined) continue
    if (keys.has(jwk.kid)) throw new KeySetError('has two keys of one kid')
    keys.set(jwk.kid, key)
  }
  return keys
}

function readKey(jwk: unknown): KeyObject | undefined {
  if (!isObject(jwk)) return undefined
  const { kty, kid, use = 'sig', alg = 'RS256', n, e } = jwk
  if (kty !== 'RSA' || use !== 'sig' || alg !== 'RS256') return undefined
  if (typeof kid !== 'string' || kid === '' || kid.length > MAX_KID) return undefined
  if (typeof n !== 'string' || typeof e !== 'string') return undefined
  try {
    const key = createPublicKey({ key: { kty, n, e }, format: 'jwk' })
    const bits = key.asymmetricKeyDetails?.modulusLength ?? 0
    return bits >= MODULUS_BITS.min && bits <= MODULUS_BITS.max ? key : undefined
  } catch {
    return undefined
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
