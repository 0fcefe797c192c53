/**
 * What every protocol does with an authenticated request: run it, and whatever goes wrong, see to its one record before it is refused in that
 * protocol's form.
 */
import { type Claims, NO_CLAIMS } from '../access/claims.ts'
import { type Call, type Core, CoreError } from '../core.ts'
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

export async function answer<Reply>(exchange: Exchange<Reply>): Promise<Answer<Reply>> {
  const { core, run, onDefect } = exchange
  let call = exchange.call(NO_CLAIMS)
  const refused = (name: string, message: string): Answer<Reply> => ({
    outcome: name,
    reply: exchange.refusal(name, message),
  })
  const told = (claims: Claims): Call => {
    call = exchange.call(claims)
    return call
  }
  try {
    if (exchange.busy) return await core.busy(call)
    return { outcome: 'ok', reply: await run(told) }
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
