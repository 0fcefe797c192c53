/** The API server's encryption of what goes into etcd, as its own code does it (test/clients/kubernetes/main.go), and KMS v2 spoken by grpc-go. */
import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { path } from './clients.ts'

export interface Answer {
  /** Empty where it went well. */
  readonly error: string
  /** Of gRPC, as grpc-go names it; empty where it went well. */
  readonly code: string
  readonly data: Buffer
  readonly stale: boolean
  readonly keyId: string
  readonly annotations: Readonly<Record<string, string>>
  readonly version: string
  readonly healthz: string
}

export interface Ask {
  readonly id?: string
  readonly config?: string
  readonly provider?: string
  readonly aheadMs?: number
  readonly path?: string
  readonly data?: Buffer
  readonly endpoint?: string
  readonly ca?: string
  readonly certificate?: string
  readonly keyFile?: string
  readonly metadata?: Readonly<Record<string, string>>
  readonly uid?: string
  readonly keyId?: string
  readonly timeoutMs?: number
  readonly gzip?: boolean
}

type Verb = 'start' | 'stop' | 'clock' | 'health' | 'write' | 'read' | 'stored' | 'connect'
export type Method = 'Status' | 'Encrypt' | 'Decrypt'

export class ApiServerCode {
  readonly #process: ChildProcess
  readonly #waiting: ((line: string) => void)[] = []
  #stderr = ''

  constructor() {
    this.#process = spawn(path('apiserver'), { stdio: ['pipe', 'pipe', 'pipe'] })
    this.#process.stderr?.on('data', chunk => {
      this.#stderr = (this.#stderr + String(chunk)).slice(-4000)
    })
    createInterface({ input: this.#process.stdout as NodeJS.ReadableStream }).on('line', line => {
      this.#waiting.shift()?.(line)
    })
  }

  /** Answers come in the order of the questions. */
  do(what: Verb | Method, ask: Ask = {}): Promise<Answer> {
    const { data, ...rest } = ask
    return new Promise((resolve, reject) => {
      const ended = () => reject(new Error(`the API server's code ended: ${this.#stderr}`))
      this.#process.once('exit', ended)
      this.#waiting.push(line => {
        this.#process.off('exit', ended)
        const { data: answered = '', ...other } = JSON.parse(line) as { data?: string }
        resolve({
          error: '',
          code: '',
          stale: false,
          keyId: '',
          annotations: {},
          version: '',
          healthz: '',
          ...other,
          data: Buffer.from(answered, 'base64'),
        })
      })
      this.#process.stdin?.write(`${JSON.stringify({ do: what, ...rest, data: data?.toString('base64') })}\n`)
    })
  }

  /** The same, where it has to go well. */
  async must(what: Verb | Method, ask: Ask = {}): Promise<Answer> {
    const answer = await this.do(what, ask)
    if (answer.error !== '') throw new Error(`${what}: ${answer.error}`)
    return answer
  }

  end(): void {
    this.#process.stdin?.end()
  }
}
