/**
 * STS GetCallerIdentity on the KMS's port (aws-kms.md §4.5): the query protocol, XML both ways, as tools expect that ask who they are before
 * they do anything. A pure function; the listener has verified the signature (service `sts`) before it calls.
 */
import type { Caller } from '../access/types.ts'

/** What the listener sends. */
export interface StsReply {
  readonly status: number
  readonly contentType: 'text/xml'
  readonly body: string
}

export interface StsRequest {
  /** The form: a POST's body, or a GET's query. */
  readonly form: string
  readonly requestId: string
}

/** STS's namespace, which is also the version of its API. */
const NAMESPACE = 'https://sts.amazonaws.com/doc/2011-06-15/'
const VERSION = '2011-06-15'
/** Error code to HTTP status, as STS answers them. */
const STS_STATUS = {
  InvalidAction: 400,
  MissingAction: 400,
  MalformedQueryString: 404,
  MissingAuthenticationToken: 403,
  IncompleteSignature: 400,
  InvalidClientTokenId: 403,
  SignatureDoesNotMatch: 403,
  ExpiredToken: 403,
  RequestEntityTooLarge: 413,
  ServiceUnavailable: 503,
  InternalFailure: 500,
} as const
export type StsErrorCode = keyof typeof STS_STATUS

/** Answers one authenticated request. `operation` is GetCallerIdentity, or empty where the request was refused. O(form). */
export function answerSts(caller: Caller, request: StsRequest): StsReply & { readonly operation: string } {
  const form = new URLSearchParams(request.form)
  for (const name of ['Action', 'Version']) {
    if (form.getAll(name).length > 1)
      return refuse('MalformedQueryString', `${name} is given twice.`, request.requestId)
  }
  const action = form.get('Action')
  const version = form.get('Version')
  if (action === null || action === '') {
    return refuse('MissingAction', 'The request is missing an action or a required parameter.', request.requestId)
  }
  if (action !== 'GetCallerIdentity' || version !== VERSION) {
    const text = `Could not find operation ${action.slice(0, 64)} for version ${version?.slice(0, 32) ?? 'NO_VERSION_SPECIFIED'}`
    return refuse('InvalidAction', text, request.requestId)
  }
  const body = `<GetCallerIdentityResponse xmlns="${NAMESPACE}">
  <GetCallerIdentityResult>
    <Arn>${xml(caller.arn)}</Arn>
    <UserId>${xml(caller.userId)}</UserId>
    <Account>${xml(caller.account)}</Account>
  </GetCallerIdentityResult>
  <ResponseMetadata>
    <RequestId>${xml(request.requestId)}</RequestId>
  </ResponseMetadata>
</GetCallerIdentityResponse>
`
  return { operation: action, status: 200, contentType: 'text/xml', body }
}

/** An error in STS's form; also for what the listener finds before there is a caller. `message` is safe to show. */
export function stsError(code: StsErrorCode, message: string, requestId: string): StsReply {
  const status = STS_STATUS[code]
  const body = `<ErrorResponse xmlns="${NAMESPACE}">
  <Error>
    <Type>${status < 500 ? 'Sender' : 'Receiver'}</Type>
    <Code>${code}</Code>
    <Message>${xml(message)}</Message>
  </Error>
  <RequestId>${xml(requestId)}</RequestId>
</ErrorResponse>
`
  return { status, contentType: 'text/xml', body }
}

function refuse(code: StsErrorCode, message: string, requestId: string): StsReply & { readonly operation: string } {
  return { operation: '', ...stsError(code, message, requestId) }
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&apos;',
}

/** Characters that XML 1.0 cannot hold become U+FFFD. */
function xml(text: string): string {
  return text
    .replace(/[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, '\ufffd')
    .replace(/[&<>"']/g, mark => ENTITIES[mark] ?? mark)
}
