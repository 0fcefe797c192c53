/**
 * Answers that the listener gives by itself to connections that it will not keep: written whole, then closed without losing them on the way.
 */
import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { Reply } from './types.ts'

/** A connection that is closed with bytes unread is reset, and the answer may be lost with it: this much is read away first. */
const LINGER_BYTES = 4 * 1024 * 1024
const LINGER_MS = 1000

/** Writes a whole answer and ends the connection. What the client still sends is thrown away, within bounds. */
export function answerAndClose(socket: Socket, { status, headers, body }: Reply): void {
  const lines = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    `Date: ${new Date().toUTCString()}`,
    'Connection: close',
    `Content-Length: ${Buffer.byteLength(body)}`,
    '\r\n',
  ]
  socket.end(Buffer.concat([Buffer.from(lines.join('\r\n'), 'latin1'), Buffer.from(body)]))
  const start = socket.bytesRead
  const timer = setTimeout(() => socket.destroy(), LINGER_MS)
  socket.on('data', () => {
    if (socket.bytesRead - start > LINGER_BYTES) socket.destroy()
  })
  socket.on('end', () => socket.destroy())
  socket.on('error', () => socket.destroy())
  socket.once('close', () => clearTimeout(timer))
  socket.resume()
}
