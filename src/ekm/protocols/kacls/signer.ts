/**
 * The pair that this service signs its own tokens with, for a tenant: it lies in the boundary, where the owner rotates and revokes it like any key. Tokens
 * that it signed for delegates are verified by its current public key, and so is every token while the key is not revoked; other services get that from
 * `certs`.
 */
import { createHash, createPublicKey, type KeyObject } from 'node:crypto'
import type { FoundKey } from '../../access/jwks.ts'
import type { Call, Core } from '../../core.ts'
import { KACLS_PROTOCOL } from './protocol.ts'

interface Current {
  readonly spki: Buffer
  readonly key: KeyObject
  readonly kid: string
}

export class Signer {
  readonly keyId: string
  readonly #core: Core
  readonly #tenant: string
  #known: Current | undefined

  constructor(core: Core, tenant: string, keyId: string) {
    this.#core = core
    this.#tenant = tenant
    this.keyId = keyId
  }

  /** Undefined where there is none that is in force. Rejects with a CoreError. */
  async current(): Promise<Current | undefined> {
    const found = await this.#core.published(KACLS_PROTOCOL, this.#tenant, this.keyId)
    if (found === undefined || !found.enabled || found.publicKey.length === 0) return undefined
    const { publicKey: spki } = found
    if (this.#known?.spki !== spki) {
      const kid = createHash('sha256').update(spki).digest('base64url')
      this.#known = { spki, kid, key: createPublicKey({ key: spki, format: 'der', type: 'spki' }) }
    }
    return this.#known
  }

  /** As a verifier of tokens asks for a key. */
  async find(kid: string): Promise<FoundKey> {
    try {
      const current = await this.current()
      return current?.kid === kid ? current.key : 'unknown'
    } catch {
      return 'unavailable'
    }
  }

  /** A JWT with these claims. `call` is recorded as what it is for. */
  async sign(call: Call, claims: object): Promise<string> {
    const kid = (await this.current())?.kid ?? ''
    const part = (value: object): string => Buffer.from(JSON.stringify(value), 'utf8').toString('base64url')
    const signed = `${part({ alg: 'RS256', typ: 'JWT', kid })}.${part(claims)}`
    // The core refuses and records where there is no key in force.
    const signature = await this.#core.sign({ ...call, keyId: this.keyId }, Buffer.from(signed, 'latin1'))
    return `${signed}.${signature.toString('base64url')}`
  }
}

/** What `certs` answers: a JWK set (RFC 7517). */
export async function publishedKeys(signer: Signer | undefined): Promise<object> {
  const current = await signer?.current()
  if (current === undefined) return { keys: [] }
  const { kty, n, e } = current.key.export({ format: 'jwk' })
  return { keys: [{ kty, n, e, kid: current.kid, use: 'sig', alg: 'RS256' }] }
}
