/**
 * The load: a process of its own, so that its CPU is not the server's. A closed loop over kept-alive connections writes prepared bytes and counts the
 * replies. Told over the message channel what to send; says how long each request took.
 */
import { connect, type Socket } from 'node:net'

export interface LoadJob {
  readonly port: number
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

function run({ port, requests, count, connections, from, perSecond = Infinity }: LoadJob): Promise<LoadResult> {
  const took = new Float64Array(count)
  let sent = 0
  let done = 0
  let failed = 0
  let firstFailure = ''
  const start = performance.now()
  return new Promise((resolve, reject) => {
    const finish = (): void => {
      const seconds = (performance.now() - start) / 1000
      const sorted = took.sort()
      const at = (part: number): number => sorted[Math.min(count - 1, Math.floor(count * part))] ?? 0
      resolve({ seconds, p50: at(0.5), p99: at(0.99), failed, firstFailure })
    }
    const one = (): Socket => {
      const socket = connect({ port, host: '127.0.0.1', noDelay: true })
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
      socket.on('connect', next)
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
      return socket
    }
    for (let index = 0; index < connections; index++) one()
  })
}

process.on('message', (job: LoadJob) => {
  run(job).then(
    result => process.send?.({ result }),
    error => process.send?.({ error: String(error) }),
  )
})
process.on('disconnect', () => process.exit(0))
