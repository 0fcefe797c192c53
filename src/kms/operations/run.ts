/**
 * Runs one operation of an authenticated caller: validate, run, repeat after a stale row, and see to it that the request has its record before it is
 * answered (promise 2). The one place that knows how an error becomes a reply.
 */
import { BoundaryError, type Outcome, type Row } from '../../boundary/words.ts'
import type { Reply } from '../../http/types.ts'
import { assertEveryOperationDeclared, OPERATION_ACCESS } from '../access/permissions.ts'
import type { RequestFacts } from '../access/types.ts'
import { Wanted } from '../keys/allow.ts'
import { parseBody } from '../wire/body.ts'
import { errorReply, KmsError, tooFast } from '../wire/errors.ts'
import { OPERATION_INPUTS } from '../wire/model/model.ts'
import type { Limits } from '../wire/request-quotas.ts'
import { cut } from '../wire/text.ts'
import { compileValidator, type Validator } from '../wire/validate.ts'
import { kmsErrorOf } from './failures.ts'
import { isRecorded } from './recorded.ts'
import type { AnyOperation, Call, Operation, Services } from './types.ts'

/** What the wire knows of a request when its signature has been verified. */
export interface Authenticated {
  readonly operation: string
  readonly requestId: string
  readonly accessKeyId: string
  /** Where nobody proved to be the caller. */
  readonly authentication?: 'none'
  readonly body: Buffer
  readonly facts: RequestFacts
}

/** Who is told of what happens, and who says what is too fast; none may throw. */
export interface Watch {
  /** Request quotas; undefined: none. */
  readonly limits?: Limits
  /** For the operator's log: something failed that no caller can cause. */
  onDefect(error: unknown, requestId: string): void
  /** For the metrics. The words come from tables: the operation's name or `unknown`, and `ok` or the error's name. */
  onAnswer(operation: string, outcome: string, seconds: number): void
}

interface Served {
  readonly operation: Operation<unknown, unknown>
  readonly validate: Validator
}

/** How often one request is decided again because its key changed meanwhile. */
const MAX_STALE = 8
/** What one request may want loaded, one thing after the other: aliases and grants of two keys, and once more what others have driven out. */
const MAX_LOADS = 16
const NOTHING: readonly string[] = []
const CONTENT_TYPE = 'application/x-amz-json-1.1'

export class Runner {
  readonly #services: Services
  readonly #served = new Map<string, Served>()
  readonly #watch: Watch

