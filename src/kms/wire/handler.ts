/** The KMS's one route: POST / with X-Amz-Target, and STS's query protocol beside it. Authentication comes before anything in the body is looked at. */
import { randomUUID } from 'node:crypto'
import type { HttpErrorKind, HttpRequest, Reply } from '../../http/types.ts'
import type { Principals } from '../access/principals.ts'
import type { RequestFacts } from '../access/types.ts'
import { type Runner, reply } from '../operations/run.ts'
import { answerSts } from '../sts/get-caller-identity.ts'
import { authenticate } from './authenticate.ts'
import { errorReply, KmsError } from './errors.ts'

const TARGET = /^TrentService\.([A-Za-z]{1,64})$/

export interface HandlerParts {
  readonly runner: Runner
  readonly principals: Principals
  readonly regions: ReadonlySet<string>
  readonly secure: boolean
  readonly record: (operation: string, requestId: string, caller: RequestFacts['caller']) => Promise<void>
  /** A stranger was refused: counted, one record an interval and reason. */
  readonly onStranger: (reason: string, address: string) => void
}

export function makeHandler(parts: HandlerParts): (request: HttpRequest) => Promise<Reply> {
  return async request => {
    const requestId = randomUUID()
    try {
      const { identity, region, service } = await authenticate(request, parts.principals, parts.regions)
      const { caller } = identity
      if (service === 'sts') {
        const form = request.method === 'GET' ? request.query : request.body.toString('latin1')
        const { status, contentType, body } = answerSts(caller, { form, requestId })
        await parts.record('GetCallerIdentity', requestId, caller)
        return { status, headers: { 'content-type': contentType, 'x-amzn-requestid': requestId }, body }
      }
      const target = TARGET.exec(request.headers['x-amz-target'] ?? '')?.[1]
      const facts: RequestFacts = {
        caller,
        region,
        sourceIp: request.remoteAddress,
        secureTransport: parts.secure,
        userAgent: request.headers['user-agent'] ?? '',
        now: request.receivedAt,
      }
      const operation = request.method === 'POST' && request.rawPath === '/' ? (target ?? '') : ''
      return await parts.runner.answer({
        operation,
        requestId,
        accessKeyId: identity.accessKeyId,
        body: request.body,
        facts,
      })
    } catch (error) {
      const refused =
        error instanceof KmsError ? error : new KmsError('KMSInternalException', undefined, { cause: error })
      if (refused.code !== 'KMSInternalException') parts.onStranger(refused.code, request.remoteAddress)
      const { status, body } = errorReply(refused)
      return reply(requestId, status, body)
    }
  }
}

/** What the listener refuses by itself, in the KMS's form. */
export function listenerError(kind: HttpErrorKind): Reply {
  const error = {
    TooLarge: new KmsError('RequestEntityTooLargeException', 'The request is larger than 1 MiB.'),
    Timeout: new KmsError('SerializationException', 'The request did not arrive in time.'),
    BadRequest: new KmsError('SerializationException', 'The request is not HTTP/1.1 as it should be.'),
    Overloaded: new KmsError(
      'ThrottlingException',
      'You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls.',
    ),
    Unavailable: new KmsError('KMSInternalException'),
    Internal: new KmsError('KMSInternalException'),
  }[kind]
  const { status, body } = errorReply(error)
  return reply(randomUUID(), status, body)
}
