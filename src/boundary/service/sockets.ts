/**
 * The two sockets. A peer says hello, then sends requests; each is bounded, decoded and done, and its answer leaves with the others of its commit. Whoever
 * breaks the protocol is answered once and cut off; nobody else notices.
 */
import fs from 'node:fs'
import net from 'node:net'
import { FormatError, Reader } from '../bytes.ts'
import {
  CONTROL_CODES,
  FrameBatch,
  FrameSplitter,
  MAX_ANSWER,
  MAX_REQUEST,
  PROTOCOL_VERSION,
} from '../client/protocol/frames.ts'
import {
  answerHead,
  clientHello,
  failure,
  OPERATIONS,
  type Operation,
  type OperationName,
  type SocketKind,
  serverHello,
} from '../client/protocol/operations.ts'
import { writeSet } from '../client/protocol/shapes.ts'
import { socketPath } from '../client/socket-path.ts'
import { JournalDead } from '../journal/types.ts'
import { BoundaryError } from '../words.ts'
import type { Boundary } from './boundary.ts'
import { answerable, type Call } from './core.ts'
import type { Receiver } from './delivery.ts'
import { Stale } from './keys/open-keys.ts'
import { type Log, placeOf } from './log.ts'

/** Milliseconds for the hello of a new peer. */
const HELLO_DEADLINE = 5000
/** Milliseconds that a peer may take to read its last answers when the boundary stops. */
const CLOSE_DEADLINE = 1000
const MAX_PEERS: Readonly<Record<SocketKind, number>> = { use: 64, control: 32, admin: 8 }
/** Bytes of answers and write sets that a peer may leave unread before it is cut off. */
const MAX_UNREAD = 256 << 20
export const DEFAULT_IN_FLIGHT = 4096

interface Bound {
  readonly name: OperationName
  readonly operation: Operation<unknown, unknown>
}
const byCode: (Bound | undefined)[] = []
for (const name of Object.keys(OPERATIONS) as OperationName[]) {
  const operation = OPERATIONS[name] as unknown as Operation<unknown, unknown>
  byCode[operation.code] = { name, operation }
}

export interface SocketParts {
  readonly boundary: Boundary
  readonly service: 'kms' | 'ekm'
  readonly inFlight: number
  readonly log: Log
}

class Peer implements Receiver {
  delivered = 0
  readonly #kind: SocketKind
  readonly #parts: SocketParts
  readonly #socket: net.Socket
  readonly #batch: FrameBatch
  readonly #frames: FrameSplitter
  readonly #deadline: NodeJS.Timeout
  #greeted = false
  #running = 0

