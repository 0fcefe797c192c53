/**
 * Unary calls of gRPC over HTTP/2, on sockets that others have accepted. Everything that a stranger can send is bounded before the protocol sees it: streams,
 * headers, size and time of the message, calls in flight. Why node:http2 and no library: docs/decisions/0030-grpc-over-node-http2.md.
 */
import http2, { type IncomingHttpHeaders, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2'
import type { Socket } from 'node:net'
import type { ListenerLimits, RefusalReason } from '../../../../http/types.ts'
import { CONTENT_TYPE, frame, isGrpc, PREFIX_BYTES, readTimeout, writeMessage } from './frames.ts'
import { GRPC_STATUS, type GrpcError, type GrpcStatus } from './status.ts'

export interface UnaryCall<Peer> {
  readonly path: string
  readonly headers: IncomingHttpHeaders
  /** With its prefix, within the bound; not looked at. */
  readonly body: Buffer
  /** How long the client still waits, in milliseconds, where it says so. */
  readonly timeoutMs: number | undefined
  readonly peer: Peer
  /** Of the TCP peer; empty for a Unix socket. */
  readonly address: string
}

export type UnaryReply =
  | { readonly status: 'OK'; readonly message: Buffer }
  | { readonly status: Exclude<GrpcStatus, 'OK'>; readonly text: string }

export interface GrpcServerOptions<Peer> {
  readonly limits: Pick<ListenerLimits, 'headerBytes' | 'headerCount' | 'requestMs' | 'idleMs' | 'inFlight'>
  /** Without its prefix. */
  readonly maxMessage: number
  readonly has: (path: string) => boolean
  readonly handle: (call: UnaryCall<Peer>) => Promise<UnaryReply>
  /** Called once for each refused call or connection. */
  readonly onRefused: (reason: RefusalReason | 'UnknownMethod', address: string) => void
  /** `handle` rejected. */
  readonly onDefect: (error: unknown) => void
}

/** Streams of one connection at once. The API server has few; one connection must not take all that is in flight. */
const STREAMS = 128
const SESSION_MEGABYTES = 4
/** How long a peer may take to end a connection that has been ended here; no longer than it may rest. */
const LINGER_MS = 1000

const overloaded: UnaryReply = { status: 'RESOURCE_EXHAUSTED', text: 'Too many requests are being handled; try again.' }
const stopping: UnaryReply = { status: 'UNAVAILABLE', text: 'The key manager is stopping; try again.' }
const late: UnaryReply = { status: 'DEADLINE_EXCEEDED', text: 'The request did not arrive in time.' }
const tooLarge: UnaryReply = { status: 'RESOURCE_EXHAUSTED', text: 'The message is larger than any of this service.' }
const failed: UnaryReply = {
  status: 'INTERNAL',
  text: 'The key manager failed; its operator finds the cause in its log.',
}

export class GrpcServer<Peer> {
  readonly #options: GrpcServerOptions<Peer>
  readonly #sessions = new Set<ServerHttp2Session>()
  #inFlight = 0
  #closing = false
  #drained: (() => void) | undefined

  constructor(options: GrpcServerOptions<Peer>) {
    this.#options = options
  }

  get inFlight(): number {
    return this.#inFlight
  }

  get connections(): number {
    return this.#sessions.size
  }

  /** Serves a connection. `identify` says who it is, and is asked again for every call: undefined ends the connection. */
  accept(socket: Socket, address: string, identify: () => Peer | undefined): void {
    const { limits } = this.#options
    if (this.#closing) {
      socket.destroy()
      return
    }
    const session = http2.performServerHandshake(socket, {
      maxHeaderListPairs: limits.headerCount,
      maxSessionMemory: SESSION_MEGABYTES,
      settings: { maxConcurrentStreams: STREAMS, maxHeaderListSize: limits.headerBytes },
    })
    this.#sessions.add(session)
    session.on('close', () => this.#sessions.delete(session))
    session.on('error', () => session.destroy())
    const leave = leaving(session, socket, Math.min(LINGER_MS, limits.idleMs))
    session.setTimeout(limits.idleMs, leave)
    session.on('stream', (stream, headers) => {
      // A reset by the client is its right, and no error of ours.
      stream.on('error', () => {})
      const peer = identify()
      if (peer !== undefined) this.#receive(stream, headers, peer, address)
      else {
        this.#options.onRefused('ClientCertificate', address)
        session.destroy()
      }
    })
  }

  #receive(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, peer: Peer, address: string): void {
    const { limits, has, onRefused } = this.#options
    const path = headers[':path'] ?? ''
    this.#limitTime(stream, () => {
      onRefused('Timeout', address)
      reply(stream, late)
    })
    if (headers[':method'] !== 'POST' || !isGrpc(headers['content-type'])) {
      onRefused('BadRequest', address)
      stream.respond({ ':status': headers[':method'] === 'POST' ? 415 : 405 }, { endStream: true })
      stream.resume()
      return
    }
    if (!has(path)) {
      onRefused('UnknownMethod', address)
      this.#refuse(stream, { status: 'UNIMPLEMENTED', text: 'There is no such method here.' })
    } else if (this.#closing || this.#inFlight >= limits.inFlight) {
      onRefused(this.#closing ? 'Unavailable' : 'Overloaded', address)
      this.#refuse(stream, this.#closing ? stopping : overloaded)
    } else this.#read(stream, headers, path, peer, address)
  }

  #read(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, path: string, peer: Peer, address: string): void {
    const received = performance.now()
    let timeoutMs: number | undefined
    try {
      timeoutMs = readTimeout(header(headers, 'grpc-timeout'))
    } catch (error) {
      this.#options.onRefused('BadRequest', address)
      this.#refuse(stream, { status: 'INVALID_ARGUMENT', text: (error as GrpcError).message })
      return
    }
    this.#inFlight++
    stream.once('close', () => {
      if (--this.#inFlight === 0) this.#drained?.()
    })
    const chunks: Buffer[] = []
    let size = 0
    stream.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size <= this.#options.maxMessage + PREFIX_BYTES) chunks.push(chunk)
      else if (!stream.headersSent) {
        chunks.length = 0
        this.#options.onRefused('TooLarge', address)
        reply(stream, tooLarge)
      }
    })
    stream.on('end', () => {
      // Refused meanwhile, for its size or its time; or the client has gone.
      if (stream.headersSent || stream.destroyed) return
      const left = timeoutMs === undefined ? undefined : timeoutMs - (performance.now() - received)
      void this.#answer(stream, { path, headers, body: Buffer.concat(chunks, size), timeoutMs: left, peer, address })
    })
  }

  async #answer(stream: ServerHttp2Stream, call: UnaryCall<Peer>): Promise<void> {
    // Until it is answered its time is the protocol's business.
    clearTimeout(timers.get(stream))
    let answer: UnaryReply
    try {
      answer = await this.#options.handle(call)
    } catch (error) {
      this.#options.onDefect(error)
      answer = failed
    }
    // A client that does not take its answer is not waited for.
    this.#limitTime(stream, () => stream.close(http2.constants.NGHTTP2_CANCEL))
    reply(stream, answer)
  }

  /** Answers, and reads away what still comes. */
  #refuse(stream: ServerHttp2Stream, answer: UnaryReply): void {
    reply(stream, answer)
    stream.resume()
  }

  #limitTime(stream: ServerHttp2Stream, over: () => void): void {
    clearTimeout(timers.get(stream))
    const timer = setTimeout(() => {
      over()
      stream.close(http2.constants.NGHTTP2_CANCEL)
    }, this.#options.limits.requestMs)
    timers.set(stream, timer)
    stream.once('close', () => clearTimeout(timer))
  }

  /** Lets calls in flight finish, and cuts what is left after `deadlineMs`. Resolves to how many were cut. */
  async close({ deadlineMs }: { readonly deadlineMs: number }): Promise<number> {
    this.#closing = true
    for (const session of this.#sessions) session.close()
    if (this.#inFlight > 0) {
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#drained = resolve
      const deadline = setTimeout(resolve, deadlineMs)
      await promise
      clearTimeout(deadline)
    }
    const cut = this.#inFlight
    for (const session of this.#sessions) session.destroy()
    return cut
  }
}

/**
 * Ends a connection when the calls that are under way on it are finished. A peer that has stopped inside a frame, or does not end its own side, would hold it
 * for ever: node:http2 waits for both.
 */
function leaving(session: ServerHttp2Session, socket: Socket, lingerMs: number): () => void {
  let open = 0
  let left = false
  let timer: NodeJS.Timeout | undefined
  const cut = (): void => {
    if (left && open === 0) timer ??= setTimeout(() => socket.destroy(), lingerMs)
  }
  session.on('stream', stream => {
    open++
    stream.once('close', () => {
      open--
      cut()
    })
  })
  socket.once('close', () => clearTimeout(timer))
  return () => {
    left = true
    session.close()
    cut()
  }
}

const timers = new WeakMap<ServerHttp2Stream, NodeJS.Timeout>()

/** A header that is sent once. */
export function header(headers: IncomingHttpHeaders, name: string): string | undefined {
  const value = headers[name]
  return Array.isArray(value) ? value.join(',') : value
}

function reply(stream: ServerHttp2Stream, answer: UnaryReply): void {
  if (stream.destroyed || stream.closed || stream.headersSent) return
  const head = { ':status': 200, 'content-type': CONTENT_TYPE, 'grpc-accept-encoding': 'identity' }
  if (answer.status !== 'OK') {
    const { status, text } = answer
    stream.respond(
      { ...head, 'grpc-status': String(GRPC_STATUS[status]), 'grpc-message': writeMessage(text) },
      { endStream: true },
    )
    return
  }
  stream.respond(head, { waitForTrailers: true })
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
  stream.end(frame(answer.message))
}
