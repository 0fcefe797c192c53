/**
 * One child process: started, started anew with a growing delay when it dies, and stopped. Its log lines go to this process' stderr untouched.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import type { Log } from '../service/log.ts'

export interface ChildSpec {
  readonly name: string
  readonly entry: string
  readonly nodeFlags: readonly string[]
  readonly env: NodeJS.ProcessEnv
  readonly user: { readonly uid: number; readonly gid: number } | undefined
  /** First message that it gets. */
  readonly config: object
  /** Whether starting anew after this exit code is of no use: an operator must change something. */
  readonly isFinal: (code: number) => boolean
  readonly onMessage: (message: unknown) => void
  /** It ended and is not started anew. */
  readonly onFinal: (code: number, reason: string) => void
  readonly log: Log
  /** File descriptor for its log lines; 2 unless given. */
  readonly stderr: number
}

const FIRST_DELAY = 100
const LAST_DELAY = 10_000
/** Milliseconds of life after which a death is not counted as another failure to start. */
const GOOD_LIFE = 30_000
/** Exit code where a signal ended the process. */
const KILLED = 70

export class Child {
  readonly #spec: ChildSpec
  #process: ChildProcess | undefined
  #timer: NodeJS.Timeout | undefined
  #delay = FIRST_DELAY
  #stopping = false

  constructor(spec: ChildSpec) {
    this.#spec = spec
  }

  get pid(): number | undefined {
    return this.#process?.pid
  }

  start(): void {
    const { name, entry, nodeFlags, env, user, config, log, stderr } = this.#spec
    const startedAt = performance.now()
    const child = spawn(process.execPath, [...nodeFlags, entry], {
      stdio: ['ignore', stderr, stderr, 'ipc'],
      env,
      ...(user === undefined ? {} : { uid: user.uid, gid: user.gid }),
    })
    this.#process = child
    child.on('message', message => this.#spec.onMessage(message))
    child.once('error', error => log('error', `${name} could not be started: ${error.message}`))
    child.once('exit', (code, signal) => {
      if (this.#process === child) this.#process = undefined
      this.#ended(code ?? KILLED, signal === null ? `exit code ${code}` : signal, performance.now() - startedAt)
    })
    // A child that is gone already: its exit tells.
    child.send(config, () => {})
  }

  #ended(code: number, how: string, lived: number): void {
    const { name, isFinal, onFinal, log } = this.#spec
    if (this.#stopping) return
    if (isFinal(code)) {
      this.#stopping = true
      onFinal(code, `${name} ended: ${how}`)
      return
    }
    if (lived >= GOOD_LIFE) this.#delay = FIRST_DELAY
    log('error', `${name} ended and is started anew`, { how, inMs: this.#delay })
    this.#timer = setTimeout(() => this.start(), this.#delay)
    this.#delay = Math.min(this.#delay * 2, LAST_DELAY)
  }

  /** It answered: the next death is not a failure to start. */
  wentWell(): void {
    this.#delay = FIRST_DELAY
  }

  /** SIGTERM, and SIGKILL after the deadline. Resolves when it is gone. */
  stop(deadlineMs: number): Promise<void> {
    this.#stopping = true
    clearTimeout(this.#timer)
    const child = this.#process
    if (child === undefined) return Promise.resolve()
    return new Promise(resolve => {
      const late = setTimeout(() => child.kill('SIGKILL'), deadlineMs)
      child.once('exit', () => {
        clearTimeout(late)
        resolve()
      })
      child.kill('SIGTERM')
    })
  }
}
