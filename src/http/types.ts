/**
 * What a listener hands to a protocol and takes back from it. A protocol sees a request only when it is whole, within its bounds and, where the
 * listener asks for client certificates, from a verified peer.
 */

/**
 * Header fields by lower-case name (an object without prototype). A field that was sent several times is joined with `,` as SigV4 and RFC 9110 §5.3
 * have it; the listener refuses repeated fields that security depends on (`SINGLE_HEADERS`), so those are always as sent once.
 * Values are the bytes of the wire as Latin-1.
 */
export type Headers = Readonly<Record<string, string | undefined>>

/** A client whose certificate chain was verified up to the configured root, whose names match and whose key usage allows clientAuth. */
export interface Peer {
  /** CN of the subject; empty where there is none. */
  readonly commonName: string
  /** dNSName entries of the subject alternative name, as sent. */
  readonly dnsNames: readonly string[]
  /** uniformResourceIdentifier entries of the subject alternative name, as sent. */
  readonly uris: readonly string[]
  /** SHA-256 of the certificate, lower-case hex without colons. */
  readonly fingerprint: string
  /** Milliseconds since 1970; a request after it is refused even on an open connection. */
  readonly validTo: number
}

export interface HttpRequest {
  readonly method: string
  /** The path as sent, undecoded, up to `?`. Starts with `/`. */
  readonly rawPath: string
  /** The query as sent, undecoded, without `?`; empty where there is none. */
  readonly query: string
  readonly headers: Headers
  /** Names and values alternately, as sent. */
  readonly rawHeaders: readonly string[]
  /** The whole body, within `limits.bodyBytes`. Keep no view of it beyond the request: it may share a larger page. */
  readonly body: Buffer
  /** Of the TCP peer; IPv4-mapped IPv6 addresses are given as IPv4. */
  readonly remoteAddress: string
  /** Only on listeners that ask for client certificates; there it is always present. */
  readonly peer: Peer | undefined
  /** Real time in milliseconds since 1970 at which the head had arrived. */
  readonly receivedAt: number
}

/** The listener adds Content-Length and Date (and Connection where it closes); head and body leave in one write. */
export interface Reply {
  readonly status: number
  /** Names as they are to be sent. Never Content-Length, Date, Connection or Transfer-Encoding. */
  readonly headers: Readonly<Record<string, string>>
  /** A string is sent as UTF-8; for JSON it is the cheaper of the two. */
  readonly body: Buffer | string
}

/** What the listener refuses by itself. The protocol gives each its own form. `Internal`: the handler threw, which is a defect. */
export type HttpErrorKind = 'TooLarge' | 'Timeout' | 'BadRequest' | 'Overloaded' | 'Unavailable' | 'Internal'

/** May answer synchronously. A rejection is answered with `errors('Internal')` and given to `onDefect`. */
export type Handler = (request: HttpRequest) => Reply | Promise<Reply>

/** Every bound that a stranger meets before the protocol does. */
export interface ListenerLimits {
  /** Declared or counted; above it the answer is `TooLarge` and the connection closes. */
  readonly bodyBytes: number
  /** All header lines and the request line together; above it the answer is `TooLarge`. */
  readonly headerBytes: number
  /** Above it the answer is `BadRequest`; none is ever passed over. */
  readonly headerCount: number
  /** From the first byte of a request (or the connection's start) to the end of its headers. */
  readonly headersMs: number
  /** To the end of its body. */
  readonly requestMs: number
  /** How long a kept-alive connection may rest. */
  readonly idleMs: number
  /** Further connections are closed at once. */
  readonly connections: number
  /** Requests being read or handled; further ones are answered with `Overloaded`. */
  readonly inFlight: number
}

export const DEFAULT_LIMITS: ListenerLimits = {
  bodyBytes: 1024 * 1024,
  headerBytes: 16 * 1024,
  headerCount: 64,
  headersMs: 10_000,
  requestMs: 30_000,
  idleMs: 65_000,
  connections: 4096,
  inFlight: 1024,
}

/** TLS of a listener, as files, which are read again on SIGHUP and when they change. */
export interface ListenerTls {
  /** Versions and ciphers; see `TLS_PROFILES`. */
  readonly profile: TlsProfileName
  /** PEM: the certificate and its intermediates. */
  readonly certificateFile: string
  /** PEM, mode 0600. */
  readonly keyFile: string
  /** Ask for client certificates and serve nobody else. */
  readonly clients?: {
    /** PEM: the only roots that client chains may end in. */
    readonly caFile: string
    /** The CN or a dNSName or URI of the client's certificate must equal one of these, exactly. Empty: any name under the root. */
    readonly subjects: readonly string[]
  }
}

/** aws-api: what AWS SDKs speak, TLS 1.2 and 1.3. xks: the suites that the XKS proxy API demands. azure: TLS 1.3 with those of the EKM proxy API. */
export type TlsProfileName = 'aws-api' | 'xks' | 'azure'

/** Why a connection or request never reached the handler, for counting: such callers are unauthenticated. */
export type RefusalReason = HttpErrorKind | 'TooManyConnections' | 'TlsHandshake' | 'ClientCertificate'

export interface ListenerOptions {
  /** For logs and metrics. */
  readonly name: string
  /** An IP address or a name. Without `tls` it must be loopback, or the start is refused. */
  readonly host: string
  /** 0 takes a free one. */
  readonly port: number
  readonly tls?: ListenerTls
  readonly limits?: Partial<ListenerLimits>
  readonly handler: Handler
  readonly errors: (kind: HttpErrorKind) => Reply
  /** Called once for each refused request or connection; must not throw. */
  readonly onUnauthenticated?: (reason: RefusalReason, remoteAddress: string) => void
  /** The handler threw; for the operator's log. */
  readonly onDefect?: (error: unknown) => void
  /** Certificates were read again (`error` undefined), or could not be and the old ones stay in use. */
  readonly onReload?: (error: Error | undefined) => void
}

export interface Listener {
  readonly name: string
  /** The port that it listens on. */
  readonly port: number
  /** `http://127.0.0.1:1234` or `https://…`, with the host that was configured. */
  readonly url: string
  readonly inFlight: number
  readonly connections: number
  /** Until when its certificate is good, in milliseconds since 1970; none without TLS. */
  readonly validTo: number | undefined
  /** Reads certificates and client roots again. Connections of clients that the new roots or names no longer admit are ended. */
  reload(): Promise<void>
  /**
   * Stops accepting, closes idle connections at once, lets requests in flight finish, and cuts what is left after `deadlineMs`.
   * Resolves to the number of requests that were cut.
   */
  close(options: { readonly deadlineMs: number }): Promise<number>
}
