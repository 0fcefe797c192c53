/**
 * Load on an XKS proxy, from a process of its own so that who loads is not who is measured: encrypt requests at a fixed rate whatever the answers do, or one
 * after the other on some connections. Says of each request when it began, how long it took, and what the answer was. It shares the processors with what it
 * loads, so that at a fixed rate everything is signed and every connection open before it begins, and of an answer no more is read than its status.
 */
import { fork } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { signRequest } from '../../src/http/sigv4-sign.ts'
import { Secret } from '../../src/store/secret.ts'

export interface LoadJob {
  /** `http://127.0.0.1:1234` */
  readonly endpoint: string
  /** Of an `https:` endpoint; PEM. */
  readonly tls?: { readonly ca: string; readonly cert: string; readonly key: string }
  readonly pathPrefix: string
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly key: string
  readonly seconds: number
  /** Requests a second, whatever the answers do. 0: the next when the last is answered. */
  readonly rate: number
  readonly connections: number
}

export interface Sent {
  /** Milliseconds since the load began, and until the answer. */
  readonly at: number
  readonly took: number
  /** 0: no answer. */
  readonly status: number
  /** Milliseconds between when it was due and when it was sent: what the sender itself was late. */
  readonly late: number
}

/** Milliseconds for what is still to be answered when the last request has been sent. */
const PATIENCE_MS = 20_000

export interface RunningLoad {
  /** When it has begun, on this process's `performance.now()`. */
  readonly begun: Promise<number>
  readonly sent: Promise<readonly Sent[]>
  /** µs of CPU that the sending process took for all of it, once it had begun. */
  readonly cpu: Promise<number>
}

export function startLoad(job: LoadJob): RunningLoad {
  const child = fork(import.meta.filename, { env: { ...process.env, HOLDFAST_TEST_LOAD: '1' } })
  const begun = Promise.withResolvers<number>()
  const finished = Promise.withResolvers<Finished>()
  child.on('message', (message: { begun?: true; finished?: Finished }) => {
    if (message.begun) begun.resolve(performance.now())
    if (message.finished) finished.resolve(message.finished)
  })
  child.once('exit', code => {
    finished.reject(new Error(`the load ended with ${code}`))
    begun.reject(new Error(`the load ended with ${code}`))
  })
  begun.promise.catch(() => {})
  child.send(job)
  const cpu = finished.promise.then(each => each.cpu)
  cpu.catch(() => {})
  return { begun: begun.promise, sent: finished.promise.then(({ sent }) => sent), cpu }
}

interface Finished {
  readonly sent: readonly Sent[]
  readonly cpu: number
}

export const load = (job: LoadJob): Promise<readonly Sent[]> => startLoad(job).sent

function request({ endpoint, pathPrefix, accessKeyId, secretAccessKey, key }: LoadJob): () => Buffer {
  const { host } = new URL(endpoint)
  const path = `/${pathPrefix}/kms/xks/v1/keys/${key}/encrypt`
  const signer = { accessKeyId, secret: new Secret(Buffer.from(secretAccessKey)) }
  return () => {
    const body = Buffer.from(
      JSON.stringify({
        requestMetadata: {
          awsPrincipalArn: 'arn:aws:iam::111122223333:user/alice',
          kmsOperation: 'Encrypt',
          kmsRequestId: randomUUID(),
          kmsKeyArn: 'arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab',
        },
        plaintext: Buffer.alloc(32, 7).toString('base64'),
        encryptionAlgorithm: 'AES_GCM',
      }),
    )
    const headers = signRequest({ method: 'POST', path, host, body }, signer, 'kms-xks-proxy', 'us-east-1', Date.now())
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
    const head = `POST ${path} HTTP/1.1\r\n${lines.join('')}content-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`
    return Buffer.concat([Buffer.from(head), body])
  }
}

const HEAD_END = Buffer.from('\r\n\r\n')
const STATUS_AT = 'HTTP/1.1 '.length

/** A kept-alive connection: one request at a time. */
class Line {
  began = 0
  late = 0
  closed = false
  readonly #socket: Socket
  readonly #answered: (line: Line, status: number) => void
  #read: Buffer | undefined
  #waiting = false

