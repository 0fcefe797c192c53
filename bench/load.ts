/**
 * The load: a process of its own, so that its CPU is not the server's. A closed loop over kept-alive connections writes prepared bytes and counts the
 * replies. Told over the message channel what to send; says how long each request took.
 */
import { openGrpc } from './load-grpc.ts'
import { openHttp } from './load-http.ts'

/** HTTP on a port of this machine, or gRPC on a Unix socket. `tls`: PEM. */
export type Where = { readonly port: number; readonly tls?: LoadTls | undefined } | { readonly socket: string }

export type LoadJob = Where & {
  /** Whole requests, sent in turn. */
  readonly requests: readonly Uint8Array[]
  /** How many to send in all; requests are used again from the start where there are fewer. */
  readonly count: number
  /** Requests under way. gRPC has several on a connection. */
  readonly connections: number
  /** Where in `requests` to begin. */
  readonly from: number
  /** No more than this; otherwise as many as there are answers. */
  readonly perSecond?: number
}

/** Requests at once on a connection of gRPC. */
const STREAMS = 8

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
  /** Body of the first reply that was not good, for the message. */
  readonly firstFailure: string
}

/** A place for one request at a time. */
export interface Channel {
  onAnswer(listener: Answered): void
  send(bytes: Uint8Array): void
  end(): void
}
/** Empty for a good answer, and otherwise what it was. */
export type Answered = (failure: string) => void

/** `ready` is waited for when all connections are open: handshakes are no part of what is measured. */
async function run(job: LoadJob, ready: () => Promise<void>): Promise<LoadResult> {
  const { requests, count, from, perSecond = Infinity } = job
  const took = new Float64Array(count)
  let sent = 0
  let done = 0
  let failed = 0
  let firstFailure = ''
  const channels = await open(job)
  await ready()
  const start = performance.now()
  return new Promise(resolve => {
    const finish = (): void => {
      const seconds = (performance.now() - start) / 1000
      const sorted = took.sort()
      const at = (part: number): number => sorted[Math.min(count - 1, Math.floor(count * part))] ?? 0
      for (const channel of channels) channel.end()
      resolve({ seconds, p50: at(0.5), p99: at(0.99), failed, firstFailure })
    }
    const drive = (channel: Channel): void => {
      let at = 0
      let began = 0
      const next = (): void => {
        if (sent >= count) return
        at = sent++
        const early = start + (at * 1000) / perSecond - performance.now()
        if (early > 0) setTimeout(send, early)
        else send()
      }
      const send = (): void => {
        began = performance.now()
        channel.send(requests[(from + at) % requests.length] as Uint8Array)
      }
      channel.onAnswer(failure => {
        if (failure !== '') {
          failed++
          if (firstFailure === '') firstFailure = failure
        }
        took[at] = performance.now() - began
        if (++done === count) finish()
        else next()
      })
      next()
    }
    for (const channel of channels) drive(channel)
  })
}

async function open(job: LoadJob): Promise<Channel[]> {
  const { connections } = job
  const all = <T>(count: number, one: () => Promise<T>): Promise<T[]> => Promise.all(Array.from({ length: count }, one))
  if (!('socket' in job)) return all(connections, () => openHttp(job.port, job.tls))
  const opened = await all(connections / STREAMS, () => openGrpc(job.socket, STREAMS))
  return opened.flat()
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
