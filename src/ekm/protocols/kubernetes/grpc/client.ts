/**
 * Unary calls of gRPC to one server over mutual TLS. A call waits for a connection as long as its deadline lets it, so that a server that is started anew is
 * not noticed; a connection that does not answer a ping is given up; certificates are read anew for each connection.
 */
import { readFileSync } from 'node:fs'
import http2, { type ClientHttp2Session, type IncomingHttpHeaders, type IncomingHttpStatusHeader } from 'node:http2'
import { isIP } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { watchFiles } from '../../../../http/tls-context.ts'
import { CONTENT_TYPE, frame, PREFIX_BYTES, readMessage, unframe, writeTimeout } from './frames.ts'
import { GrpcError, statusNamed, statusOfHttp } from './status.ts'
import { H2 } from './tls.ts'

export interface GrpcClientOptions {
  readonly host: string
  readonly port: number
  /** PEM: the only roots that the server's chain may end in. */
  readonly caFile: string
  readonly certificateFile: string
  readonly keyFile: string
  /** What the server's certificate must name, where it is not `host`. */
  readonly serverName: string | undefined
  /** Of an answer, without its prefix. */
  readonly maxMessage: number
  readonly onConnection: (event: 'connected' | 'lost' | 'failed', reason: string) => void
}

const CONNECT_MS = 2000
const RETRY_MS = [50, 100, 200, 400] as const
const PING_EVERY_MS = 10_000
const PING_MS = 2000

export class GrpcClient {
  readonly #options: GrpcClientOptions
  readonly #unwatch: () => void
  #session: Promise<ClientHttp2Session> | undefined
  #failures = 0
  #closed = false

  constructor(options: GrpcClientOptions) {
    this.#options = options
    const { caFile, certificateFile, keyFile } = options
    // The next call connects with what the files hold then; those under way are finished.
    this.#unwatch = watchFiles([caFile, certificateFile, keyFile], () => this.#leave(this.#session))
  }

