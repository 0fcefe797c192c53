/**
 * A bounded pool of sessions with a bounded queue before it. A session that has seen any error is dropped, never given out again; a call that ran past
 * its deadline keeps its place until it returns, so that a hanging token takes no more threads than the pool has places.
 */
import type { Maybe } from './module.ts'
import type { Session } from './session.ts'
import { TokenError } from './types.ts'

interface Waiter {
  readonly resolve: (session: Session) => void
  readonly reject: (error: Error) => void
  timer: NodeJS.Timeout | undefined
}

export class SessionPool {
  readonly #limit: number
  readonly #queueLimit: number
  readonly #open: () => Maybe<Session>
  readonly #idle: Session[] = []
  readonly #waiting = new Set<Waiter>()
  /** Sessions idle, in use, being opened, or abandoned in a call. */
  #places = 0

  constructor(limit: number, queueLimit: number, open: () => Maybe<Session>) {
    this.#limit = limit
    this.#queueLimit = queueLimit
    this.#open = open
  }

  get size(): number {
    return this.#places
  }

  get waiting(): number {
    return this.#waiting.size
  }

  /** A session, at the latest after `timeoutMs` (else Timeout). Busy when the queue is full; what `open` throws where a new one cannot be opened. */
  acquire(timeoutMs: number): Maybe<Session> {
    const idle = this.#idle.pop()
    if (idle !== undefined) return idle
    if (this.#places < this.#limit && this.#waiting.size === 0) return this.#openedWithin(timeoutMs)
    if (this.#waiting.size >= this.#queueLimit) {
      throw new TokenError('Busy', `${this.#waiting.size} calls are already waiting for one of ${this.#limit} sessions`)
    }
    return new Promise((resolve, reject) => {
      const waiter: Waiter = { resolve, reject, timer: undefined }
      waiter.timer = setTimeout(() => {
        this.#waiting.delete(waiter)
        reject(new TokenError('Timeout', `no session became free within ${Math.round(timeoutMs)} ms`))
      }, timeoutMs)
      this.#waiting.add(waiter)
    })
  }

  /** A session that took too long to open goes to whoever is next. */
  #openedWithin(timeoutMs: number): Maybe<Session> {
    const opening = this.#opened()
    if (!(opening instanceof Promise)) return opening
    return new Promise((resolve, reject) => {
      let late = false
      const timer = setTimeout(() => {
        late = true
        reject(new TokenError('Timeout', `no session could be opened within ${Math.round(timeoutMs)} ms`))
      }, timeoutMs)
      const settle = (next: () => void) => {
        clearTimeout(timer)
        next()
      }
      opening.then(
        session => settle(() => (late ? this.release(session) : resolve(session))),
        error => settle(() => reject(error)),
      )
    })
  }

  #opened(): Maybe<Session> {
    this.#places += 1
    const failed = (error: unknown): never => {
      this.#places -= 1
      this.#serve()
      throw error
    }
    try {
      const session = this.#open()
      return session instanceof Promise ? session.catch(failed) : session
    } catch (error) {
      return failed(error)
    }
  }

  #next(): Waiter | undefined {
    const [waiter] = this.#waiting
    if (waiter === undefined) return undefined
    this.#waiting.delete(waiter)
    clearTimeout(waiter.timer)
    return waiter
  }

  /** A place has become free: the longest waiting call gets a new session. */
  #serve(): void {
    if (this.#places >= this.#limit) return
    const waiter = this.#next()
    if (waiter === undefined) return
    try {
      Promise.resolve(this.#opened()).then(waiter.resolve, waiter.reject)
    } catch (error) {
      waiter.reject(error as Error)
    }
  }

  /** A session that did its work without an error comes back. */
  release(session: Session): void {
    const waiter = this.#next()
    if (waiter === undefined) this.#idle.push(session)
    else waiter.resolve(session)
  }

  /** A session is gone; its place is free. */
  drop(): void {
    this.#places -= 1
    this.#serve()
  }

  /** The token is gone: forgets idle sessions without closing them, and fails what waits. Those in use come back through `drop`. */
  reset(error: Error): void {
    this.#places -= this.#idle.length
    this.#idle.length = 0
    for (let waiter = this.#next(); waiter !== undefined; waiter = this.#next()) waiter.reject(error)
  }
}
