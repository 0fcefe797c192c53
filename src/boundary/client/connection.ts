/**
 * One connection to a boundary's socket: hello, requests and their answers, write sets in order, and coming back by itself after a loss.
 * While there is no connection every request fails at once with Unavailable; nothing is queued, nothing is sent twice.
 */
import net from 'node:net'
import { Reader } from '../bytes.ts'
import { decodeRows } from '../crypto/rows.ts'
import { BoundaryError, type WriteSet } from '../words.ts'
import type { OnWriteSet } from './api.ts'
import {
  CONTROL_CODES,
  FrameBatch,
  FrameSplitter,
  MAX_ANSWER,
  MAX_REQUEST,
  PROTOCOL_VERSION,
} from './protocol/frames.ts'
import {
  answerHead,
  clientHello,
  failure,
  type InputOf,
  OPERATIONS,
  type Operation,
  type OperationName,
  type OutputOf,
  type ServerHello,
  serverHello,
} from './protocol/operations.ts'
import { writeSet as writeSetCodec } from './protocol/shapes.ts'
import { socketPath } from './socket-path.ts'

export type ConnectionState =
  /** The boundary answers. The handler's promise is awaited before write sets are handed on: fetch here what is missing. */
  | { readonly kind: 'connected'; readonly hello: ServerHello }
  /** `reason` is for the operator. */
  | { readonly kind: 'disconnected'; readonly reason: string }

export interface ConnectionOptions {
  /** Path of the socket. */
  readonly socket: string
  readonly onWriteSet: OnWriteSet
  readonly onState: (state: ConnectionState) => void | Promise<void>
}

/**
 * Milliseconds before a lost connection is tried again: half as much more each time, with up to as much again at random. An attempt on a local socket
 * costs microseconds, and every one of these milliseconds is an outage.
 */
const FIRST_DELAY = 20
const LAST_DELAY = 250
/** Milliseconds that the boundary may take for its hello. */
const HELLO_DEADLINE = 5000
/** Requests that may wait for answers; beyond it the boundary is taken as not keeping up. */
const MAX_PENDING = 65_536

interface Pending {
  readonly operation: Operation<unknown, unknown>
  readonly resolve: (value: never) => void
  readonly reject: (error: Error) => void
}

/** What belongs to one socket and is forgotten with it. */
class Link {
  readonly socket: net.Socket
  readonly batch: FrameBatch
  readonly pending = new Map<number, Pending>()
  /** The state handler, which write sets wait for. */
  told: Promise<void> = Promise.resolve()
  /** Handling of all write sets so far. */
  handled: Promise<void> = Promise.resolve()
  lastHandled = 0
  hello: ServerHello | undefined
  nextId = 1

  constructor(socket: net.Socket) {
    this.socket = socket
    this.batch = new FrameBatch(socket, MAX_REQUEST, flush => setImmediate(flush))
  }
}

export class Connection {
  readonly #options: ConnectionOptions
  #link: Link | undefined
  #closed = false
  #delay = FIRST_DELAY
  #timer: NodeJS.Timeout | undefined
  #reason = 'not connected yet'
  #toldLost = false
  #opening: PromiseWithResolvers<void> | undefined

  constructor(options: ConnectionOptions) {
    this.#options = options
  }

  get connected(): boolean {
    return this.#link?.hello !== undefined
  }

  /** Connects, and from now on again after every loss. */
  keepOpen(): void {
    if (this.#closed || this.#link !== undefined) return
    this.#timer = undefined
    this.#open(reason => {
      if (this.#closed) return
      if (!this.#toldLost) void this.#tell({ kind: 'disconnected', reason })
      this.#toldLost = true
      this.#timer = setTimeout(() => this.keepOpen(), this.#delay * (1 + Math.random()))
      this.#delay = Math.min(this.#delay * 1.5, LAST_DELAY)
    })
  }

  /** Connects once if there is no connection; for the CLI. Rejects with Unavailable. */
  open(): Promise<void> {
    if (this.connected) return Promise.resolve()
    if (this.#opening === undefined) {
      const opening = Promise.withResolvers<void>()
      this.#opening = opening
      opening.promise.catch(() => {})
      this.#open(reason => {
        opening.reject(new BoundaryError('Unavailable', reason))
        if (this.#opening === opening) this.#opening = undefined
      }, opening.resolve)
    }
    return this.#opening.promise
  }

