/**
 * For tests: an issuer of tokens as the identity providers are. It serves its keys over HTTP on loopback, changes them, goes away and comes back, and signs
 * what it is told to.
 */
import { createHash, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type JWTPayload, SignJWT } from 'jose'

interface SigningKey {
  readonly kid: string
  readonly privateKey: KeyObject
  readonly publicKey: KeyObject
}

export class Issuer {
  readonly name: string
  readonly url: string
  /** How often its keys were asked for. */
  asked = 0
  /** What is answered in place of its keys. */
  document: string | undefined
  #keys: SigningKey[] = []
  #away = false
  readonly #server: Server

  private constructor(name: string, server: Server) {
    this.name = name
    this.#server = server
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/keys`
    this.rotate()
  }

  /** `name`: its `iss`. */
  static async start(name: string): Promise<Issuer> {
    const server = createServer()
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    const issuer = new Issuer(name, server)
    server.on('request', (_request, response) => {
      issuer.asked++
      if (issuer.#away) return response.destroy()
      return response.writeHead(200, { 'Content-Type': 'application/json' }).end(issuer.document ?? issuer.jwks())
    })
    return issuer
  }

  get current(): SigningKey {
    const key = this.#keys.at(-1)
    if (key === undefined) throw new Error('an issuer has a key')
    return key
  }

  /** Signs with a new key from now on. The old ones stay among its keys, unless it is told to forget them. */
  rotate({ forget = false } = {}): void {
    const pair = generateKeyPairSync('rsa', { modulusLength: 2048 })
    const spki = pair.publicKey.export({ format: 'der', type: 'spki' })
    const kid = createHash('sha256').update(spki).digest('hex').slice(0, 40)
    this.#keys = [...(forget ? [] : this.#keys), { kid, ...pair }]
  }

  goAway(): void {
    this.#away = true
  }

  comeBack(): void {
    this.#away = false
  }

  jwks(): string {
    const keys = this.#keys.map(({ kid, publicKey }) => ({
      ...publicKey.export({ format: 'jwk' }),
      kid,
      use: 'sig',
      alg: 'RS256',
    }))
    return JSON.stringify({ keys })
  }

  /** Claims over those that every token has: iss, iat of now, exp in an hour. `undefined` leaves one out. */
  sign(claims: JWTPayload, { kid = this.current.kid, now = Date.now() } = {}): Promise<string> {
    const seconds = Math.floor(now / 1000)
    return new SignJWT({ iss: this.name, iat: seconds, exp: seconds + 3600, ...claims })
      .setProtectedHeader({ alg: 'RS256', kid, typ: 'JWT' })
      .sign(this.current.privateKey)
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise(resolve => this.#server.close(resolve))
  }
}