  constructor(kind: SocketKind, parts: SocketParts, socket: net.Socket) {
    this.#kind = kind
    this.#parts = parts
    this.#socket = socket
    this.#batch = new FrameBatch(socket, MAX_ANSWER, process.nextTick)
    this.#frames = new FrameSplitter(MAX_REQUEST, (id, code, frame, bodyAt) => this.#frame(id, code, frame, bodyAt))
    this.#deadline = setTimeout(() => socket.destroy(), HELLO_DEADLINE)
    socket.on('data', (chunk: Buffer) => this.#data(chunk))
    socket.on('error', () => {})
    socket.once('close', () => {
      clearTimeout(this.#deadline)
      this.#parts.boundary.delivery.remove(this)
    })
  }

  push(number: number, rows: Buffer): void {
    this.#send(0, CONTROL_CODES.writeSet, w => writeSet.write(w, { number, rows }))
  }

  cut(reason: string): void {
    this.#parts.log('warn', `a connection of the ${this.#kind} socket was ended: ${reason}`)
    this.#socket.destroy()
  }

  #send(id: number, code: number, write: Parameters<FrameBatch['add']>[2]): void {
    if (this.#socket.destroyed || this.#parts.boundary.dead) return
    if (this.#socket.writableLength > MAX_UNREAD) {
      this.cut('it does not read its answers')
      return
    }
    this.#batch.add(id, code, write)
  }

  #data(chunk: Buffer): void {
    if (this.#socket.destroyed) return
    try {
      this.#frames.push(chunk)
    } catch (error) {
      // A peer that breaks the protocol: the defect is described by what it is, never by its bytes.
      const refusal =
        error instanceof BoundaryError
          ? error
          : new BoundaryError('InvalidRequest', error instanceof FormatError ? error.message : '')
      if (!(error instanceof BoundaryError || error instanceof FormatError)) {
        this.#parts.log('error', 'a request could not be read', placeOf(error))
      }
      this.#fail(0, refusal)
      this.#batch.flush()
      this.#socket.destroySoon()
      this.#parts.log('warn', `a connection of the ${this.#kind} socket broke the protocol and was ended`)
    }
  }

  #frame(id: number, code: number, frame: Buffer, bodyAt: number): void {
    if (this.#socket.destroyed || this.#socket.writableEnded) return
    const reader = new Reader(frame, bodyAt)
    if (!this.#greeted) {
      this.#hello(code, reader)
      return
    }
    if (code === CONTROL_CODES.delivered && this.#kind === 'use') {
      const number = answerHead.read(reader)
      reader.end()
      if (number <= this.delivered || number > this.#parts.boundary.lastWriteSet)
        throw new FormatError('a write set that was not sent')
      this.delivered = number
      this.#parts.boundary.delivery.progress()
      return
    }
    const bound = byCode[code]
    if (bound === undefined) throw new BoundaryError('InvalidRequest', 'no such operation')
    const { name, operation } = bound
    if (!operation.sockets.includes(this.#kind)) {
      throw new BoundaryError('NotPermitted', `${name} is not an operation of the ${this.#kind} socket`)
    }
    const input = operation.request.read(reader)
    reader.end()
    this.#run(id, name, operation, input)
  }

  #hello(code: number, reader: Reader): void {
    if (code !== CONTROL_CODES.hello) throw new FormatError('no hello')
    const { version } = clientHello.read(reader)
    if (version !== PROTOCOL_VERSION) {
      throw new BoundaryError(
        'InvalidRequest',
        `this boundary speaks version ${PROTOCOL_VERSION} of the protocol, not ${version}: use the holdfast that the service was started with`,
      )
    }
    reader.end()
    clearTimeout(this.#deadline)
    this.#greeted = true
    const { boundary, service } = this.#parts
    const lastWriteSet = boundary.lastWriteSet
    this.delivered = lastWriteSet
    this.#send(0, CONTROL_CODES.hello, w =>
      serverHello.write(w, {
        magic: undefined,
        version: PROTOCOL_VERSION,
        socket: this.#kind,
        service,
        boundaryId: boundary.boundaryId,
        locked: boundary.locked,
        lastWriteSet,
      }),
    )
    if (this.#kind === 'use') boundary.delivery.add(this)
  }

  #run(id: number, name: OperationName, operation: Operation<unknown, unknown>, input: unknown): void {
    const { boundary, inFlight } = this.#parts
    const call: Call = { source: this.#kind, writeSet: 0 }
    if (++this.#running >= inFlight) this.#socket.pause()
    const ended = (): void => {
      if (this.#running-- === inFlight) this.#socket.resume()
    }
    boundary.run(name, input as never, call).then(
      async value => {
        // What an administrator does is known to the front ends before it is answered.
        if (this.#kind !== 'use' && call.writeSet > 0) await boundary.delivery.wait(call.writeSet)
        ended()
        this.#answer(id, operation, call, value)
      },
      error => {
        ended()
        void this.#refuse(id, name, error)
      },
    )
  }

  #answer(id: number, operation: Operation<unknown, unknown>, call: Call, value: unknown): void {
    try {
      this.#send(id, CONTROL_CODES.answer, w => {
        answerHead.write(w, this.#kind === 'use' ? call.writeSet : 0)
        operation.answer.write(w, value)
      })
    } catch (error) {
      this.#parts.log('error', 'an answer could not be written', placeOf(error))
      this.#fail(id, new BoundaryError('Internal'))
    }
  }

  async #refuse(id: number, name: OperationName, error: unknown): Promise<void> {
    if (error instanceof JournalDead) return
    try {
      if (error instanceof Stale) {
        this.#fail(id, new BoundaryError('StaleKey', '', await this.#parts.boundary.currentRow(error.id)))
        return
      }
      const refusal = answerable(error)
      if (refusal.code === 'Internal') this.#parts.log('error', `${name} failed`, placeOf(error))
      this.#fail(id, refusal)
    } catch (failed) {
      this.#parts.log('error', `${name} failed`, placeOf(failed))
      this.#fail(id, new BoundaryError('Internal'))
    }
  }

  #fail(id: number, error: BoundaryError): void {
    this.#send(id, CONTROL_CODES.failure, w => failure.write(w, error))
  }
}

export interface ListeningSocket {
  /** Ends all connections that are open now. */
  cutAll(): void
  /** Stops listening and ends all connections, after what is written has left. */
  close(): Promise<void>
}

/** Listens on a socket file of this mode, in place of one that an ended process left. The caller holds the folder's lock. */
export async function listen(
  file: string,
  mode: number,
  kind: SocketKind,
  parts: SocketParts,
): Promise<ListeningSocket> {
  const at = socketPath(file)
  fs.rmSync(file, { force: true })
  const sockets = new Set<net.Socket>()
  const server = net.createServer(socket => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    new Peer(kind, parts, socket)
  })
  server.maxConnections = MAX_PEERS[kind]
  // The folder is closed, but a socket is never open to more than its mode says, not even for an instant.
  const before = process.umask(0o777 & ~mode)
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen({ path: at.address }, resolve)
    })
  } finally {
    process.umask(before)
  }
  fs.chmodSync(file, mode)
  return {
    cutAll: () => {
      for (const socket of sockets) socket.destroy()
    },
    close: () =>
      new Promise(resolve => {
        const late = setTimeout(() => {
          for (const socket of sockets) socket.destroy()
        }, CLOSE_DEADLINE)
        server.close(() => {
          clearTimeout(late)
          at.release()
          resolve()
        })
        for (const socket of sockets) socket.destroySoon()
      }),
  }
}