  /** Ends the connection for good; what waits is rejected. */
  close(): void {
    this.#closed = true
    clearTimeout(this.#timer)
    this.#link?.socket.destroy()
  }

  request<N extends OperationName>(name: N, input: InputOf<N>): Promise<OutputOf<N>> {
    const link = this.#link
    if (link?.hello === undefined) return Promise.reject(new BoundaryError('Unavailable', this.#reason))
    if (link.pending.size >= MAX_PENDING)
      return Promise.reject(new BoundaryError('Unavailable', `${MAX_PENDING} requests are waiting`))
    const operation = OPERATIONS[name] as unknown as Operation<unknown, unknown>
    const id = link.nextId
    link.nextId = id === 0xffff_ffff ? 1 : id + 1
    return new Promise<OutputOf<N>>((resolve, reject) => {
      try {
        link.batch.add(id, operation.code, writer => operation.request.write(writer, input))
      } catch (error) {
        // What does not fit into a frame was never sent.
        reject(
          new BoundaryError('InvalidRequest', error instanceof RangeError ? error.message : 'it cannot be encoded'),
        )
        return
      }
      link.pending.set(id, { operation, resolve, reject })
    })
  }

  #open(lost: (reason: string) => void, opened?: () => void): void {
    let at: ReturnType<typeof socketPath>
    try {
      at = socketPath(this.#options.socket)
    } catch (error) {
      this.#reason = error instanceof BoundaryError ? error.detail : 'no way to the socket'
      lost(this.#reason)
      return
    }
    const socket = net.connect({ path: at.address })
    const link = new Link(socket)
    this.#link = link
    let why = 'the boundary closed the connection'
    const deadline = setTimeout(() => socket.destroy(new Error('the boundary does not answer')), HELLO_DEADLINE)
    socket.once('connect', () => {
      link.batch.add(0, CONTROL_CODES.hello, w => clientHello.write(w, { magic: undefined, version: PROTOCOL_VERSION }))
    })
    const frames = new FrameSplitter(MAX_ANSWER, (id, code, frame, bodyAt) => {
      const reader = new Reader(frame, bodyAt)
      if (link.hello !== undefined) {
        this.#frame(link, id, code, reader)
        return
      }
      if (code === CONTROL_CODES.failure) throw failure.read(reader)
      link.hello = serverHello.read(reader)
      clearTimeout(deadline)
      this.#delay = FIRST_DELAY
      this.#toldLost = false
      link.lastHandled = link.hello.lastWriteSet
      link.told = this.#tell({ kind: 'connected', hello: link.hello })
      link.handled = link.told
      link.handled.catch(error => socket.destroy(error))
      opened?.()
    })
    socket.on('data', (chunk: Buffer) => {
      try {
        frames.push(chunk)
      } catch (error) {
        socket.destroy(error instanceof Error ? error : new Error('a frame that does not fit'))
      }
    })
    socket.on('error', error => {
      why = error.message
    })
    socket.once('close', () => {
      clearTimeout(deadline)
      at.release()
      if (this.#link === link) this.#link = undefined
      this.#reason = why
      const error = new BoundaryError('Unavailable', why)
      for (const { reject } of link.pending.values()) reject(error)
      link.pending.clear()
      lost(why)
    })
  }

  async #tell(state: ConnectionState): Promise<void> {
    await this.#options.onState(state)
  }

  #frame(link: Link, id: number, code: number, reader: Reader): void {
    if (code === CONTROL_CODES.writeSet) {
      const raw = writeSetCodec.read(reader)
      reader.end()
      this.#deliver(link, { number: raw.number, rows: decodeRows(raw.rows) })
      return
    }
    const pending = link.pending.get(id)
    if (pending === undefined) throw new Error('an answer that nobody waits for')
    link.pending.delete(id)
    if (code === CONTROL_CODES.failure) {
      pending.reject(failure.read(reader))
    } else if (code === CONTROL_CODES.answer) {
      const after = answerHead.read(reader)
      const value = pending.operation.answer.read(reader) as never
      reader.end()
      if (after <= link.lastHandled) pending.resolve(value)
      else
        link.handled.then(
          () => pending.resolve(value),
          () => pending.reject(new BoundaryError('Unavailable', 'the store did not take the write set')),
        )
    } else throw new Error('an unknown frame')
  }

  /** Hands a write set on at once, so that a store can take many in one commit, and tells the boundary when it and all before it were handled. */
  #deliver(link: Link, set: WriteSet): void {
    const handling = link.told.then(() => {
      if (link.socket.destroyed) throw new BoundaryError('Unavailable', 'the connection is gone')
      return this.#options.onWriteSet(set)
    })
    link.handled = Promise.all([link.handled, handling]).then(() => {
      link.lastHandled = set.number
      link.batch.add(0, CONTROL_CODES.delivered, w => answerHead.write(w, set.number))
    })
    // The store may have missed a set: the next connection starts with fetching what is missing.
    link.handled.catch(error => link.socket.destroy(error instanceof Error ? error : undefined))
  }
}
