/** Kubernetes KMS v2 as its client, over node:http2 alone: to a Unix socket as an API server, or to the door for plugins with a certificate. */
import { readFileSync } from 'node:fs'
import http2, { type ClientHttp2Session } from 'node:http2'
import { connect } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { frame, unframe } from '../../src/ekm/protocols/kubernetes/grpc/frames.ts'
import { statusNamed } from '../../src/ekm/protocols/kubernetes/grpc/status.ts'
import { type Method, pathOf } from '../../src/ekm/protocols/kubernetes/messages.ts'
import type { CertificateFiles } from './certificates.ts'

export interface GrpcAnswer {
  /** `NO_ANSWER` where the connection was not to be had, or was lost. */
  readonly status: string
  readonly message: Buffer
}

const NO_ANSWER: GrpcAnswer = { status: 'NO_ANSWER', message: Buffer.alloc(0) }

export class GrpcCaller {
  readonly #open: () => ClientHttp2Session
  readonly #headers: Readonly<Record<string, string>>
  #session: ClientHttp2Session | undefined

  private constructor(open: () => ClientHttp2Session, headers: Readonly<Record<string, string>>) {
    this.#open = open
    this.#headers = headers
  }

  static toSocket(path: string): GrpcCaller {
    return new GrpcCaller(() => http2.connect('http://localhost', { createConnection: () => connect(path) }), {})
  }

  /** `headers`: which tenant and key it is for. */
  static toDoor(
    port: number,
    caFile: string,
    client: CertificateFiles | undefined,
    headers: Readonly<Record<string, string>>,
  ): GrpcCaller {
    const identity = client && { cert: readFileSync(client.certificateFile), key: readFileSync(client.keyFile) }
    const options = { host: '127.0.0.1', port, ca: readFileSync(caFile), ALPNProtocols: ['h2'], ...identity }
    const open = () => http2.connect(`https://127.0.0.1:${port}`, { createConnection: () => connectTls(options) })
    return new GrpcCaller(open, headers)
  }

  call(method: Method, request: Buffer): Promise<GrpcAnswer> {
    return new Promise(done => {
      const lost = () => done(NO_ANSWER)
      const session = this.#connected()
      session.once('error', lost)
      const stream = session.request({
        ':method': 'POST',
        ':path': pathOf(method),
        'content-type': 'application/grpc',
        te: 'trailers',
        ...this.#headers,
      })
      const chunks: Buffer[] = []
      let status: unknown
      stream.on('response', head => {
        status = head['grpc-status']
      })
      stream.on('trailers', trailers => {
        status = trailers['grpc-status']
      })
      stream.on('data', (chunk: Buffer) => chunks.push(chunk))
      stream.on('error', lost)
      stream.on('close', () => {
        session.off('error', lost)
        if (status === undefined) return lost()
        const name = statusNamed(status)
        done({ status: name, message: name === 'OK' ? unframe(Buffer.concat(chunks)) : Buffer.alloc(0) })
      })
      stream.end(frame(request))
    })
  }

  close(): void {
    this.#session?.destroy()
  }

  #connected(): ClientHttp2Session {
    const open = this.#session
    if (open !== undefined && !open.closed && !open.destroyed) return open
    const session = this.#open()
    // Of the connection: each call hears of it, and where there is none nobody needs to.
    session.on('error', () => {})
    session.setMaxListeners(0)
    this.#session = session
    return session
  }
}
