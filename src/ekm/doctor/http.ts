/** One HTTPS request of the doctor's, bounded in time and size. */
import { readFileSync } from 'node:fs'
import https from 'node:https'
import type { Target } from './types.ts'

export interface DoctorAnswer {
  readonly status: number
  readonly headers: NodeJS.Dict<string | string[]>
  readonly text: string
  /** From the first byte that was sent to the last that came, connecting not counted where the connection was there. */
  readonly milliseconds: number
}

export interface DoctorRequest {
  readonly method: 'GET' | 'POST' | 'OPTIONS'
  /** As it is sent, with the tenant's prefix. */
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

const ANSWER_MS = 5000
const MAX_ANSWER = 65_536

export class Caller {
  readonly #target: Target
  readonly #agent: https.Agent

  /** `withClient` false leaves the client certificate out. */
  constructor(target: Target, withClient = true) {
    const { ca, client } = target
    this.#target = target
    this.#agent = new https.Agent({
      keepAlive: true,
      maxSockets: 1,
      ...(ca === undefined ? {} : { ca }),
      ...(client && withClient && { cert: readFileSync(client.certificateFile), key: readFileSync(client.keyFile) }),
    })
  }

  /** As it stands in the Host field. */
  get host(): string {
    return this.#target.url.host
  }

  send({ method, path, headers = {}, body = '' }: DoctorRequest): Promise<DoctorAnswer> {
    const { hostname, port } = this.#target.url
    const started = performance.now()
    return new Promise((resolve, reject) => {
      const length = Buffer.byteLength(body)
      const request = https.request(
        {
          agent: this.#agent,
          host: hostname.replace(/^\[|\]$/g, ''),
          port: port || '443',
          method,
          path,
          headers: { host: this.host, ...(length > 0 ? { 'content-length': String(length) } : {}), ...headers },
        },
        response => {
          const parts: Buffer[] = []
          let size = 0
          response.on('data', (part: Buffer) => {
            size += part.length
            if (size > MAX_ANSWER) request.destroy(new Error(`an answer of more than ${MAX_ANSWER} bytes`))
            else parts.push(part)
          })
          response.on('end', () =>
            resolve({
              status: response.statusCode ?? 0,
              headers: response.headers,
              text: Buffer.concat(parts).toString('utf8'),
              milliseconds: performance.now() - started,
            }),
          )
        },
      )
      request.setTimeout(ANSWER_MS, () => request.destroy(new Error(`no answer within ${ANSWER_MS} ms`)))
      request.once('error', reject)
      request.end(body)
    })
  }

  close(): void {
    this.#agent.destroy()
  }
}
