/**
 * A listener over node:http or node:https. Everything that a stranger can send is bounded before a protocol sees it: size, number and time of
 * headers and body, connections, requests in flight. Head and body of a reply leave in one write.
 */
import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerOptions, type ServerResponse } from 'node:http'
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { isIP } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { peerOf } from './peer.ts'
import { TLS_PROFILES } from './tls-profiles.ts'
import {
  DEFAULT_LIMITS,
  type Headers,
  type HttpErrorKind,
  type HttpRequest,
  type Listener,
  type ListenerLimits,
  type ListenerOptions,
  type ListenerTls,
  type Peer,
  type Reply,
} from './types.ts'

/** Fields that security depends on: sent twice, a request is refused, so that nobody reads another one than was verified. */
const SINGLE_HEADERS: ReadonlySet<string> = new Set([
  'authorization',
  'content-length',
  'content-type',
  'host',
  'transfer-encoding',
  'x-amz-content-sha256',
  'x-amz-date',
  'x-amz-security-token',
  'x-amz-target',
])
const LOOPBACK = new Set(['127.0.0.1', '::1', 'localhost'])

/** Resolves when it listens. Rejects where the host is not loopback and there is no TLS, or a certificate cannot be read. */
export async function startListener(options: ListenerOptions): Promise<Listener> {
  if (options.tls === undefined && !LOOPBACK.has(options.host)) {
    throw new Error(
      `${options.name} listens on ${options.host} without TLS: configure listen.tls, or listen on 127.0.0.1`,
    )
  }
  const running = new RunningListener(options, { ...DEFAULT_LIMITS, ...options.limits })
  await running.listen()
  return running
}

/** Certificates as node:https wants them; throws where a file cannot be read. */
function secureContext(tls: ListenerTls): ServerOptions & Record<string, unknown> {
  const profile = TLS_PROFILES[tls.profile]
  return {
    ...profile,
    cert: readFileSync(tls.certificateFile),
    key: readFileSync(tls.keyFile),
    ...(tls.clients === undefined
      ? {}
      : { ca: readFileSync(tls.clients.caFile), requestCert: true, rejectUnauthorized: true }),
  }
}

class RunningListener implements Listener {
  readonly name: string
  readonly #options: ListenerOptions
  readonly #limits: ListenerLimits
  readonly #server: Server | TlsServer
  readonly #sockets = new Set<Socket>()
  #inFlight = 0
  #closing = false
  #drained: (() => void) | undefined

