/** The KMS's one route: POST / with X-Amz-Target, and STS's query protocol beside it. Authentication comes before anything in the body is looked at. */
import { randomUUID } from 'node:crypto'
import { BoundaryError } from '../../boundary/words.ts'
import { parseAuthorization } from '../../http/sigv4.ts'
import type { HttpErrorKind, HttpRequest, Reply } from '../../http/types.ts'
import type { PrincipalKind } from '../access/types.ts'
import { type Authenticated, type Runner, reply } from '../operations/run.ts'
import { answerSts } from '../sts/answer.ts'
import { type StsErrorCode, type StsReply, stsError } from '../sts/errors.ts'
import type { Verified, Verifier } from './authenticate.ts'
import { type ErrorCode, errorReply, KmsError, tooFast } from './errors.ts'

const TARGET = 'TrentService.'
/** As constraints of grants name one. */
const SOURCE_ARN = /^arn:aws[a-z0-9-]{0,32}:[a-z0-9-]{1,64}:[a-z0-9-]{0,32}:[0-9]{12}:.{1,512}$/
const OPERATION = /^[A-Za-z]{1,64}$/

export interface HandlerParts {
  readonly runner: Runner
  readonly verify: Verifier
  /** Whether the listener speaks TLS. */
  readonly secure: boolean
  /** A stranger was refused: counted, one record an interval and reason. */
  readonly onStranger: (reason: string, address: string) => void
  /** For the operator's log. */
  readonly onDefect: (error: unknown, requestId: string) => void
}

export function makeHandler(parts: HandlerParts): (request: HttpRequest) => Promise<Reply> {
  const { runner, verify, secure, onStranger, onDefect } = parts
  return async request => {
    const requestId = randomUUID()
    let verified: Verified
    try {
      verified = await verify(request)
    } catch (error) {
      return refuse(error, request, requestId)
    }
    const { identity, region, service, authentication } = verified
    const authenticated: Omit<Authenticated, 'operation'> = {
      requestId,
      accessKeyId: identity.accessKeyId,
      ...(authentication === undefined ? {} : { authentication }),
      body: request.body,
      facts: {
        caller: identity.caller,
        region,
        sourceIp: request.remoteAddress,
        secureTransport: secure,
        userAgent: request.headers['user-agent'] ?? '',
        now: request.receivedAt,
        sourceArn: sourceOf(request, identity.caller.kind),
      },
    }
    if (service === 'kms') return runner.answer({ ...authenticated, operation: operationOf(request) })
    const form = request.method === 'GET' ? request.query : request.body.toString('latin1')
    return stsReply(await answerSts(runner, authenticated, form, onDefect), requestId)
  }

  /** Nobody is known yet: strangers are counted, and nothing but their own mistake is told to them. */
  function refuse(error: unknown, request: HttpRequest, requestId: string): Reply {
    let refusal: KmsError
    if (error instanceof KmsError) {
      refusal = error
      onStranger(error.code, request.remoteAddress)
    } else {
      refusal = new KmsError('KMSInternalException')
      // A boundary that is away is told of once, by its connection.
      if (!(error instanceof BoundaryError)) onDefect(error, requestId)
    }
    const parsed = parseAuthorization(request.headers)
    if (parsed.ok && parsed.service === 'sts') return stsReply(inWordsOfSts(refusal, requestId), requestId)
    const { status, body } = errorReply(refusal)
    return reply(requestId, status, body)
  }
}

function stsReply({ status, contentType, body }: StsReply, requestId: string): Reply {
  return { status, headers: { 'content-type': contentType, 'x-amzn-requestid': requestId }, body }
}

const STS_CODES: Partial<Record<ErrorCode, StsErrorCode>> = {
  ExpiredTokenException: 'ExpiredToken',
  IncompleteSignatureException: 'IncompleteSignature',
  InvalidSignatureException: 'SignatureDoesNotMatch',
  UnrecognizedClientException: 'InvalidClientTokenId',
}

/** STS has names of its own for what is wrong with a signature. */
function inWordsOfSts({ code, text }: KmsError, requestId: string): StsReply {
  const known = STS_CODES[code]
  if (known === undefined) return stsError('InternalFailure', 'The request could not be served. Try again.', requestId)
  return stsError(known, text ?? '', requestId)
}

/** Only a service of the provider is believed when it says for which resource it calls. */
function sourceOf({ headers }: HttpRequest, kind: PrincipalKind): string | undefined {
  const arn = kind === 'service' ? headers['x-amz-source-arn'] : undefined
  return arn !== undefined && SOURCE_ARN.test(arn) ? arn : undefined
}

/** Empty where the request names none that could be one. */
function operationOf({ method, rawPath, headers }: HttpRequest): string {
  const target = headers['x-amz-target'] ?? ''
  if (method !== 'POST' || rawPath !== '/' || !target.startsWith(TARGET)) return ''
  const name = target.slice(TARGET.length)
  return OPERATION.test(name) ? name : ''
}

const LISTENER_ERRORS: Readonly<Record<HttpErrorKind, KmsError>> = {
  TooLarge: new KmsError('RequestEntityTooLargeException', 'The request is larger than this service accepts.'),
  Timeout: new KmsError('SerializationException', 'The request did not arrive in time.'),
  BadRequest: new KmsError('SerializationException', 'The request is not HTTP/1.1 as it should be.'),
  Overloaded: tooFast(),
  Unavailable: new KmsError('KMSInternalException'),
  Internal: new KmsError('KMSInternalException'),
}

/** What the listener refuses by itself, in the KMS's form. */
export function listenerError(kind: HttpErrorKind): Reply {
  const { status, body } = errorReply(LISTENER_ERRORS[kind])
  return reply(randomUUID(), status, body)
}