  /** Throws where an operation declares no permission (promise 5) or is not in the API's model. */
  constructor(services: Services, operations: readonly AnyOperation[], watch: Watch) {
    assertEveryOperationDeclared(operations.map(({ name }) => name))
    this.#services = services
    this.#watch = watch
    for (const operation of operations) {
      this.#served.set(operation.name, {
        operation: operation as Operation<unknown, unknown>,
        validate: compileValidator(operation.name),
      })
    }
  }

  /** Never rejects. */
  async answer(request: Authenticated): Promise<Reply> {
    const call = this.#callOf(request)
    try {
      if (this.#watch.limits?.take(call.caller.account, call.region, call.operation) === false) throw tooFast()
      const served = this.#served.get(request.operation)
      if (served === undefined) throw notServed(request.operation)
      const input = served.validate(parseBody(request.body))
      const output = await this.#run(served.operation, call, input)
      if (served.operation.recordedBy === 'runner' || call.outcomePending) await this.#record(call, 'allowed', '')
      this.#answered(request, 'ok')
      return reply(request.requestId, 200, bodyOf(served.operation, output))
    } catch (error) {
      return this.#refuse(call, error)
    }
  }

  /** The call of a request that another protocol answers (STS); it is over with `ended`. */
  foreignCall(request: Authenticated): Call {
    return this.#callOf(request)
  }

  /**
   * Ends such a call: its record, unless the boundary has `recorded` it, and its place in the metrics. `error`: the protocol's name of it, empty where it
   * was served. False where the record could not be written: then there is no answer.
   */
  async ended(call: Call, error: string, recorded: boolean): Promise<boolean> {
    this.#answered(call, error === '' ? 'ok' : error)
    if (recorded) return true
    try {
      await this.#record(call, error === '' ? 'allowed' : error === 'AccessDenied' ? 'denied' : 'failed', error)
      return true
    } catch {
      return false
    }
  }

  #answered({ operation, facts }: Pick<Authenticated, 'operation' | 'facts'>, outcome: string): void {
    const name = Object.hasOwn(OPERATION_ACCESS, operation) ? operation : 'unknown'
    this.#watch.onAnswer(name, outcome, (this.#services.clocks.real() - facts.now) / 1000)
  }

  #callOf({ operation, requestId, accessKeyId, authentication, facts }: Authenticated): Call {
    const { caller, region } = facts
    return {
      services: this.#services,
      operation,
      requestId,
      caller,
      region,
      facts,
      asserted: {
        operation,
        requestId,
        account: caller.account,
        principal: caller.arn,
        accessKeyId,
        sourceIp: facts.sourceIp,
        region,
        ...(caller.service === '' ? {} : { viaService: `${caller.service}.${region}.amazonaws.com` }),
        ...(authentication === undefined ? {} : { authentication }),
        ...(facts.userAgent === '' ? {} : { userAgent: cut(facts.userAgent, 256) }),
      },
      keyId: '',
      subject: '',
      outcomePending: false,
      limits: this.#watch.limits,
      counted: NOTHING,
      aliases: undefined,
      daysWithoutUsage: undefined,
    }
  }

  /**
   * A stale row says that what was authorized is not what is: everything is decided again. Slow work, such as making an RSA pair, may find its key
   * changed more than once, so it is asked more than once. A key that never holds still is the caller's to slow down; one that holds still and is called
   * stale all the same is a defect of ours. Everything is decided again, too, when a policy has asked for what was not in memory.
   */
  async #run(operation: Operation<unknown, unknown>, call: Call, input: unknown): Promise<unknown> {
    const { asserted } = call
    let newest: Row | undefined
    for (let loads = 0, stale = 0; ; ) {
      try {
        return await operation.run(call, input)
      } catch (error) {
        if (error instanceof Wanted) {
          if (++loads > MAX_LOADS)
            throw new BoundaryError('Unavailable', 'what a decision needs does not stay in memory')
          await error.load(call)
        } else {
          if (!(error instanceof BoundaryError) || error.code !== 'StaleKey') throw error
          const before = newest
          newest = error.row
          if (++stale > MAX_STALE) throw newest !== undefined && isSame(newest, before) ? staysStale(newest) : tooFast()
          this.#refresh(call, error)
        }
        // The next decision says anew which grant it rests on.
        call.asserted = asserted
      }
    }
  }

  #refresh(call: Call, { row }: BoundaryError): void {
    const { replica } = this.#services
    for (const id of [row?.id, call.keyId]) {
      const stale = id === undefined || id === '' ? undefined : replica.peek('key', id)
      if (stale) replica.refresh(stale, row)
    }
  }

  async #refuse(call: Call, cause: unknown): Promise<Reply> {
    let error = inOurWords(cause, call)
    if (error.code === 'KMSInternalException' && error.cause !== undefined)
      this.#watch.onDefect(error.cause, call.requestId)
    if (!isRecorded(cause) || call.outcomePending) {
      try {
        await this.#record(call, error.code === 'AccessDeniedException' ? 'denied' : 'failed', error.code)
      } catch {
        // Without a record there is no answer but that nothing can be answered.
        error = new KmsError('KMSInternalException')
      }
    }
    this.#answered(call, error.code)
    const { status, body } = errorReply(error)
    return reply(call.requestId, status, body)
  }

  #record(call: Call, outcome: Outcome, error: string): Promise<void> {
    const asserted = call.subject === '' ? call.asserted : { ...call.asserted, subject: cut(call.subject, 512) }
    return this.#services.boundary.record({ outcome, error, keyId: call.keyId, asserted, count: 0 })
  }
}

const isSame = (row: Row, other: Row | undefined): boolean =>
  row.id === other?.id && row.revision === other.revision && row.tag.equals(other.tag)

/** Between two looks nothing has changed, and what was used at the second was not what the boundary had named at the first. */
const staysStale = ({ kind, id, revision }: Row): KmsError =>
  new KmsError('KMSInternalException', undefined, {
    cause: new Error(`the ${kind} row ${id} stays stale: revision ${revision} is the newest and is not what is used`),
  })

function inOurWords(cause: unknown, call: Call): KmsError {
  if (cause instanceof KmsError) return cause
  if (cause instanceof BoundaryError) return kmsErrorOf(cause, call)
  return new KmsError('KMSInternalException', undefined, { cause })
}

/** An operation of the API that is not built is not unknown (never 404 or 500). */
function notServed(operation: string): KmsError {
  if (OPERATION_INPUTS.has(operation))
    return new KmsError('UnsupportedOperationException', `${operation} is not supported yet.`)
  return new KmsError('UnknownOperationException')
}

function bodyOf(operation: Operation<unknown, unknown>, output: unknown): string {
  if (operation.write !== undefined) return operation.write(output)
  return output === undefined ? '' : JSON.stringify(output)
}

export function reply(requestId: string, status: number, body: string): Reply {
  return { status, headers: { 'content-type': CONTENT_TYPE, 'x-amzn-requestid': requestId }, body }
}
