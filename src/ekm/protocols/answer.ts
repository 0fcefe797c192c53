/**
 * What every protocol does with an authenticated request: turn it away where there is too much to do, run it, and whatever goes wrong, see to its one
 * record before it is refused in that protocol's form; and not let its caller wait for longer than the protocol has.
 */
import { type Claims, NO_CLAIMS } from '../access/claims.ts'
import { type Call, type Core, CoreError, MESSAGES } from '../core.ts'
import type { Ticket } from '../load/admission.ts'
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
  const { core } = exchange
  const begun = performance.now()
  const first = exchange.call(NO_CLAIMS)
  const counted = (call: Call, answered: Answer<Reply>): Answer<Reply> => {
    core.answered(call, answered.outcome, (performance.now() - begun) / 1000)
    return answered
  }
  const refused = (code: 'Busy' | 'Unavailable'): Answer<Reply> => {
    const name = first.errorNames[code]
    return counted(first, { outcome: name, reply: exchange.refusal(name, MESSAGES[code]) })
  }
  const ticket = core.admission.enter(first.caller)
  if (typeof ticket === 'string') return Promise.resolve(refused(ticket === 'away' ? 'Unavailable' : 'Busy'))
  first.ticket = ticket
  return new Promise((resolve, reject) => {
    ticket.onExpire = () => resolve(refused('Unavailable'))
    done(exchange, first, ticket).then(
      ({ call, ...answered }) => {
        if (!ticket.expired) resolve(counted(call, answered))
        ticket.settle()
      },
      error => {
        ticket.settle()
        reject(error)
      },
    )
  })
}

async function done<Reply>(
  exchange: Exchange<Reply>,
  first: Call,
  ticket: Ticket,
): Promise<Answer<Reply> & { readonly call: Call }> {
  const { core, run, onDefect } = exchange
  let call = first
  const refused = (name: string, message: string) => ({ call, outcome: name, reply: exchange.refusal(name, message) })
  const told = (claims: Claims): Call => {
    call = exchange.call(claims)
    call.ticket = ticket
    return call
  }
  try {
    if (exchange.busy) return await core.busy(call)
    const reply = await run(told)
    return { call, outcome: 'ok', reply }
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
