/**
 * Everything that can go wrong between the KMS and an owner's proxy, as one table: AWS's error per class of operation, AWS's fixed message, and the
 * ConnectionErrorCode of a store that fails to connect. XKS proxy API v1, "Error codes", "KMS Considerations".
 */
import { type ErrorCode, KmsError } from '../wire/errors.ts'

const UNINTERPRETABLE =
  'AWS KMS cannot interpret the response from the external key store proxy. If you see this error repeatedly, report it to your external key store proxy administrator.'

/** ConnectionErrorCode of DescribeCustomKeyStores, as far as external key stores have them. */
export type ConnectionErrorCode =
  | 'INTERNAL_ERROR'
  | 'INVALID_CREDENTIALS'
  | 'XKS_PROXY_ACCESS_DENIED'
  | 'XKS_PROXY_INVALID_CONFIGURATION'
  | 'XKS_PROXY_INVALID_RESPONSE'
  | 'XKS_PROXY_INVALID_TLS_CONFIGURATION'
  | 'XKS_PROXY_NOT_REACHABLE'
  | 'XKS_PROXY_TIMED_OUT'

interface FailureKind {
  /** CreateCustomKeyStore, UpdateCustomKeyStore. Where the specification has no error (health never answers with it), the nearest one. */
  readonly store: ErrorCode
  readonly createKey: ErrorCode
  readonly connection: ConnectionErrorCode
  readonly message: string
  /** Counts for the circuit breaker: nobody answered. What a proxy answers never counts, or one revoked key would close a store. */
  readonly silent?: true
}

const invalidResponse = {
  store: 'XksProxyInvalidResponseException',
  createKey: 'CustomKeyStoreInvalidStateException',
  connection: 'XKS_PROXY_INVALID_RESPONSE',
} as const
const unreachable = {
  store: 'XksProxyUriUnreachableException',
  createKey: 'CustomKeyStoreInvalidStateException',
} as const
const keyConfiguration = {
  store: 'XksProxyInvalidResponseException',
  createKey: 'XksKeyInvalidConfigurationException',
  connection: 'XKS_PROXY_INVALID_RESPONSE',
} as const