  constructor(socket: Socket, answered: (line: Line, status: number) => void) {
    this.#socket = socket
    this.#answered = answered
    socket.on('data', (chunk: Buffer) => this.#data(chunk))
    socket.on('error', () => {})
    socket.on('close', () => {
      this.closed = true
      if (this.#waiting) this.#answer(0)
    })
  }

  send(bytes: Buffer): void {
    this.#waiting = true
    this.#socket.write(bytes)
  }

  end(): void {
    this.#socket.destroy()
  }

  #data(chunk: Buffer): void {
    // What a server says to a connection that it closes because nothing was asked on it.
    if (!this.#waiting) return
    const read = this.#read === undefined ? chunk : Buffer.concat([this.#read, chunk])
    this.#read = read
    const head = read.indexOf(HEAD_END)
    if (head < 0) return
    const text = read.toString('latin1', 0, head)
    const length = Number(/content-length: (\d+)/i.exec(text)?.[1] ?? 0)
    if (read.length < head + HEAD_END.length + length) return
    this.#read = undefined
    this.#answer(Number(text.slice(STATUS_AT, STATUS_AT + 3)))
  }

  #answer(status: number): void {
    this.#waiting = false
    this.#answered(this, status)
  }
}

function open({ endpoint, tls }: LoadJob): Promise<Socket> {
  const { hostname, port } = new URL(endpoint)
  const to = { host: hostname, port: Number(port), noDelay: true }
  return new Promise((resolve, reject) => {
    const socket = tls === undefined ? connect(to) : connectTls({ ...to, ...tls })
    socket.once(tls === undefined ? 'connect' : 'secureConnect', () => resolve(socket))
    socket.once('error', reject)
  })
}

const PACE_MS = 1

async function run(job: LoadJob, begun: () => void): Promise<Finished> {
  const { rate, seconds, connections } = job
  const next = request(job)
  const total = rate * seconds
  const signed = Array.from({ length: total }, next)
  const sockets = await Promise.all(Array.from({ length: connections }, () => open(job)))
  const { promise: over, resolve: finish } = Promise.withResolvers<void>()
  const sent: Sent[] = []
  let pending = 0
  let due = 0
  const send = (line: Line, bytes: Buffer, wanted: number): void => {
    pending++
    line.began = performance.now()
    line.late = line.began - wanted
    line.send(bytes)
  }
  const allSent = (): boolean => (rate === 0 ? performance.now() - start >= seconds * 1000 : due >= total)
  const free: Line[] = []
  const lines = sockets.map(
    socket =>
      new Line(socket, (line, status) => {
        const { began, late } = line
        sent.push({ at: began - start, took: performance.now() - began, status, late })
        pending--
        if (rate > 0 && !line.closed) free.push(line)
        if (rate === 0 && !line.closed && !allSent()) send(line, next(), performance.now())
        else if (pending === 0 && allSent()) finish()
      }),
  )
  // Each is used once, because a server closes a connection on which nothing is ever asked; from then on those that were used last, so that few are.
  const fresh = [...lines]
  begun()
  const before = process.cpuUsage()
  const start = performance.now()
  const patience = setTimeout(finish, seconds * 1000 + PATIENCE_MS)
  if (rate === 0) for (const line of lines) send(line, next(), start)
  else {
    const pace = (): void => {
      for (const until = ((performance.now() - start) * rate) / 1000; due < until && due < total; due++) {
        // More than there are connections for is not sent: the client's own bound, as AWS has one.
        let line = fresh.pop() ?? free.pop()
        while (line?.closed) line = free.pop()
        if (line !== undefined) send(line, signed[due] as Buffer, start + (due * 1000) / rate)
      }
      if (due < total) setTimeout(pace, PACE_MS)
      else if (pending === 0) finish()
    }
    pace()
  }
  await over
  clearTimeout(patience)
  const { user, system } = process.cpuUsage(before)
  for (const line of lines) line.end()
  const unanswered = Array.from({ length: pending }, () => ({ at: 0, took: PATIENCE_MS, status: 0, late: 0 }))
  return { sent: sent.concat(unanswered), cpu: user + system }
}

if (process.env.HOLDFAST_TEST_LOAD === '1')
  process.once('message', (job: LoadJob) => {
    run(job, () => process.send?.({ begun: true })).then(finished =>
      process.send?.({ finished }, undefined, undefined, () => process.disconnect?.()),
    )
  })

/** The value below which this share of the times lies. */
export function quantile(sent: readonly Pick<Sent, 'took'>[], share: number): number {
  const times = sent.map(({ took }) => took).sort((a, b) => a - b)
  return times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? 0
}
