/**
 * STS on the KMS's port (aws-kms.md §4.5): the query protocol, XML in its answers. The handler has verified the signature (service `sts`). Each request ends in
 * exactly one record before it is answered (promise 2).
 */
import { BoundaryError } from '../../boundary/words.ts'
import { assertEveryOperationDeclared } from '../access/permissions.ts'
import { isRecorded } from '../operations/recorded.ts'
import type { Authenticated, Runner } from '../operations/run.ts'
import { AssumeRole } from './assume-role.ts'
import { StsError, type StsReply, stsError } from './errors.ts'
import { GetCallerIdentity } from './get-caller-identity.ts'
import { GetSessionToken } from './get-session-token.ts'
import type { StsOperation } from './operation.ts'
import { Form } from './query.ts'
import { responseOf } from './xml.ts'

const OPERATIONS: ReadonlyMap<string, StsOperation> = new Map(
  [GetCallerIdentity, AssumeRole, GetSessionToken].map(operation => [operation.name, operation]),
)
const VERSION = '2011-06-15'
const TRY_AGAIN = 'The request could not be served. Try again.'
/** What a refusal of the boundary means for callers: it is away, for now. */
const AWAY: ReadonlySet<string> = new Set(['Unavailable', 'Locked', 'DiskFull', 'LimitExceeded'])

assertEveryOperationDeclared(OPERATIONS.keys())

/** `form`: a POST's body, or a GET's query. Never rejects. O(form). */
export async function answerSts(
  runner: Runner,
  request: Omit<Authenticated, 'operation'>,
  form: string,
  onDefect: (error: unknown, requestId: string) => void,
): Promise<StsReply> {
  const { requestId } = request
  let read: Form | StsError
  try {
    read = new Form(form)
  } catch (error) {
    read = error as StsError
  }
  const named = read instanceof Form ? OPERATIONS.get(read.get('Action') ?? '') : undefined
  const call = runner.foreignCall({ ...request, operation: named?.name ?? '' })
  let reply: StsReply
  let code = ''
  let recorded = false
  try {
    if (read instanceof StsError) throw read
    const operation = servedBy(read, named)
    const body = responseOf(operation.name, await operation.run(call, read), requestId)
    recorded = operation.recordedBy === 'boundary'
    reply = { status: 200, contentType: 'text/xml', body }
  } catch (error) {
    recorded = isRecorded(error)
    const refusal = inWordsOfSts(error)
    code = refusal.code
    if (code === 'InternalFailure') onDefect(error, requestId)
    reply = stsError(refusal.code, refusal.message, requestId)
  }
  if (await runner.ended(call, code, recorded)) return reply
  return stsError('InternalFailure', TRY_AGAIN, requestId)
}

function servedBy(form: Form, named: StsOperation | undefined): StsOperation {
  const action = form.get('Action')
  const version = form.get('Version')
  if (action === undefined)
    throw new StsError('MissingAction', 'The request is missing an action or a required parameter.')
  if (named !== undefined && version === VERSION) return named
  const shown = version?.slice(0, 32) ?? 'NO_VERSION_SPECIFIED'
  throw new StsError('InvalidAction', `Could not find operation ${action.slice(0, 64)} for version ${shown}`)
}

function inWordsOfSts(error: unknown): StsError {
  if (error instanceof StsError) return error
  if (error instanceof BoundaryError && AWAY.has(error.code)) return new StsError('ServiceUnavailable', TRY_AGAIN)
  return new StsError('InternalFailure', TRY_AGAIN)
}