/** In cryptographic operations every one of them is KMSInvalidStateException, with the same message. */
export const FAILURES = {
  ValidationException: { ...invalidResponse, message: UNINTERPRETABLE },
  InvalidStateException: {
    ...keyConfiguration,
    connection: 'XKS_PROXY_ACCESS_DENIED',
    message:
      'The external key associated with this KMS key in an external key store is not enabled in the external key manager. Enable the external key in the external key manager and retry the request.',
  },
  InvalidCiphertextException: {
    ...invalidResponse,
    message:
      'The external key store proxy rejected the request because the specified ciphertext or encryption context is corrupted, missing, or otherwise invalid.',
  },
  InvalidKeyUsageException: {
    ...keyConfiguration,
    message:
      'The external key associated with this KMS key in an external key store does not support the requested operation. Enable the operation on the key in your external key manager, and try the request again.',
  },
  AuthenticationFailedException: {
    store: 'XksProxyIncorrectAuthenticationCredentialException',
    createKey: 'CustomKeyStoreInvalidStateException',
    connection: 'INVALID_CREDENTIALS',
    message:
      'The external key store proxy rejected the request because it could not authenticate AWS KMS. Verify the XKS proxy authentication credentials for your external key store and update if necessary.',
  },
  AccessDeniedException: {
    store: 'XksProxyInvalidResponseException',
    createKey: 'KMSInvalidStateException',
    connection: 'XKS_PROXY_ACCESS_DENIED',
    message:
      'The external key store proxy denied access to the operation. Verify that the user and the external key are both authorized for this operation, and try the request again.',
  },
  KeyNotFoundException: {
    ...invalidResponse,
    createKey: 'XksKeyNotFoundException',
    message:
      'The external key associated with this KMS key in an external key store was not found in its external key manager. If the external key ID associated with this KMS key is incorrect, create a new KMS key with the correct external key ID.',
  },
  InvalidUriPathException: {
    store: 'XksProxyInvalidConfigurationException',
    createKey: 'CustomKeyStoreInvalidStateException',
    connection: 'XKS_PROXY_INVALID_CONFIGURATION',
    message:
      'The external key store proxy rejected the request because of an invalid URI path. Verify the URI path for your external key store and update if necessary.',
  },
  // The specification says XksKeyInvalidResponseException for CreateKey, which no SDK has; this is the nearest that they know.
  UnsupportedOperationException: {
    ...keyConfiguration,
    message:
      'The external key store proxy rejected the request because it does not support the requested operation. If you see this error repeatedly, report it to your external key store proxy administrator.',
  },
  DependencyTimeoutException: {
    ...unreachable,
    connection: 'XKS_PROXY_TIMED_OUT',
    message:
      'The external key store proxy did not respond to the request in the time allotted. Retry the request. If you see this error repeatedly, report it to your external key store proxy administrator.',
  },
  ThrottlingException: {
    ...unreachable,
    connection: 'XKS_PROXY_NOT_REACHABLE',
    message:
      'The external key store proxy rejected the request due to a very high request rate. Reduce the frequency of your calls using KMS keys in this external key store.',
  },
  InternalException: {
    ...invalidResponse,
    message:
      'The external key store proxy rejected the request because it cannot communicate with the external key manager. Verify that the external key store proxy configuration is correct and that the external key manager is available.',
  },
  tcp: {
    ...unreachable,
    connection: 'XKS_PROXY_NOT_REACHABLE',
    message:
      'AWS KMS cannot communicate with the external key store proxy. This might be a transient network issue. If you see this error repeatedly, verify that your external key store proxy is active and is connected to the network, and that its endpoint URI is correct in your external keystore.',
    silent: true,
  },
  tls: {
    ...unreachable,
    connection: 'XKS_PROXY_INVALID_TLS_CONFIGURATION',
    message:
      'AWS KMS cannot establish a TLS connection to the external key store proxy. Verify the TLS configuration, including its certificate.',
    silent: true,
  },
  timeout: {
    ...unreachable,
    connection: 'XKS_PROXY_TIMED_OUT',
    message:
      'AWS KMS rejected the request because the external key store proxy did not respond in time. Retry the request. If you see this error repeatedly, report it to your external key store proxy administrator.',
    silent: true,
  },
  malformed: { ...invalidResponse, message: UNINTERPRETABLE },
  /** What the owner's layer returned on decryption is not what the provider's layer had given it. */
  invalidCiphertextReturned: {
    ...invalidResponse,
    message:
      'The ciphertext that the external key store proxy submitted for decryption, or the encryption context, is corrupted, missing, or otherwise invalid.',
  },
  notConnected: {
    ...unreachable,
    connection: 'XKS_PROXY_NOT_REACHABLE',
    message:
      'This KMS key is in a custom key store that is not connected to its external key store proxy. Connect the external key store and try the request again.',
  },
  /** CreateKey: there is such a key, and it is not an AES-256 key for encryption and decryption. */
  unsuitableKey: {
    ...keyConfiguration,
    message:
      'The request was rejected because the external key specified by the XksKeyId parameter did not meet the configuration requirements for an external key store. The external key must be an AES-256 symmetric key that is enabled and performs encryption and decryption.',
  },
} as const satisfies Record<string, FailureKind>

export type FailureName = keyof typeof FAILURES

/** The names that a proxy may answer with; anything else is a malformed response. */
export const PROXY_ERRORS: ReadonlySet<string> = new Set(
  Object.keys(FAILURES).filter(name => name.endsWith('Exception')),
)

/** `detail` is for the operator: the proxy's own text, or the system's error. It never reaches the API's caller. */
export class XksFailure extends Error {
  readonly failure: FailureName
  readonly detail: string
  constructor(failure: FailureName, detail: string) {
    super(`${failure}: ${detail}`)
    this.name = 'XksFailure'
    this.failure = failure
    this.detail = detail
  }

  /** True where nobody answered. */
  get silent(): boolean {
    const kind: FailureKind = FAILURES[this.failure]
    return kind.silent === true
  }
}

/** Which column of the table an operation of the KMS stands in. */
export type OperationClass = 'store' | 'createKey' | 'crypto'

/** The error that the API's caller gets. The failure is its cause, for the operator's log. */
export function kmsError(failure: XksFailure, operation: OperationClass): KmsError {
  const kind: FailureKind = FAILURES[failure.failure]
  const code = operation === 'crypto' ? 'KMSInvalidStateException' : kind[operation]
  return new KmsError(code, kind.message, { cause: failure })
}

export function connectionError(failure: XksFailure): ConnectionErrorCode {
  return FAILURES[failure.failure].connection
}
