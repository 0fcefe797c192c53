/**
 * A listener over node:http or node:https. Everything that a stranger can send is bounded before a protocol sees it: size, number and time of
 * headers and body, connections, requests in flight. Head and body of a reply leave in one write.
 */
import { createServer, type IncomingMessage, type Server, type ServerOptions, type ServerResponse } from 'node:http'
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https'
import { type AddressInfo, isIP, type Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { isLoopback } from '../config/loopback.ts'
import { singleValues, splitTarget } from './headers.ts'
import { peerOf } from './peer.ts'
import { answerAndClose } from './refusal.ts'
import { readContext, type TlsContext, watchContext } from './tls-context.ts'
import {
  DEFAULT_LIMITS,
  type Headers,
  type HttpErrorKind,
  type HttpRequest,
  type Listener,
  type ListenerLimits,
  type ListenerOptions,
  type Peer,
  type Reply,
} from './types.ts'

/** Resolves when it listens. Rejects where the host is not loopback and there is no TLS, or a certificate cannot be read. */
export async function startListener(options: ListenerOptions): Promise<Listener> {
  if (options.tls === undefined && !isLoopback(options.host)) throw notLoopback(options)
  const running = new RunningListener(options, { ...DEFAULT_LIMITS, ...options.limits })
  await running.listen()
  return running
}

function notLoopback({ name, host }: ListenerOptions): Error {
  return new Error(`${name} listens on ${host} without TLS: configure listen.tls, or listen on 127.0.0.1`)
}

/** What is known of a connection. */
interface Connection {
  readonly address: string
  /** Requests of it that are read or handled; more than one where the client pipelines. */
  active: number
  /** Lets go of the last of them, where it is not wholly read yet. */
  reading: (() => void) | undefined
  refused: boolean
  /** The client roots that it was admitted under. */
  readonly roots: string
}

class RunningListener implements Listener {
  readonly name: string
  readonly #options: ListenerOptions
  readonly #limits: ListenerLimits
  readonly #server: Server | TlsServer
  /** Of TCP; under TLS these are not the ones that requests come from. */
  readonly #sockets = new Set<Socket>()
  /** By endpoint of the client, until the handshake is done. */
  readonly #handshakes = new Map<string, Socket>()
  readonly #connections = new WeakMap<Socket, Connection>()
  #context: TlsContext | undefined
  #unwatch: () => void = () => {}
  #inFlight = 0
  #closing = false
  #drained: (() => void) | undefined

  constructor(options: ListenerOptions, limits: ListenerLimits) {
    this.name = options.name
    this.#options = options
    this.#limits = limits
    this.#context = options.tls && readContext(options.tls)
    const settings: ServerOptions = {
      maxHeaderSize: limits.headerBytes,
      headersTimeout: limits.headersMs,
      requestTimeout: limits.requestMs,
      keepAliveTimeout: limits.idleMs,
      connectionsCheckingInterval: Math.max(20, Math.min(1000, limits.headersMs / 4, limits.requestMs / 4)),
      noDelay: true,
      insecureHTTPParser: false,
      // Checked below, so that the answer has the protocol's form.
      requireHostHeader: false,
      // A client that offers another protocol is answered in this one.
      shouldUpgradeCallback: () => false,
    }
    const handle = (request: IncomingMessage, response: ServerResponse): void => this.#receive(request, response)
    this.#server =
      this.#context === undefined
        ? createServer(settings, handle)
        : createTlsServer({ ...settings, handshakeTimeout: limits.headersMs, ...this.#context.options }, handle)
    // Node would leave out the headers beyond a count, and go on: they are bounded in bytes, and counted in `singleValues`.
    this.#server.maxHeadersCount = 0
    this.#server.maxConnections = limits.connections
    this.#watchConnections(this.#server)
    this.#server.on('checkContinue', handle)
    this.#server.on('checkExpectation', request => this.#refuseRequest(request, 'BadRequest'))
    // Without this Node closes such a connection, unanswered and uncounted.
    this.#server.on('connect', (_request, socket) => this.#refuse(socket as Socket, 'BadRequest'))
    this.#server.on('clientError', (error, socket) => this.#clientError(error, socket as Socket))
  }

  #watchConnections(server: Server | TlsServer): void {
    const count = this.#options.onUnauthenticated ?? (() => {})
    server.on('connection', socket => {
      const name = endpoint(socket)
      this.#sockets.add(socket)
      if (this.#options.tls) this.#handshakes.set(name, socket)
      socket.once('close', () => {
        this.#sockets.delete(socket)
        if (this.#handshakes.get(name) === socket) this.#handshakes.delete(name)
      })
    })
    server.on('drop', dropped => count('TooManyConnections', plainAddress(dropped?.remoteAddress)))
    server.on('tlsClientError', (_error, socket) => count('TlsHandshake', plainAddress(socket.remoteAddress)))
    server.on('secureConnection', socket => {
      this.#handshakes.delete(endpoint(socket))
      if (this.#peer(socket) === 'refused') this.#dropPeer(socket)
    })
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(this.#options.port, this.#options.host, resolve)
    })
    if (this.#options.tls !== undefined) {
      this.#unwatch = watchContext(this.#options.tls, () => void this.reload().catch(() => {}))
    } else if (!isLoopback((this.#server.address() as AddressInfo).address)) {
      this.#server.close()
      throw notLoopback(this.#options)
    }
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

  get validTo(): number | undefined {
    return this.#context?.validTo
  }

  async reload(): Promise<void> {
    const { tls, onReload } = this.#options
    if (tls === undefined || this.#closing) return
    try {
      const context = readContext(tls)
      ;(this.#server as TlsServer).setSecureContext(context.options)
      if (context.clientRoots !== this.#context?.clientRoots) {
        // Whoever was admitted under the old roots comes again; so does whoever is at the door.
        this.#server.closeIdleConnections()
        for (const socket of this.#handshakes.values()) socket.destroy()
      }
      this.#context = context
      onReload?.(undefined)
    } catch (error) {
      const failure = error instanceof Error ? error : new Error(String(error))
      onReload?.(failure)
      throw failure
    }
  }

  async close({ deadlineMs }: { readonly deadlineMs: number }): Promise<number> {
    this.#closing = true
    this.#unwatch()
    const closed = new Promise<void>(resolve => this.#server.close(() => resolve()))
    this.#server.closeIdleConnections()
    if (this.#inFlight > 0) {
      const drained = new Promise<void>(resolve => {
        this.#drained = resolve
      })
      const { promise, resolve } = Promise.withResolvers<void>()
      const deadline = setTimeout(resolve, deadlineMs)
      await Promise.race([drained, promise])
      clearTimeout(deadline)
    }
    const cut = this.#inFlight
    this.#server.closeAllConnections()
    for (const socket of this.#sockets) socket.destroy()
    await closed
    return cut
  }

  #connectionOf(socket: Socket): Connection {
    let connection = this.#connections.get(socket)
    if (connection === undefined) {
      const roots = this.#context?.clientRoots ?? ''
      connection = { address: plainAddress(socket.remoteAddress), active: 0, reading: undefined, refused: false, roots }
      this.#connections.set(socket, connection)
    }
    return connection
  }

  #clientError(error: NodeJS.ErrnoException, socket: Socket): void {
    const { code = '' } = error
    if (code === 'ERR_HTTP_REQUEST_TIMEOUT') this.#refuse(socket, 'Timeout')
    else if (code === 'HPE_HEADER_OVERFLOW' || code === 'HPE_CHUNK_EXTENSIONS_OVERFLOW')
      this.#refuse(socket, 'TooLarge')
    else if (code.startsWith('HPE_') && code !== 'HPE_INVALID_EOF_STATE') this.#refuse(socket, 'BadRequest')
    else socket.destroy()
  }

  /** Answers a request that is not wholly read, and ends its connection. Counts it. */
  #refuse(socket: Socket, kind: HttpErrorKind): void {
    const connection = this.#connectionOf(socket)
    if (connection.refused) return
    connection.refused = true
    this.#options.onUnauthenticated?.(kind, connection.address)
    connection.reading?.()
    // An answer must not get in front of those to earlier requests of the connection, nor behind the head of one.
    if (!socket.writable || connection.active > 0) socket.destroy()
    else answerAndClose(socket, this.#options.errors(kind))
  }

  #refuseRequest(request: IncomingMessage, kind: HttpErrorKind): void {
    this.#refuse(request.socket, kind)
    request.resume()
  }

  #send(response: ServerResponse, { status, headers, body }: Reply): void {
    if (response.destroyed || response.writableEnded) return
    if (this.#closing) response.shouldKeepAlive = false
    const lines: string[] = ['Content-Length', String(Buffer.byteLength(body))]
    for (const name in headers) lines.push(name, headers[name] ?? '')
    response.writeHead(status, lines)
    response.end(body)
  }

  #receive(request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request
    const connection = this.#connectionOf(socket)
    if (connection.refused) return
    const peer = this.#peer(socket)
    if (peer === 'refused') {
      this.#dropPeer(socket)
      return
    }
    const headers = singleValues(request.rawHeaders, this.#limits.headerCount)
    const target = splitTarget(request.url ?? '')
    if (headers?.host === undefined || target === undefined) {
      this.#refuseRequest(request, 'BadRequest')
      return
    }
    if (Number(headers['content-length'] ?? 0) > this.#limits.bodyBytes) {
      this.#refuseRequest(request, 'TooLarge')
      return
    }
    if (this.#closing || this.#inFlight >= this.#limits.inFlight) {
      this.#turnAway(request, response, headers)
      return
    }
    if (headers.expect !== undefined) response.writeContinue()
    this.#inFlight++
    connection.active++
    let held = true
    const release = () => {
      if (!held) return
      held = false
      connection.active--
      if (--this.#inFlight === 0) this.#drained?.()
    }
    connection.reading = release
    response.on('close', release)
    const { method = '', rawHeaders } = request
    const { address: remoteAddress } = connection
    const receivedAt = Date.now()
    this.#readBody(request, connection, body => {
      this.#handle(response, { method, ...target, headers, rawHeaders, body, remoteAddress, peer, receivedAt })
    })
  }

  /** A body without a declared length is bounded while it comes. */
  #readBody(request: IncomingMessage, connection: Connection, whole: (body: Buffer) => void): void {
    let first: Buffer | undefined
    let more: Buffer[] | undefined
    let size = 0
    request.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size > this.#limits.bodyBytes) {
        more = undefined
        first = undefined
        this.#refuse(request.socket, 'TooLarge')
      } else if (first === undefined) first = chunk
      else if (more === undefined) more = [first, chunk]
      else more.push(chunk)
    })
    request.on('end', () => {
      connection.reading = undefined
      if (connection.refused || size > this.#limits.bodyBytes) return
      whole(more === undefined ? (first ?? NO_BODY) : Buffer.concat(more, size))
    })
  }

  /** Overload is answered without ending the connection, where the body is short enough to be read away: a new connection would cost more. */
  #turnAway(request: IncomingMessage, response: ServerResponse, headers: Headers): void {
    const kind = this.#closing ? 'Unavailable' : 'Overloaded'
    if (headers['transfer-encoding'] !== undefined || headers.expect !== undefined) {
      this.#refuseRequest(request, kind)
      return
    }
    this.#options.onUnauthenticated?.(kind, this.#connectionOf(request.socket).address)
    request.resume()
    this.#send(response, this.#options.errors(kind))
  }

  #handle(response: ServerResponse, request: HttpRequest): void {
    try {
      const answer = this.#options.handler(request)
      if (answer instanceof Promise) {
        answer.then(
          reply => this.#answer(response, reply),
          error => this.#failed(response, error),
        )
      } else this.#answer(response, answer)
    } catch (error) {
      this.#failed(response, error)
    }
  }

  #answer(response: ServerResponse, reply: Reply): void {
    try {
      this.#send(response, reply)
    } catch (error) {
      this.#failed(response, error)
    }
  }

  #failed(response: ServerResponse, error: unknown): void {
    this.#options.onDefect?.(error)
    if (response.headersSent) response.destroy()
    else this.#send(response, this.#options.errors('Internal'))
  }

  /** Checked again on every request: a connection outlives certificates and configuration. */
  #peer(socket: Socket): Peer | undefined | 'refused' {
    const clients = this.#options.tls?.clients
    if (clients === undefined) return undefined
    if (this.#connectionOf(socket).roots !== this.#context?.clientRoots) return 'refused'
    return peerOf(socket as TLSSocket, clients.subjects) ?? 'refused'
  }

  #dropPeer(socket: Socket): void {
    const connection = this.#connectionOf(socket)
    if (connection.refused) return
    connection.refused = true
    this.#options.onUnauthenticated?.('ClientCertificate', connection.address)
    socket.destroy()
  }
}

const NO_BODY = Buffer.alloc(0)

function endpoint({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`
}

/** IPv4-mapped IPv6 addresses as IPv4. */
function plainAddress(address: string | undefined): string {
  return address === undefined ? '' : address.startsWith('::ffff:') ? address.slice(7) : address
}
