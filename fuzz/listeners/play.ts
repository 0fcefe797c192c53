/** What one client does on one connection, as data, and doing it. */
import type { Socket } from 'node:net'

export interface Script {
  /** Without TLS where the door has it. */
  readonly bare: boolean
  readonly parts: readonly Buffer[]
  /** Milliseconds between two parts. */
  readonly pauseMs: number
  /** `end`: half-closed after the last part. `stay`: this side is never closed, whatever the other does. `cut`: reset, with what is under way. */
  readonly last: 'end' | 'stay' | 'cut'
}

/**
 * Plays a script and resolves to everything that came back, when the other side has ended it; one that stays is still open then. `mostMs`: rejects where it has
 * not ended by then.
 */
export function play(socket: Socket, { parts, pauseMs, last }: Script, mostMs: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const got: Buffer[] = []
    const timer = setTimeout(() => {
      socket.destroy()
      reject(new Error(`the connection was not ended within ${mostMs} ms`))
    }, mostMs)
    socket.on('data', (chunk: Buffer) => got.push(chunk))
    // Reset, refused or broken off: what counts is what came before it.
    socket.on('error', () => {})
    const done = (): void => {
      clearTimeout(timer)
      resolve(Buffer.concat(got))
    }
    socket.once('close', done)
    if (last === 'stay') socket.once('end', done)
    const left = [...parts]
    const next = (): void => {
      const part = left.shift()
      if (socket.destroyed) return
      if (part !== undefined) {
        socket.write(part)
        if (pauseMs === 0) next()
        else setTimeout(next, pauseMs)
      } else if (last === 'end') socket.end()
      else if (last === 'cut') setImmediate(() => socket.destroy())
    }
    next()
  })
}

/** Sends one request of HTTP, and resolves to the answer. */
export async function answerTo(socket: Socket, request: Buffer, mostMs: number): Promise<Buffer> {
  const line = request.indexOf('\r\n')
  const parts = [request.subarray(0, line), Buffer.from('\r\nConnection: close'), request.subarray(line)]
  const answer = await play(socket, { bare: false, parts: [Buffer.concat(parts)], pauseMs: 0, last: 'stay' }, mostMs)
  socket.destroy()
  return answer
}

/** Of each answer in a stream of them. What a body could look like does not matter: ours are JSON or metrics. */
export function statusesIn(answers: Buffer): number[] {
  return [...answers.toString('latin1').matchAll(/HTTP\/1\.1 (\d{3}) /g)]
    .map(([, status]) => Number(status))
    .filter(status => status !== 100)
}
