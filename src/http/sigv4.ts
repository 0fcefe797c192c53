/**
 * Verification of AWS Signature Version 4 in the Authorization header, in full: what is signed is what was sent, byte for byte.
 * Two steps, because the secret is looked up in between: `parseAuthorization` (syntax), then `verifySignature`.
 */
import type { Secret } from '../store/secret.ts'
import type { Headers } from './types.ts'

/** Each has its AWS error name and text in `message`, which is safe to send. `SignatureExpired` and `NotYetCurrent` are InvalidSignatureException at AWS. */
export type SigV4ErrorCode =
  | 'MissingAuthenticationToken'
  | 'IncompleteSignature'
  | 'UnrecognizedClient'
  | 'InvalidSignature'
  | 'SignatureExpired'
  | 'NotYetCurrent'
  | 'WrongRegion'
  | 'WrongService'

export interface SigV4Failure {
  readonly ok: false
  readonly code: SigV4ErrorCode
  readonly message: string
}

/** The Authorization header and X-Amz-Date, checked for form and not yet for truth. */
export interface ParsedAuthorization {
  readonly ok: true
  readonly accessKeyId: string
  /** `yyyymmdd` of the credential scope. */
  readonly date: string
  readonly region: string
  readonly service: string
  readonly terminator: string
  /** The SignedHeaders list as sent. */
  readonly signedHeaders: string
  /** 64 lower-case hex digits. */
  readonly signature: string
  /** `yyyymmddThhmmssZ` */
  readonly amzDate: string
  /** A session token came with the request (X-Amz-Security-Token): the caller refuses it in its own words. */
  readonly sessionToken: boolean
}

/** The parts of a request that a signature covers; `HttpRequest` is one. */
export interface SignedRequest {
  readonly method: string
  readonly rawPath: string
  readonly query: string
  readonly headers: Headers
  readonly body: Buffer
}

export interface VerifyOptions {
  /** `kms`, `sts`, `kms-xks-proxy` … A list admits each of them. */
  readonly service: string | readonly string[]
  /** Regions that the scope may name; absent: any that looks like one. */
  readonly regions?: ReadonlySet<string>
  /** Real time in milliseconds since 1970. */
  readonly now: number
}

/** Never throws. O(size of the header). */
export declare function parseAuthorization(headers: Headers): ParsedAuthorization | SigV4Failure

/** Never throws. `secret` holds the secret access key as UTF-8 bytes; its signing keys are cached with the object, so keep one object a credential. */
export declare function verifySignature(
  parsed: ParsedAuthorization,
  request: SignedRequest,
  secret: Secret,
  options: VerifyOptions,
): { readonly ok: true } | SigV4Failure

/** The answer for an access key id that is not known (or not active). */
export declare function unrecognizedClient(): SigV4Failure
