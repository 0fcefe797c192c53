/**
 * What every protocol does with an authenticated request: turn it away where there is too much to do, run it, and whatever goes wrong, see to its one
 * record before it is refused in that protocol's form; and not let its caller wait for longer than the protocol has.
 */
import { type Claims, NO_CLAIMS } from '../access/claims.ts'
import { type Call, type Core, CoreError, MESSAGES } from '../core.ts'
import type { Ticket, Waiting } from '../load/admission.ts'
import { ProtocolError } from './error.ts'

export interface Exchange<Reply> {
  readonly core: Core
  /** The call that this request is, with what is known of its claims so far. */
  readonly call: (claims: Claims) => Call
  /** Authentic, and refused all the same because there is too much to do. */
  readonly busy: boolean
  /** Reads the body and does what it asks. `told` takes the claims as soon as they are read, so that a refusal after it is recorded with them. */
  readonly run: (told: (claims: Claims) => Call) => Promise<Reply>
  /** A refusal by the protocol's name of the error. */
  readonly refusal: (name: string, message: string) => Reply
  /** For the operator's log: what should not happen. */
  readonly onDefect: (error: unknown, requestId?: string) => void
}

export interface Answer<Reply> {
  /** `ok`, or the protocol's name of the error. */
  readonly outcome: string
  readonly reply: Reply
}

export function answer<Reply>(exchange: Exchange<Reply>): Promise<Answer<Reply>> {
  return new Answering(exchange).answer
}

/** One request, until its caller is told; by what was done, or by the clock. */
class Answering<Reply> implements Waiting {
  readonly answer: Promise<Answer<Reply>>
  readonly #exchange: Exchange<Reply>
  readonly #begun = performance.now()
  #tell: (answer: Answer<Reply> | PromiseLike<Answer<Reply>>) => void = () => {}

  constructor(exchange: Exchange<Reply>) {
    const { core } = exchange
    this.#exchange = exchange
    const call = exchange.call(NO_CLAIMS)
    const ticket = core.admission.enter(call.caller, this)
    if (typeof ticket === 'string') {
      this.answer = Promise.resolve(this.#refused(ticket === 'away' ? 'Unavailable' : 'Busy'))
      return
    }
    this.answer = new Promise(resolve => {
      this.#tell = resolve
    })
    void this.#run(call, ticket)
  }

  timeIsOver(): void {
    this.#tell(this.#refused('Unavailable'))
  }

  async #run(first: Call, ticket: Ticket): Promise<void> {
    try {
      const { call, answered } = await done(this.#exchange, first, ticket)
      if (!ticket.expired) this.#tell(this.#counted(call, answered))
    } catch (error) {
      this.#tell(Promise.reject(error))
    } finally {
      ticket.settle()
    }
  }

  #refused(code: 'Busy' | 'Unavailable'): Answer<Reply> {
    const call = this.#exchange.call(NO_CLAIMS)
    const name = call.errorNames[code]
    return this.#counted(call, { outcome: name, reply: this.#exchange.refusal(name, MESSAGES[code]) })
  }

  #counted(call: Call, answered: Answer<Reply>): Answer<Reply> {
    this.#exchange.core.answered(call, answered.outcome, (performance.now() - this.#begun) / 1000)
    return answered
  }
}

interface Done<Reply> {
  readonly call: Call
  readonly answered: Answer<Reply>
}

async function done<Reply>(exchange: Exchange<Reply>, first: Call, ticket: Ticket): Promise<Done<Reply>> {
  const { core, run, onDefect } = exchange
  let call = first
  call.ticket = ticket
  const refused = (name: string, message: string) => ({
    call,
    answered: { outcome: name, reply: exchange.refusal(name, message) },
  })
  const told = (claims: Claims): Call => {
    call = exchange.call(claims)
    call.ticket = ticket
    return call
  }
  try {
    if (exchange.busy) return await core.busy(call)
    const reply = await run(told)
    return { call, answered: { outcome: 'ok', reply } }
  } catch (error) {
    if (error instanceof CoreError) return refused(call.errorNames[error.code], error.message)
    const known = error instanceof ProtocolError
    if (!known) onDefect(error, call.requestId)
    const { name, message, outcome } = known
      ? error
      : new ProtocolError(call.errorNames.Internal, 'The key manager failed.')
    try {
      await core.refused(call, name, outcome)
    } catch (cause) {
      if (cause instanceof CoreError) return refused(call.errorNames[cause.code], cause.message)
      throw cause
    }
    return refused(name, message)
  }
}
