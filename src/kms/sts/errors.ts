/** STS's errors: code, HTTP status, and the XML in which they are told. */
import { NAMESPACE, xml } from './xml.ts'

const STATUS = {
  AccessDenied: 403,
  ExpiredToken: 403,
  IncompleteSignature: 400,
  InternalFailure: 500,
  InvalidAction: 400,
  InvalidClientTokenId: 403,
  InvalidParameterValue: 400,
  MalformedPolicyDocument: 400,
  MalformedQueryString: 404,
  MissingAction: 400,
  MissingAuthenticationToken: 403,
  PackedPolicyTooLarge: 400,
  RequestEntityTooLarge: 413,
  ServiceUnavailable: 503,
  SignatureDoesNotMatch: 403,
  ValidationError: 400,
} as const
export type StsErrorCode = keyof typeof STATUS

/** A refusal. `message` is safe to show. */
export class StsError extends Error {
  readonly code: StsErrorCode

  constructor(code: StsErrorCode, message: string) {
    super(message)
    this.name = 'StsError'
    this.code = code
  }
}

/** What the listener sends. */
export interface StsReply {
  readonly status: number
  readonly contentType: 'text/xml'
  readonly body: string
}

/** An error in STS's form; also for what is found before there is a caller. */
export function stsError(code: StsErrorCode, message: string, requestId: string): StsReply {
  const status = STATUS[code]
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
