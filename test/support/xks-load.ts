/**
 * Load on an XKS proxy, from a process of its own so that who loads is not who is measured: encrypt requests at a fixed rate whatever the answers do, or one
 * after the other on some connections. Says of each request when it began, how long it took, and what the answer was.
 */
import { fork } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import { signRequest } from '../../src/http/sigv4-sign.ts'
import { Secret } from '../../src/store/secret.ts'

export interface LoadJob {
  /** `http://127.0.0.1:1234` */
  readonly endpoint: string
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
}

/** Milliseconds for what is still to be answered when the last request has been sent. */
const PATIENCE_MS = 20_000

export interface RunningLoad {
  /** When it has begun, on this process's `performance.now()`. */
  readonly begun: Promise<number>
  readonly sent: Promise<readonly Sent[]>
}

export function startLoad(job: LoadJob): RunningLoad {
  const child = fork(import.meta.filename, { env: { ...process.env, HOLDFAST_TEST_LOAD: '1' } })
  const begun = Promise.withResolvers<number>()
  const sent = Promise.withResolvers<readonly Sent[]>()
  child.on('message', (message: { begun?: true; sent?: Sent[] }) => {
    if (message.begun) begun.resolve(performance.now())
    if (message.sent) sent.resolve(message.sent)
  })
  child.once('exit', code => {
    sent.reject(new Error(`the load ended with ${code}`))
    begun.reject(new Error(`the load ended with ${code}`))
  })
  begun.promise.catch(() => {})
  child.send(job)
  return { begun: begun.promise, sent: sent.promise }
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

/** A kept-alive connection: one request at a time. */
class Line {
  readonly #socket: Socket
  #read = ''
  #waiting: ((status: number) => void) | undefined

  constructor(endpoint: string) {
    const { hostname, port } = new URL(endpoint)
    this.#socket = connect({ host: hostname, port: Number(port), noDelay: true })
    this.#socket.setEncoding('latin1')
    this.#socket.on('data', (chunk: string) => this.#data(chunk))
    this.#socket.on('error', () => {})
    this.#socket.on('close', () => this.#answer(0))
  }

  send(bytes: Buffer): Promise<number> {
    return new Promise(resolve => {
      this.#waiting = resolve
      this.#socket.write(bytes)
    })
  }

  end(): void {
    this.#socket.destroy()
  }

  #data(chunk: string): void {
    this.#read += chunk
    const head = this.#read.indexOf('\r\n\r\n')
    if (head < 0) return
    const length = Number(/content-length: (\d+)/i.exec(this.#read.slice(0, head))?.[1] ?? 0)
    if (this.#read.length < head + 4 + length) return
    const status = Number(this.#read.slice(9, 12))
    this.#read = ''
    this.#answer(status)
  }

  #answer(status: number): void {
    this.#waiting?.(status)
    this.#waiting = undefined
  }
}

async function run(job: LoadJob, begun: () => void): Promise<Sent[]> {
  const { endpoint, rate, seconds, connections } = job
  const next = request(job)
  const lines = Array.from({ length: connections }, () => new Line(endpoint))
  const free = [...lines]
  const sent: Sent[] = []
  let pending = 0
  const start = performance.now()
  const one = async (line: Line): Promise<void> => {
    pending++
    const bytes = next()
    const at = performance.now()
    const status = await line.send(bytes)
    sent.push({ at: at - start, took: performance.now() - at, status })
    pending--
  }
  begun()
  const ended = (): boolean => performance.now() - start >= seconds * 1000
  if (rate === 0) {
    const all = lines.map(async line => {
      while (!ended()) await one(line)
    })
    await Promise.all(all)
  } else {
    let due = 0
    while (!ended()) {
      for (const until = ((performance.now() - start) * rate) / 1000; due < until; due++) {
        const line = free.pop()
        // More than there are connections for is not sent: the client's own bound, as AWS has one.
        if (line !== undefined) void one(line).then(() => free.push(line))
      }
      await new Promise(resolve => setTimeout(resolve, 1))
    }
    const patience = performance.now() + PATIENCE_MS
    while (pending > 0 && performance.now() < patience) await new Promise(resolve => setTimeout(resolve, 10))
  }
  for (const line of lines) line.end()
  return sent.concat(Array.from({ length: pending }, () => ({ at: 0, took: PATIENCE_MS, status: 0 })))
}

if (process.env.HOLDFAST_TEST_LOAD === '1')
  process.once('message', (job: LoadJob) => {
    run(job, () => process.send?.({ begun: true })).then(sent =>
      process.send?.({ sent }, undefined, undefined, () => process.disconnect?.()),
    )
  })

/** The value below which this share of the times lies. */
export function quantile(sent: readonly Sent[], share: number): number {
  const times = sent.map(({ took }) => took).sort((a, b) => a - b)
  return times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? 0
}
