/**
 * The link to a token: open, lost and coming back, or failed; and work on its sessions within a deadline.
 * A loss is noticed by what calls return, and by asking the token after errors that do not say. One login at the start, one for each return.
 */
import { type Connection, connect, openSession, openSessionNow, present, type Validity } from './connection.ts'
import { Gate } from './gate.ts'
import type { Maybe, Module } from './module.ts'
import { SessionPool } from './pool.ts'
import { HELD } from './reinitialization.ts'
import type { Session } from './session.ts'
import { TokenError, type TokenOptions, type TokenStatus } from './types.ts'
import { Outdated, TimedOut, within } from './waits.ts'

const DEFAULT_SESSIONS = 8
const DEFAULT_DEADLINE_MS = 200
const DEFAULT_QUEUE = 1024
const DEFAULT_REOPEN_MS = 1000

export class TokenLink {
  readonly #module: Module
  readonly #options: TokenOptions
  readonly deadlineMs: number
  readonly #queueLimit: number
  readonly #pool: SessionPool
  #connection: Connection | undefined
  #state: TokenStatus['state'] = 'lost'
  #failure: TokenError = new TokenError('TokenLost', 'the token has not been opened yet')
  #generation = 0
  #logins = 0
  #losses = 0
  #abandoned = 0
  /** Calls that wait for the token to come back. */
  #hoping = 0
  #attempt: Promise<void> | undefined
  #retry: NodeJS.Timeout | undefined
  #asking: Promise<boolean> | undefined
  /** Shut while the module is initialised anew for another token. */
  readonly #gate = new Gate()
  /** Work on sessions of its own, which takes seconds. */
  #aside = 0
  /** Of the module, when the connection was made. */
  #epoch = 0

  constructor(module: Module, options: TokenOptions) {
    this.#module = module
    this.#options = options
    this.deadlineMs = options.deadlineMs ?? DEFAULT_DEADLINE_MS
    this.#queueLimit = options.queue ?? DEFAULT_QUEUE
    const sessions = module.asynchronous ? (options.sessions ?? DEFAULT_SESSIONS) : 1
    this.#pool = new SessionPool(sessions, this.#queueLimit, () => this.#openSession())
  }

  /** No work can begin now; `opened` waits until it can, or says why. */
  get lost(): boolean {
    return this.#state !== 'open' || this.#gate.opening !== undefined
  }

  async open(): Promise<void> {
    this.#take(await this.#module.connecting(() => this.#connect()))
    this.#state = 'open'
  }

