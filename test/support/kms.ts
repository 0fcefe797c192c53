/** The real `holdfast kms --dev`: its supervisor, front end and boundary as processes, and requests to it as anyone could make them. */
import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import http from 'node:http'
import { createServer } from 'node:net'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { Sha256 } from '@aws-crypto/sha256-js'
import { SignatureV4 } from '@smithy/signature-v4'
import { type ControlConnection, connectControl } from '../../src/boundary/client/control.ts'
import type { DevLine } from '../../src/kms/dev.ts'

export const ROOT = resolve(import.meta.dirname, '..', '..')
export const REGION = 'us-east-1'

export interface Credentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
}

export interface Answer {
  readonly status: number
  readonly text: string
  /** The body, parsed; `{}` where it is empty or no JSON. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers as clients do
  readonly json: any
  readonly requestId: string
}

export class Kms {
  readonly process: ChildProcess
  readonly line: DevLine
  readonly #output: { stdout: string; stderr: string }

  constructor(child: ChildProcess, line: DevLine, output: { stdout: string; stderr: string }) {
    this.process = child
    this.line = line
    this.#output = output
  }

  /** Everything that its three processes have written so far. */
  get stderr(): string {
    return this.#output.stderr
  }
  get stdout(): string {
    return this.#output.stdout
  }

  /** Ids of the two processes below the supervisor, as they are now; 0 where there is none. */
  children(): { readonly frontEnd: number; readonly boundary: number } {
    return childrenOf(this.process.pid ?? 0)
  }

  control(): ControlConnection {
    return connectControl({ socket: join(this.line.data, 'boundary', 'control.sock') })
  }

  async stop(): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return
    const ended = new Promise(done => this.process.once('exit', done))
    this.process.kill('SIGTERM')
    await ended
  }

  /** Kills the supervisor as a loss of power would end it, and waits until its children have noticed. */
  async killAll(): Promise<void> {
    const { frontEnd, boundary } = this.children()
    const ended = new Promise(done => this.process.once('exit', done))
    this.process.kill('SIGKILL')
    await ended
    await gone(frontEnd)
    await gone(boundary)
  }
}

/** Front end and boundary below a supervisor of the KMS; 0 where there is none, or no supervisor any more. */
export function childrenOf(pid: number): { readonly frontEnd: number; readonly boundary: number } {
  const found = { frontEnd: 0, boundary: 0 }
  for (const child of ofProcess(pid, `task/${pid}/children`).trim().split(' ')) {
    const command = child === '' ? '' : ofProcess(child, 'cmdline')
    if (command.includes('/kms/main')) found.frontEnd = Number(child)
    if (command.includes('/service/main')) found.boundary = Number(child)
  }
  return found
}

/** A file of a process; empty where it has ended. */
function ofProcess(pid: number | string, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8')
  } catch {
    return ''
  }
}

/** Resolves when there is no such process any more (a zombie counts as gone). */
export async function gone(pid: number): Promise<void> {
  for (;;) {
    if (pid === 0) return
    let status: string
    try {
      status = readFileSync(`/proc/${pid}/stat`, 'utf8')
    } catch {
      return
    }
    if (/\) [ZX] /.test(status)) return
    await delay(2)
  }
}

/** The root of trust that `test/kms-pkcs11.test.ts` runs other tests with: `HOLDFAST_TEST_TOKEN` is JSON with module, label and pinFile. */
function rootArguments(): string[] {
  const given = process.env.HOLDFAST_TEST_TOKEN
  if (given === undefined) return []
  const { module, label, pinFile } = JSON.parse(given) as { module: string; label: string; pinFile: string }
  return ['--pkcs11-module', module, '--pkcs11-token', label, '--pkcs11-pin-file', pinFile]
}

/** Starts `holdfast kms --dev` and waits for its line. Rejects with what it said where it ended instead. */
export function startKms(args: readonly string[] = [], env: NodeJS.ProcessEnv = {}): Promise<Kms> {
  return startKmsBy(join(ROOT, 'bin/holdfast'), ['kms', '--dev', ...rootArguments(), ...args], env)
}

