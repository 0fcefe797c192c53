/**
 * Whom a request comes from, as a verifier found it. Only the verifiers of this folder make one (`verified`), each after it has checked a signature, a
 * certificate or a token; nothing that stands in a body can make or change one.
 */
declare const isVerified: unique symbol

export interface AuthenticatedCaller {
  readonly [isVerified]: true
  /** Which protocol's verifier this was, as it stands before the operation in records: `xks`, `azure`, `kubernetes`, `dke`, `kacls`, `google`. */
  readonly protocol: string
  readonly tenant: string
  /**
   * The authenticated peer, as the owner's policy and the kill switch name it: the access key id (xks), a name in the client's certificate (azure,
   * kubernetes), the e-mail address of a token (dke, kacls) or of a service account (google).
   */
  readonly principal: string
  /** Which credential it was: the access key id, the certificate's fingerprint, the token's issuer and subject. For the record. */
  readonly credentialId: string
  /** From where the provider calls, where that is authenticated; else empty. */
  readonly region: string
  readonly sourceIp: string
  /** Name in the client's certificate, or empty. */
  readonly peerName: string
  readonly userAgent: string
}

/** For the verifiers of this folder only. */
export function verified(caller: Omit<AuthenticatedCaller, typeof isVerified>): AuthenticatedCaller {
  return caller as AuthenticatedCaller
}
