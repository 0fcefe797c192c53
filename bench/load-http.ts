/** HTTP/1.1 on a kept-alive connection, one request at a time, as one who loads needs it: prepared bytes go out, and of an answer its status counts. */
import { connect, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { Answered, Channel, LoadTls } from './load.ts'

const HEAD_END = Buffer.from('\r\n\r\n')

export async function openHttp(port: number, tls: LoadTls | undefined): Promise<Channel> {
  const to = { port, host: '127.0.0.1', noDelay: true }
  const socket = await new Promise<Socket>((resolve, reject) => {
    const opening = tls === undefined ? connect(to) : connectTls({ ...to, ...tls })
    opening.once(tls === undefined ? 'connect' : 'secureConnect', () => resolve(opening))
    opening.once('error', reject)
  })
  let pending: Buffer<ArrayBufferLike> = Buffer.alloc(0)
  let answered: Answered = () => {}
  socket.on('error', error => answered(String(error)))
  socket.on('data', (chunk: Buffer) => {
    pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk])
    const head = pending.indexOf(HEAD_END)
    if (head < 0) return
    const text = pending.toString('latin1', 0, head)
    const length = Number(/content-length: (\d+)/i.exec(text)?.[1] ?? 0)
    const whole = head + HEAD_END.length + length
    if (pending.length < whole) return
    const failure = text.startsWith('HTTP/1.1 200') ? '' : pending.toString('latin1', 0, whole)
    pending = pending.subarray(whole)
    answered(failure)
  })
  return {
    onAnswer: listener => {
      answered = listener
    },
    send: bytes => void socket.write(bytes),
    end: () => void socket.end(),
  }
}