/** The same by a command of the caller's that ends in `holdfast kms …`. */
export async function startKmsBy(command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Kms> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } })
  const output = { stdout: '', stderr: '' }
  child.stdout?.on('data', chunk => {
    output.stdout += String(chunk)
  })
  child.stderr?.on('data', chunk => {
    output.stderr += String(chunk)
  })
  const text = await new Promise<string>((ready, failed) => {
    createInterface({ input: child.stdout as NodeJS.ReadableStream }).once('line', ready)
    child.once('exit', code => failed(new StartFailed(code, output.stderr)))
  })
  return new Kms(child, JSON.parse(text) as DevLine, output)
}

/** It ended before it was ready. */
export class StartFailed extends Error {
  readonly exitCode: number | null
  readonly stderr: string
  constructor(exitCode: number | null, stderr: string) {
    super(`holdfast kms ended with ${exitCode}: ${stderr}`)
    this.exitCode = exitCode
    this.stderr = stderr
  }
}

export interface CallOptions {
  readonly headers?: Readonly<Record<string, string>>
  readonly region?: string
  readonly signal?: AbortSignal
  /** By whose clock it is signed; the machine's where it is left out. */
  readonly signedAt?: number
  /** Told of the Authorization field as it is sent. */
  readonly onAuthorization?: (value: string) => void
}

/** One client of the API: signs with the SDK's own signer, keeps connections. */
export class ApiClient {
  readonly #endpoint: URL
  readonly #signer: (region: string) => SignatureV4
  readonly #agent = new http.Agent({ keepAlive: true })

  constructor(endpoint: string, credentials: Credentials) {
    this.#endpoint = new URL(endpoint)
    this.#signer = region =>
      new SignatureV4({ service: 'kms', region, credentials, sha256: Sha256, applyChecksum: false })
  }

  /** A signed request; `input` is sent as it is where it is bytes, and as JSON otherwise. Rejects where no answer came. */
  async call(operation: string, input: object | Buffer = {}, options: CallOptions = {}): Promise<Answer> {
    const body = Buffer.isBuffer(input) ? input : Buffer.from(JSON.stringify(input))
    const { hostname, port, host, protocol } = this.#endpoint
    const signed = await this.#signer(options.region ?? REGION).sign(
      {
        method: 'POST',
        protocol,
        hostname,
        port: Number(port),
        path: '/',
        query: {},
        headers: {
          host,
          'content-type': 'application/x-amz-json-1.1',
          'x-amz-target': `TrentService.${operation}`,
          ...options.headers,
        },
        body,
      },
      { signingDate: new Date(options.signedAt ?? Date.now()) },
    )
    options.onAuthorization?.(signed.headers.authorization ?? '')
    return exchange(
      {
        hostname,
        port,
        method: 'POST',
        path: '/',
        headers: { ...signed.headers, 'content-length': String(body.length) },
        agent: this.#agent,
        ...(options.signal === undefined ? {} : { signal: options.signal }),
      },
      body,
    )
  }

  /** The answer's body of a call that must succeed. */
  async ok(operation: string, input: object = {}, options: CallOptions = {}): Promise<Answer['json']> {
    const answer = await this.call(operation, input, options)
    if (answer.status !== 200) throw new Error(`${operation}: ${answer.status} ${answer.text}`)
    return answer.json
  }

  close(): void {
    this.#agent.destroy()
  }
}

/** One exchange over node:http. */
export function exchange(options: http.RequestOptions, body: Buffer): Promise<Answer> {
  return new Promise((done, failed) => {
    const sent = http.request(options, response => {
      const chunks: Buffer[] = []
      response.on('data', chunk => chunks.push(chunk))
      response.on('error', failed)
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString('utf8')
        done({
          status: response.statusCode ?? 0,
          text,
          json: parsed(text),
          requestId: String(response.headers['x-amzn-requestid'] ?? ''),
        })
      })
    })
    sent.on('error', failed)
    sent.end(body)
  })
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return {}
  }
}

/** A port that is free now. For services that are started again and must be found where they were. */
export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const address = server.address()
  await new Promise(resolve => server.close(resolve))
  if (address === null || typeof address === 'string') throw new Error('no port is free')
  return address.port
}
