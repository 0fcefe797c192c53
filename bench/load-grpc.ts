/**
 * Unary calls of gRPC on an HTTP/2 connection over a Unix socket, several at once, as one who loads needs them: a request is two prepared frames, of which
 * only the number of the stream is written when it goes out, and an answer is good when it has a message (an error of gRPC has none). Nothing of HPACK is
 * kept between requests, and nothing is read of what is answered.
 */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import type { Answered, Channel } from './load.ts'

const FRAME = 9
const TYPE = { DATA: 0, HEADERS: 1, RST_STREAM: 3, SETTINGS: 4, PING: 6, GOAWAY: 7, WINDOW_UPDATE: 8 } as const
const FLAG = { ACK: 1, END_STREAM: 1, END_HEADERS: 4 } as const
/** Where a frame has the number of its stream. */
const STREAM_AT = 5
/** More than all answers of a run: the server never waits for a window, and those of the requests are its own to open again. */
const WINDOW = 0x7fff_0000 - 0xffff

function frame(type: number, flags: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(FRAME)
  head.writeUIntBE(payload.length, 0, 3)
  head[3] = type
  head[4] = flags
  return Buffer.concat([head, payload])
}

/** HPACK: a literal header field, never indexed, name and value as they are (RFC 7541 §6.2.3). */
function field(name: string, value: string): Buffer {
  const text = (part: string): Buffer => {
    if (part.length > 126) throw new Error(`${part} is too long for one byte of length`)
    return Buffer.concat([Buffer.of(part.length), Buffer.from(part, 'latin1')])
  }
  return Buffer.concat([Buffer.of(0x10), text(name), text(value)])
}

/** A request as `send` takes it. */
export function grpcRequest(path: string, message: Buffer): Buffer {
  const headers = {
    ':method': 'POST',
    ':scheme': 'http',
    ':path': path,
    ':authority': 'localhost',
    'content-type': 'application/grpc',
    te: 'trailers',
    'grpc-timeout': '3S',
  }
  const block = Buffer.concat(Object.entries(headers).map(([name, value]) => field(name, value)))
  const prefix = Buffer.alloc(5)
  prefix.writeUInt32BE(message.length, 1)
  const data = frame(TYPE.DATA, FLAG.END_STREAM, Buffer.concat([prefix, message]))
  return Buffer.concat([frame(TYPE.HEADERS, FLAG.END_HEADERS, block), data])
}

/** As many channels as `streams`, on one connection. */
export async function openGrpc(path: string, streams: number): Promise<Channel[]> {
  const socket = connect(path)
  await once(socket, 'connect')
  const window = Buffer.alloc(4)
  window.writeUInt32BE(WINDOW)
  const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
  const settings = frame(TYPE.SETTINGS, 0, Buffer.alloc(0))
  socket.write(Buffer.concat([preface, settings, frame(TYPE.WINDOW_UPDATE, 0, window)]))
  const connection = new Connection(socket)
  return Array.from({ length: streams }, () => new Stream(connection))
}

class Connection {
  readonly #socket: Socket
  readonly #streams = new Map<number, Stream>()
  #next = 1
  #read: Buffer = Buffer.alloc(0)

  constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', (chunk: Buffer) => this.#data(chunk))
    socket.on('error', error => this.#failed(String(error)))
  }

  send(stream: Stream, request: Uint8Array): void {
    const number = this.#next
    this.#next += 2
    this.#streams.set(number, stream)
    // A copy: the same request may be on its way already.
    const bytes = Buffer.from(request)
    bytes.writeUInt32BE(number, STREAM_AT)
    bytes.writeUInt32BE(number, FRAME + bytes.readUIntBE(0, 3) + STREAM_AT)
    this.#socket.write(bytes)
  }

  end(): void {
    this.#socket.end()
  }

  #data(chunk: Buffer): void {
    const read = this.#read.length === 0 ? chunk : Buffer.concat([this.#read, chunk])
    let at = 0
    while (read.length - at >= FRAME) {
      const end = at + FRAME + read.readUIntBE(at, 3)
      if (read.length < end) break
      this.#frame(
        read[at + 3] ?? 0,
        read[at + 4] ?? 0,
        read.readUInt32BE(at + STREAM_AT),
        read.subarray(at + FRAME, end),
      )
      at = end
    }
    this.#read = read.subarray(at)
  }

  #frame(type: number, flags: number, number: number, payload: Buffer): void {
    const stream = this.#streams.get(number)
    if (type === TYPE.DATA) stream?.message()
    if (type === TYPE.DATA || type === TYPE.HEADERS) {
      if ((flags & FLAG.END_STREAM) === 0) return
      this.#streams.delete(number)
      stream?.ended()
    } else if (type === TYPE.RST_STREAM) {
      this.#streams.delete(number)
      stream?.failed(`the stream was reset: ${payload.readUInt32BE()}`)
    } else if (type === TYPE.GOAWAY) this.#failed('the connection was ended by the server')
    else if ((type === TYPE.SETTINGS || type === TYPE.PING) && (flags & FLAG.ACK) === 0)
      this.#socket.write(frame(type, FLAG.ACK, type === TYPE.PING ? payload : Buffer.alloc(0)))
  }

  #failed(reason: string): void {
    for (const stream of this.#streams.values()) stream.failed(reason)
    this.#streams.clear()
  }
}

class Stream implements Channel {
  readonly #connection: Connection
  #answered: Answered = () => {}
  #message = false

  constructor(connection: Connection) {
    this.#connection = connection
  }

  onAnswer(listener: Answered): void {
    this.#answered = listener
  }

  send(bytes: Uint8Array): void {
    this.#message = false
    this.#connection.send(this, bytes)
  }

  end(): void {
    this.#connection.end()
  }

  message(): void {
    this.#message = true
  }

  ended(): void {
    this.#answered(this.#message ? '' : 'an error of gRPC: the answer has no message')
  }

  failed(reason: string): void {
    this.#answered(reason)
  }
}
