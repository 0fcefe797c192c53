/**
 * The catalogue of errors that the KMS answers: code, status, whether it carries a text, and whether that text may reach the caller.
 * aws-kms.md §4.3, §4.4, §5: every error of the caller's is 400; some have no message member at all.
 */

/** `message`: `text` always has one, `none` never has a message member, `optional` has one where the operation gives one. */
export interface ErrorKind {
  readonly status: 400 | 500 | 503
  readonly message: 'text' | 'none' | 'optional'
  /** Only these texts reach callers; the others answer with the fixed text, and the cause goes to the operator's log. */
  readonly expose: boolean
}

const caller = { status: 400, message: 'text', expose: true } as const
const bare = { status: 400, message: 'none', expose: true } as const
const either = { status: 400, message: 'optional', expose: true } as const
const server = { status: 500, message: 'text', expose: false } as const

export const ERRORS = {
  // The front end (§5.1).
  AccessDeniedException: caller,
  ExpiredTokenException: caller,
  IncompleteSignatureException: caller,
  InvalidClientTokenId: caller,
  InvalidSignatureException: caller,
  MissingAuthenticationTokenException: caller,
  RequestEntityTooLargeException: caller,
  SerializationException: either,
  ThrottlingException: caller,
  UnknownOperationException: either,
  UnrecognizedClientException: caller,
  ValidationException: either,
  // The API's own.
  AlreadyExistsException: caller,
  CloudHsmClusterInUseException: caller,
  CloudHsmClusterInvalidConfigurationException: caller,
  CloudHsmClusterNotActiveException: caller,
  CloudHsmClusterNotFoundException: caller,
  CloudHsmClusterNotRelatedException: caller,
  ConflictException: caller,
  CustomKeyStoreHasCMKsException: caller,
  CustomKeyStoreInvalidStateException: caller,
  CustomKeyStoreNameInUseException: caller,
  CustomKeyStoreNotFoundException: caller,
  DependencyTimeoutException: { status: 503, message: 'text', expose: false },
  DisabledException: caller,
  DryRunOperationException: caller,
  ExpiredImportTokenException: caller,
  IncorrectKeyException: caller,
  IncorrectKeyMaterialException: caller,
  IncorrectTrustAnchorException: caller,
  InvalidAliasNameException: caller,
  InvalidArnException: caller,
  InvalidCiphertextException: bare,
  InvalidGrantIdException: caller,
  InvalidGrantTokenException: caller,
  InvalidImportTokenException: caller,
  InvalidKeyUsageException: caller,
  InvalidMarkerException: caller,
  KMSInternalException: server,
  KMSInvalidMacException: bare,
  KMSInvalidSignatureException: bare,
  KMSInvalidStateException: caller,
  KeyUnavailableException: server,
  LimitExceededException: caller,
  MalformedPolicyDocumentException: caller,
  NotAuthorizedException: bare,
  NotFoundException: caller,
  TagException: caller,
  UnsupportedOperationException: either,
  XksKeyAlreadyInUseException: caller,
  XksKeyInvalidConfigurationException: caller,
  XksKeyNotFoundException: caller,
  XksProxyIncorrectAuthenticationCredentialException: caller,
  XksProxyInvalidConfigurationException: caller,
  XksProxyInvalidResponseException: caller,
  XksProxyUriEndpointInUseException: caller,
  XksProxyUriInUseException: caller,
  XksProxyUriUnreachableException: caller,
  XksProxyVpcEndpointServiceInUseException: caller,
  XksProxyVpcEndpointServiceInvalidConfigurationException: caller,
  XksProxyVpcEndpointServiceNotFoundException: caller,
} as const satisfies Record<string, ErrorKind>

export type ErrorCode = keyof typeof ERRORS

/** What callers read where the cause is the operator's to know. */
const FIXED_TEXTS: Partial<Record<ErrorCode, string>> = {
  KMSInternalException: 'The request was rejected because an internal exception occurred. The request can be retried.',
  KeyUnavailableException:
    'The request was rejected because the specified KMS key was not available. You can retry the request.',
  DependencyTimeoutException: 'The system timed out while trying to fulfill the request. You can retry the request.',
}

/** An error that ends a request. `text` never holds a secret; `cause` is for the operator and never leaves the process. */
export class KmsError extends Error {
  readonly code: ErrorCode
  /** Undefined: the body has no message member. */
  readonly text: string | undefined

  constructor(code: ErrorCode, text?: string, options?: ErrorOptions) {
    super(text === undefined ? code : `${code}: ${text}`, options)
    this.name = 'KmsError'
    this.code = code
    this.text = text
  }
}

/** More than a quota of requests or this process can take. AWS has one text for all of them (§5.4). */
export const tooFast = (): KmsError =>
  new KmsError(
    'ThrottlingException',
    'You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls.',
  )

/** Status and body of an error (§4.3). */
export function errorReply(error: KmsError): { readonly status: number; readonly body: string } {
  const kind: ErrorKind = ERRORS[error.code]
  const text = kind.expose ? error.text : FIXED_TEXTS[error.code]
  const body =
    kind.message === 'none' || text === undefined ? { __type: error.code } : { __type: error.code, message: text }
  return { status: kind.status, body: JSON.stringify(body) }
}