  /** Rejects with GrpcError, and with nothing else. */
  async call(path: string, headers: Readonly<Record<string, string>>, message: Buffer, timeoutMs: number) {
    const end = performance.now() + timeoutMs
    for (;;) {
      const session = await this.#connected(end)
      const left = end - performance.now()
      const outcome = await exchange(session, path, headers, message, left, this.#options.maxMessage)
      if (outcome === 'not-sent') continue
      if (Buffer.isBuffer(outcome)) return outcome
      // A connection that a call was lost on may be dead without anyone's having been told.
      if (outcome.status === 'DEADLINE_EXCEEDED') ping(session)
      throw outcome
    }
  }

  close(): void {
    this.#closed = true
    this.#unwatch()
    this.#leave(this.#session)
  }

  #leave(session: Promise<ClientHttp2Session> | undefined): void {
    if (session === undefined) return
    if (this.#session === session) this.#session = undefined
    session.then(
      each => each.close(),
      () => {},
    )
  }

  /** A connection that is open, made anew as often as there is time for. */
  async #connected(end: number): Promise<ClientHttp2Session> {
    for (;;) {
      if (this.#closed) throw new GrpcError('CANCELLED', 'The plugin is stopping.')
      this.#session ??= this.#connect()
      const session = await within(this.#session, end).catch(() => undefined)
      if (session !== undefined && !session.closed && !session.destroyed) return session
      if (session !== undefined) this.#session = undefined
      const pause = Math.min(RETRY_MS[this.#failures] ?? RETRY_MS.at(-1) ?? 0, end - performance.now())
      if (pause <= 0) throw new GrpcError('UNAVAILABLE', 'The key manager cannot be reached.')
      this.#failures++
      await new Promise(resolve => setTimeout(resolve, pause))
    }
  }

  #connect(): Promise<ClientHttp2Session> {
    const { onConnection } = this.#options
    const connecting = open(this.#options)
    const forget = () => {
      if (this.#session === connecting) this.#session = undefined
    }
    connecting.then(
      session => {
        this.#failures = 0
        onConnection('connected', '')
        session.once('goaway', forget)
        session.once('close', () => {
          forget()
          onConnection('lost', '')
        })
      },
      (error: Error) => {
        forget()
        onConnection('failed', error.message)
      },
    )
    return connecting
  }
}

/** Rejects at `end`. */
async function within<T>(promise: Promise<T>, end: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error('late')), Math.max(0, end - performance.now()))
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

async function open(options: GrpcClientOptions): Promise<ClientHttp2Session> {
  const { host, port, serverName } = options
  const ca = readFileSync(options.caFile, 'utf8')
  // Without a root in the file Node would fall back to the public ones.
  if (!ca.includes('-----BEGIN CERTIFICATE-----')) throw new Error(`${options.caFile} holds no certificate`)
  const cert = readFileSync(options.certificateFile)
  const key = readFileSync(options.keyFile)
  const name = serverName ?? host
  const socket = connectTls({
    host,
    port,
    ca,
    cert,
    key,
    minVersion: 'TLSv1.3',
    ALPNProtocols: [H2],
    // An address may not stand in SNI; the certificate is checked against it all the same.
    ...(isIP(name) === 0 ? { servername: name } : {}),
  })
  const session = http2.connect(`https://${isIP(host) === 6 ? `[${host}]` : host}:${port}`, {
    createConnection: () => socket,
    settings: { enablePush: false },
  })
  const timer = setTimeout(() => session.destroy(new Error('no connection in time')), CONNECT_MS)
  try {
    await new Promise<void>((resolve, reject) => {
      // Whoever answers settings has taken the certificate: TLS 1.3 alone says so only with the first bytes of the server.
      session.once('remoteSettings', () => resolve())
      session.once('error', reject)
      session.once('close', () => reject(new Error('the connection was closed')))
    })
  } finally {
    clearTimeout(timer)
  }
  session.on('error', () => {})
  const pinging = setInterval(() => ping(session), PING_EVERY_MS)
  pinging.unref()
  session.once('close', () => clearInterval(pinging))
  return session
}

/** Gives the connection up where nothing comes back. */
function ping(session: ClientHttp2Session): void {
  if (session.closed || session.destroyed) return
  const timer = setTimeout(() => session.destroy(), PING_MS)
  session.once('close', () => clearTimeout(timer))
  if (!session.ping(() => clearTimeout(timer))) session.destroy()
}

/** `not-sent`: the server has certainly not begun it, so it can be sent again on another connection. */
function exchange(
  session: ClientHttp2Session,
  path: string,
  headers: Readonly<Record<string, string>>,
  message: Buffer,
  timeoutMs: number,
  maxMessage: number,
): Promise<Buffer | GrpcError | 'not-sent'> {
  return new Promise(resolve => {
    if (session.closed || session.destroyed) {
      resolve('not-sent')
      return
    }
    const stream = session.request({
      ':method': 'POST',
      ':path': path,
      'content-type': CONTENT_TYPE,
      te: 'trailers',
      'grpc-timeout': writeTimeout(timeoutMs),
      ...headers,
    })
    const timer = setTimeout(
      () => finish(new GrpcError('DEADLINE_EXCEEDED', 'The key manager did not answer in time.')),
      timeoutMs,
    )
    const finish = (outcome: Buffer | GrpcError | 'not-sent'): void => {
      clearTimeout(timer)
      resolve(outcome)
      stream.close(http2.constants.NGHTTP2_CANCEL)
    }
    let head: Head = {}
    let trailers: IncomingHttpHeaders = {}
    const chunks: Buffer[] = []
    let size = 0
    stream.on('response', received => {
      head = received
    })
    stream.on('trailers', received => {
      trailers = received
    })
    stream.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size > maxMessage + PREFIX_BYTES)
        finish(new GrpcError('RESOURCE_EXHAUSTED', 'The answer is larger than any of this service.'))
      else chunks.push(chunk)
    })
    stream.on('end', () => finish(outcomeOf(head, trailers, Buffer.concat(chunks))))
    stream.on('error', () => {})
    stream.on('close', () => {
      const refused = stream.rstCode === http2.constants.NGHTTP2_REFUSED_STREAM || stream.id === undefined
      finish(refused ? 'not-sent' : new GrpcError('UNAVAILABLE', 'The connection to the key manager was lost.'))
    })
    stream.end(frame(message))
  })
}

type Head = IncomingHttpHeaders & IncomingHttpStatusHeader

function outcomeOf(head: Head, trailers: IncomingHttpHeaders, body: Buffer): Buffer | GrpcError {
  const code = trailers['grpc-status'] ?? head['grpc-status']
  if (head[':status'] !== 200)
    return new GrpcError(statusOfHttp(head[':status'] ?? 0), 'The answer is not one of gRPC.')
  if (code !== '0')
    return new GrpcError(statusNamed(code), readMessage(trailers['grpc-message'] ?? head['grpc-message']))
  try {
    return unframe(body)
  } catch (error) {
    return error instanceof GrpcError ? error : new GrpcError('INTERNAL', 'The answer cannot be read.')
  }
}