  /** Throws where the link was closed meanwhile. */
  #take(connection: Connection): void {
    if (this.#state === 'closed') {
      this.#module.release(connection.slot, this)
      throw this.#failure
    }
    this.#connection = connection
  }

  /** The first opening has failed, or takes too long: whatever may still come of it is not used. */
  giveUp(): void {
    this.#state = 'closed'
    this.#options.pin.wipe()
    this.#module.close()
  }

  #connect(): Promise<Connection> {
    this.#generation += 1
    this.#epoch = this.#module.epoch
    return connect({
      module: this.#module,
      wanted: this.#options.token,
      pin: this.#options.pin,
      onLogin: () => {
        this.#logins += 1
      },
      link: this,
      ...this.#validity(),
    })
  }

  /** Of sessions that are opened now. */
  #validity(): Validity {
    const [generation, epoch] = [this.#generation, this.#module.epoch]
    return { generation, valid: () => generation === this.#generation && epoch === this.#module.epoch }
  }

  #openSession(): Maybe<Session> {
    const connection = this.#connection
    if (this.#gate.opening !== undefined) throw new Outdated(HELD)
    if (connection === undefined) throw this.#failure
    return this.#module.asynchronous
      ? openSession(this.#module, connection.slot, this.#validity())
      : openSessionNow(this.#module, connection.slot, this.#validity())
  }

  #become(state: TokenStatus['state'], error: TokenError): void {
    this.#state = state
    this.#failure = error
    this.#options.onChange?.(this.status())
  }

  /** The token is gone: everything of it is dropped, and it is tried again at once and then at intervals. */
  #lose(error: TokenError): void {
    if (this.#state !== 'open') return
    this.#losses += 1
    this.#forget()
    this.#become('lost', error)
    this.#pool.reset(error)
    this.#startAttempt()
  }

  #forget(): void {
    if (this.#connection !== undefined) this.#module.release(this.#connection.slot, this)
    this.#connection = undefined
  }

  #startAttempt(): void {
    this.#attempt = this.#reopen().finally(() => {
      this.#attempt = undefined
      if (this.#state !== 'lost') return
      this.#retry = setTimeout(() => this.#startAttempt(), this.#options.reopenMs ?? DEFAULT_REOPEN_MS)
      this.#retry.unref()
    })
  }

  async #reopen(): Promise<void> {
    try {
      const connection = await this.#module.connecting(() => this.#connectAgain())
      if (this.#state !== 'lost') {
        this.#module.release(connection.slot, this)
        return
      }
      this.#connection = connection
      this.#module.found()
      this.#become('open', this.#failure)
    } catch (error) {
      if (this.#state !== 'lost') return
      const failure = error instanceof TokenError ? error : new TokenError('Failed', (error as Error).message)
      if (failure.code === 'PinIncorrect') {
        this.#options.pin.wipe()
        this.#become('failed', failure)
      } else {
        this.#failure = new TokenError('TokenLost', `the token is gone: ${failure.message}`, failure.ckr)
      }
    }
  }

  busy(): boolean {
    return this.#aside > 0 || this.#abandoned > 0
  }

  hold(): Promise<void> {
    return this.#gate.shut()
  }

  resume(): void {
    this.#gate.open()
  }

  /** As after a loss, of which nobody is told: the token was there all the time. Where it is not found now, it is lost. */
  async renew(): Promise<void> {
    if (this.#state === 'open') {
      this.#forget()
      this.#pool.reset(new Outdated(HELD))
      try {
        this.#take(await this.#connect())
      } catch (error) {
        if (error instanceof TokenError && error.code === 'PinIncorrect') {
          this.#options.pin.wipe()
          this.#become('failed', error)
        } else this.#lose(error instanceof TokenError ? error : new TokenError('Failed', (error as Error).message))
      }
    }
    this.#gate.open()
  }

  /** Some modules (SoftHSM) see a token that has come back only after they were initialised anew. */
  async #connectAgain(): Promise<Connection> {
    // A question that the token has not answered still holds a thread, and it would not answer us either.
    await this.#asking?.catch(() => undefined)
    try {
      return await this.#connect()
    } catch (error) {
      const refused = error instanceof TokenError && error.code === 'PinIncorrect'
      if (refused || this.#state !== 'lost' || !(await this.#module.reinitialize())) throw error
      return this.#connect()
    }
  }

  /** Resolves when the token is open; waits for an attempt under way to get it back, for at most `timeoutMs`. */
  async opened(timeoutMs: number): Promise<void> {
    const until = performance.now() + timeoutMs
    const { opening } = this.#gate
    if (opening !== undefined) await this.#hope(opening, timeoutMs, HELD)
    if (this.#state === 'lost' && this.#attempt !== undefined)
      await this.#hope(this.#attempt, until - performance.now(), this.#failure)
    if (this.#state !== 'open') throw this.#failure
  }

  /** Waits, unless too many do. */
  async #hope(what: Promise<void>, timeoutMs: number, otherwise: TokenError): Promise<void> {
    if (this.#pool.waiting + this.#hoping >= this.#queueLimit) throw otherwise
    this.#hoping += 1
    try {
      await within(what, timeoutMs, otherwise.message)
    } finally {
      this.#hoping -= 1
    }
  }

  /** Draws the consequences of an error of `onSession`: true where the same work may be done again. Throws what is to be thrown instead. */
  async recover(error: unknown, doubtful: boolean): Promise<boolean> {
    if (error instanceof Outdated) return this.#state === 'open' || this.#attempt !== undefined
    if (!(error instanceof TokenError)) throw error
    if (error.code === 'TokenLost') {
      const wasOpen = this.#state === 'open'
      this.#lose(error)
      return wasOpen || this.#attempt !== undefined
    }
    if (doubtful) await this.#checkPresent(error)
    return false
  }

  async doubt(): Promise<void> {
    const error = new TokenError('TokenLost', 'another token of its module was lost, and with it this one')
    await this.#checkPresent(error).catch(() => {})
  }

  /** After an error that does not say whether the token is still there: asks, once for all who want to know. */
  async #checkPresent(error: TokenError): Promise<void> {
    await this.#gate.opening
    const connection = this.#connection
    if (connection === undefined) throw this.#failure
    this.#asking ??= present(this.#module, connection).finally(() => {
      this.#asking = undefined
    })
    const there = await within(this.#asking, this.deadlineMs, '').catch(() => false)
    if (there || this.#connection !== connection) return
    const lost = new TokenError('TokenLost', `the token is gone: ${error.message}`, error.ckr)
    this.#lose(lost)
    throw lost
  }

  /**
   * Runs `work` on a session before `deadline` (of performance.now()); a call that runs past it is left to return by itself, and holds its place
   * until then. Any error drops the session.
   */
  async onSession<T>(deadline: number, work: (session: Session) => Maybe<T>): Promise<T> {
    const session = await this.#pool.acquire(deadline - performance.now())
    if (!this.#current(session)) {
      this.#pool.drop()
      throw new Outdated(this.#failure)
    }
    if (this.#gate.opening !== undefined) {
      this.#pool.release(session)
      throw new Outdated(HELD)
    }
    try {
      const result = this.#gate.during(() => work(session))
      if (result instanceof Promise) return await this.#untilDeadline(session, result, deadline)
      this.#giveBack(session)
      return result
    } catch (error) {
      if (!(error instanceof TimedOut)) this.#discard(session)
      // What a session says of itself after its generation has gone says nothing of the token.
      const outdated =
        session.generation !== this.#generation && error instanceof TokenError && error.code === 'TokenLost'
      throw outdated ? new Outdated(error) : error
    }
  }

  /**
   * Runs `work` on a session of its own, off this thread: for what takes seconds in a module that is called on it. Work that does not return in time is left
   * to return by itself.
   */
  async aside<T>(ms: number, work: (session: Session) => Maybe<T>): Promise<T> {
    const connection = this.#connection
    if (this.#gate.opening !== undefined) throw new Outdated(HELD)
    if (connection === undefined) throw this.#failure
    this.#aside += 1
    const done = this.#onOwnSession(connection, work).finally(() => {
      this.#aside -= 1
    })
    return within(done, ms, `the token did not answer within ${ms / 1000} s`)
  }

  async #onOwnSession<T>({ slot }: Connection, work: (session: Session) => Maybe<T>): Promise<T> {
    const session = await openSession(this.#module, slot, this.#validity(), true)
    try {
      return await work(session)
    } finally {
      if (this.#current(session)) await session.close()
    }
  }

  #untilDeadline<T>(session: Session, work: Promise<T>, deadline: number): Promise<T> {
    return new Promise((resolve, reject) => {
      let abandoned = false
      const abandon = () => {
        abandoned = true
        this.#abandoned += 1
        reject(new TimedOut(`the token did not answer within ${this.deadlineMs} ms`))
      }
      const timer = setTimeout(abandon, Math.max(0, deadline - performance.now()))
      const returned = () => {
        clearTimeout(timer)
        if (!abandoned) return
        this.#abandoned -= 1
        this.#discard(session)
      }
      work.then(
        value => {
          returned()
          if (!abandoned) this.#giveBack(session)
          resolve(value)
        },
        error => {
          returned()
          reject(error)
        },
      )
    })
  }

  #current(session: Session): boolean {
    const { epoch } = this.#module
    return this.#state === 'open' && session.generation === this.#generation && this.#epoch === epoch
  }

  #giveBack(session: Session): void {
    if (this.#current(session)) this.#pool.release(session)
    else this.#pool.drop()
  }

  /** Closes the session, unless it went with the token (its handle may be another's by now), and frees its place. */
  #discard(session: Session): void {
    const closed = this.#current(session) ? session.close() : 0
    const free = () => this.#pool.drop()
    if (closed instanceof Promise) closed.then(free, free)
    else free()
  }

  status(): TokenStatus {
    const info = this.#connection?.info
    return {
      state: this.#state,
      detail: this.#state === 'open' ? '' : this.#failure.message,
      module: this.#module.path,
      library: this.#module.library,
      tokenLabel: info?.label ?? '',
      manufacturer: info?.manufacturer ?? '',
      model: info?.model ?? '',
      serial: info?.serial ?? '',
      calls: this.#module.asynchronous ? 'async' : 'sync',
      sessions: this.#pool.size,
      abandoned: this.#abandoned,
      waiting: this.#pool.waiting + this.#hoping,
      logins: this.#logins,
      losses: this.#losses,
    }
  }

  async close(): Promise<void> {
    if (this.#state === 'closed') return
    clearTimeout(this.#retry)
    const closed = new TokenError('Closed', 'the token has been closed')
    const slot = this.#connection?.slot
    this.#forget()
    this.#become('closed', closed)
    this.#pool.reset(closed)
    await within(this.#module.idle(), this.deadlineMs, '').catch(() => undefined)
    this.#options.pin.wipe()
    // What finalises the module logs out of this token too; others of the module go on.
    if (slot !== undefined && !this.#module.alone) {
      const closing = Promise.resolve(this.#module.call('C_CloseAllSessions', slot))
      await within(closing, this.deadlineMs, '').catch(() => undefined)
    }
    this.#module.close()
  }
}