  constructor(options: ListenerOptions, limits: ListenerLimits) {
    this.name = options.name
    this.#options = options
    this.#limits = limits
    const settings: ServerOptions = {
      maxHeaderSize: limits.headerBytes,
      headersTimeout: limits.headersMs,
      requestTimeout: limits.requestMs,
      keepAliveTimeout: limits.idleMs,
      connectionsCheckingInterval: 1000,
      noDelay: true,
      insecureHTTPParser: false,
    }
    const handle = (request: IncomingMessage, response: ServerResponse): void => this.#receive(request, response)
    this.#server =
      options.tls === undefined
        ? createServer(settings, handle)
        : createTlsServer({ ...settings, ...secureContext(options.tls) }, handle)
    this.#server.maxHeadersCount = limits.headerCount
    this.#server.maxConnections = limits.connections
    this.#server.on('connection', socket => {
      this.#sockets.add(socket)
      socket.once('close', () => this.#sockets.delete(socket))
    })
    this.#server.on('drop', dropped => options.onUnauthenticated?.('TooManyConnections', dropped?.remoteAddress ?? ''))
    this.#server.on('tlsClientError', (_error, socket) =>
      options.onUnauthenticated?.('TlsHandshake', socket.remoteAddress ?? ''),
    )
    this.#server.on('clientError', (error: NodeJS.ErrnoException, socket) => this.#clientError(error, socket as Socket))
    this.#server.on('checkContinue', handle)
    this.#server.on('checkExpectation', (_request, response) => this.#refuse(response, 'BadRequest', ''))
    this.#server.on('upgrade', (_request, socket) => socket.destroy())
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(this.#options.port, this.#options.host, resolve)
    })
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  get url(): string {
    const { host, tls } = this.#options
    return `${tls === undefined ? 'http' : 'https'}://${isIP(host) === 6 ? `[${host}]` : host}:${this.port}`
  }

  get inFlight(): number {
    return this.#inFlight
  }

  get connections(): number {
    return this.#sockets.size
  }

  async reload(): Promise<void> {
    const { tls, onReload } = this.#options
    if (tls === undefined) return
    try {
      const context = secureContext(tls)
      ;(this.#server as TlsServer).setSecureContext(context as never)
      onReload?.(undefined)
    } catch (error) {
      onReload?.(error as Error)
    }
  }

  async close({ deadlineMs }: { readonly deadlineMs: number }): Promise<number> {
    this.#closing = true
    const closed = new Promise<void>(resolve => this.#server.close(() => resolve()))
    this.#server.closeIdleConnections()
    if (this.#inFlight > 0) {
      const timer = Promise.withResolvers<void>()
      const deadline = setTimeout(timer.resolve, deadlineMs)
      await Promise.race([new Promise<void>(resolve => (this.#drained = resolve)), timer.promise])
      clearTimeout(deadline)
    }
    const cut = this.#inFlight
    this.#server.closeAllConnections()
    for (const socket of this.#sockets) socket.destroy()
    await closed
    return cut
  }

  #clientError(error: NodeJS.ErrnoException, socket: Socket): void {
    const kind: HttpErrorKind =
      error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? 'Timeout'
        : error.code === 'HPE_HEADER_OVERFLOW'
          ? 'TooLarge'
          : 'BadRequest'
    this.#options.onUnauthenticated?.(kind, socket.remoteAddress ?? '')
    if (!socket.writable || error.code === 'ECONNRESET') {
      socket.destroy()
      return
    }
    const { status, headers, body } = this.#options.errors(kind)
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
    const length = Buffer.byteLength(body)
    socket.end(
      `HTTP/1.1 ${status} Refused\r\n${lines.join('')}content-length: ${length}\r\nconnection: close\r\n\r\n${body.toString()}`,
    )
  }

  #refuse(response: ServerResponse, kind: HttpErrorKind, address: string): void {
    this.#options.onUnauthenticated?.(kind, address)
    response.shouldKeepAlive = false
    this.#send(response, this.#options.errors(kind))
  }

  #send(response: ServerResponse, { status, headers, body }: Reply): void {
    if (response.destroyed || response.writableEnded) return
    if (this.#closing) response.shouldKeepAlive = false
    response.writeHead(status, { ...headers, 'content-length': Buffer.byteLength(body) })
    response.end(body)
  }

  #receive(request: IncomingMessage, response: ServerResponse): void {
    const address = request.socket.remoteAddress?.replace(/^::ffff:/, '') ?? ''
    const headers = singleValues(request.rawHeaders)
    if (
      headers === undefined ||
      (headers['content-length'] !== undefined && headers['transfer-encoding'] !== undefined)
    ) {
      this.#refuse(response, 'BadRequest', address)
      return
    }
    const peer = this.#peer(request.socket)
    if (peer === 'refused') {
      this.#options.onUnauthenticated?.('ClientCertificate', address)
      request.socket.destroy()
      return
    }
    const declared = Number(headers['content-length'] ?? 0)
    if (declared > this.#limits.bodyBytes) {
      this.#refuse(response, 'TooLarge', address)
      return
    }
    if (this.#closing || this.#inFlight >= this.#limits.inFlight) {
      this.#refuse(response, this.#closing ? 'Unavailable' : 'Overloaded', address)
      return
    }
    if (headers.expect !== undefined) response.writeContinue()
    this.#inFlight++
    response.once('close', () => {
      this.#inFlight--
      if (this.#inFlight === 0) this.#drained?.()
    })
    const receivedAt = Date.now()
    const chunks: Buffer[] = []
    let size = 0
    request.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size <= this.#limits.bodyBytes) chunks.push(chunk)
      else if (!response.writableEnded) this.#refuse(response, 'TooLarge', address)
    })
    request.on('end', () => {
      if (size > this.#limits.bodyBytes) return
      const body = chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks, size)
      const url = request.url ?? '/'
      const mark = url.indexOf('?')
      this.#handle(response, {
        method: request.method ?? '',
        rawPath: mark < 0 ? url : url.slice(0, mark),
        query: mark < 0 ? '' : url.slice(mark + 1),
        headers,
        rawHeaders: request.rawHeaders,
        body,
        remoteAddress: address,
        peer,
        receivedAt,
      })
    })
  }

  #handle(response: ServerResponse, request: HttpRequest): void {
    const failed = (error: unknown): void => {
      this.#options.onDefect?.(error)
      this.#send(response, this.#options.errors('Internal'))
    }
    try {
      const answer = this.#options.handler(request)
      if (answer instanceof Promise) answer.then(reply => this.#send(response, reply), failed)
      else this.#send(response, answer)
    } catch (error) {
      failed(error)
    }
  }

  /** Checked again on every request: a connection outlives certificates and configuration. */
  #peer(socket: Socket): Peer | undefined | 'refused' {
    const clients = this.#options.tls?.clients
    if (clients === undefined) return undefined
    return peerOf(socket as TLSSocket, clients.subjects) ?? 'refused'
  }
}

/** Header fields by lower-case name; undefined where one that security depends on stands there twice. */
function singleValues(raw: readonly string[]): Headers | undefined {
  const headers: Record<string, string | undefined> = Object.create(null)
  for (let index = 0; index < raw.length; index += 2) {
    const name = (raw[index] as string).toLowerCase()
    const value = raw[index + 1] as string
    const known = headers[name]
    if (known !== undefined && SINGLE_HEADERS.has(name)) return undefined
    headers[name] = known === undefined ? value : `${known},${value}`
  }
  return headers
}
