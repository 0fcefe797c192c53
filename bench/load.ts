/**
 * The load: a process of its own, so that its CPU is not the server's. A closed loop over kept-alive connections writes prepared bytes and counts the
 * replies. Told over the message channel what to send; says how long each request took.
 */
import { connect, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'

export interface LoadJob {
  readonly port: number
  /** Over TLS; PEM. */
  readonly tls?: LoadTls | undefined
  /** Whole HTTP requests, sent in turn. */
  readonly requests: readonly Uint8Array[]
  /** How many to send in all; requests are used again from the start where there are fewer. */
  readonly count: number
  readonly connections: number
  /** Where in `requests` to begin. */
  readonly from: number
  /** No more than this; otherwise as many as there are answers. */
  readonly perSecond?: number
}

export interface LoadTls {
  readonly ca: string
  readonly cert: string
  readonly key: string
}

export interface LoadResult {
  readonly seconds: number
  /** Milliseconds. */
  readonly p50: number
  readonly p99: number
  readonly failed: number
  /** Body of the first reply that was not 200, for the message. */
  readonly firstFailure: string
}

const HEAD_END = Buffer.from('\r\n\r\n')

/** `ready` is waited for when all connections are open: handshakes are no part of what is measured. */
async function run(
  { port, tls, requests, count, connections, from, perSecond = Infinity }: LoadJob,
  ready: () => Promise<void>,
): Promise<LoadResult> {
  const took = new Float64Array(count)
  let sent = 0
  let done = 0
  let failed = 0
  let firstFailure = ''
  const sockets = await Promise.all(Array.from({ length: connections }, () => open(port, tls)))
  await ready()
  const start = performance.now()
  return new Promise((resolve, reject) => {
    const finish = (): void => {
      const seconds = (performance.now() - start) / 1000
      const sorted = took.sort()
      const at = (part: number): number => sorted[Math.min(count - 1, Math.floor(count * part))] ?? 0
      resolve({ seconds, p50: at(0.5), p99: at(0.99), failed, firstFailure })
    }
    const drive = (socket: Socket): void => {
      let pending: Buffer<ArrayBufferLike> = Buffer.alloc(0)
      let at = 0
      let began = 0
      const next = (): void => {
        if (sent >= count) {
          socket.end()
          return
        }
        at = sent++
        const early = start + (at * 1000) / perSecond - performance.now()
        if (early > 0) setTimeout(send, early)
        else send()
      }
      const send = (): void => {
        began = performance.now()
        socket.write(requests[(from + at) % requests.length] as Uint8Array)
      }
      socket.on('error', reject)
      socket.on('data', (chunk: Buffer) => {
        pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk])
        const head = pending.indexOf(HEAD_END)
        if (head < 0) return
        const text = pending.toString('latin1', 0, head)
        const length = Number(/content-length: (\d+)/i.exec(text)?.[1] ?? 0)
        const whole = head + 4 + length
        if (pending.length < whole) return
        if (!text.startsWith('HTTP/1.1 200')) {
          failed++
          if (firstFailure === '') firstFailure = pending.toString('latin1', 0, whole)
        }
        pending = pending.subarray(whole)
        took[at] = performance.now() - began
        if (++done === count) finish()
        else next()
      })
      next()
    }
    for (const socket of sockets) drive(socket)
  })
}

function open(port: number, tls: LoadTls | undefined): Promise<Socket> {
  const to = { port, host: '127.0.0.1', noDelay: true }
  return new Promise((resolve, reject) => {
    const socket = tls === undefined ? connect(to) : connectTls({ ...to, ...tls })
    socket.once(tls === undefined ? 'connect' : 'secureConnect', () => resolve(socket))
    socket.once('error', reject)
  })
}

process.on('message', (message: LoadJob | 'go') => {
  if (message === 'go') return
  const ready = (): Promise<void> =>
    new Promise(go => {
      process.once('message', () => go())
      process.send?.({ ready: true })
    })
  run(message, ready).then(
    result => process.send?.({ result }),
    error => process.send?.({ error: String(error) }),
  )
})
process.on('disconnect', () => process.exit(0))
