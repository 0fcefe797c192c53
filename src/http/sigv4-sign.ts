/**
 * Signing with AWS Signature Version 4, for the requests that Holdfast itself makes: to external key store proxies, and to a KMS.
 */
import { createHmac, hash, type KeyObject } from 'node:crypto'
import type { Secret } from '../store/secret.ts'
import { formatAmzDate, signingKey } from './sigv4.ts'
import { canonicalRequest } from './sigv4-canonical.ts'

export interface Signer {
  readonly accessKeyId: string
  /** The secret access key as UTF-8 bytes. */
  readonly secret: Secret
}

export interface ToSign {
  readonly method: string
  /** As it will be sent, up to `?`. It must need no encoding. */
  readonly path: string
  /** The Host field as it will be sent. */
  readonly host: string
  readonly body: Buffer
}

export interface SignedHeaders {
  readonly host: string
  readonly 'x-amz-date': string
  readonly authorization: string
}

/**
 * Header fields that authenticate the request. Signed are host and x-amz-date and nothing else, as AWS KMS does it towards a proxy (XKS proxy API,
 * appendix A). `now`: real time in milliseconds since 1970.
 */
export function signRequest(
  request: ToSign,
  signer: Signer,
  service: string,
  region: string,
  now: number,
): SignedHeaders {
  const { method, path: rawPath, host, body } = request
  return signHeaders({ method, rawPath, headers: { host }, body }, signer, { service, region, now, sign: [] })
}

export interface HeadersToSign {
  readonly method: string
  /** As it will be sent, undecoded. */
  readonly rawPath: string
  /** As it will be sent, without `?`. */
  readonly query?: string
  /** Lower-case names; values as Latin-1. `host` with its port where the client sends one. */
  readonly headers: Readonly<Record<string, string>> & { readonly host: string }
  readonly body: Buffer | string
}

export interface SignOptions {
  /** `kms`, `sts`, `kms-xks-proxy`. */
  readonly service: string
  readonly region: string
  /** Real time in milliseconds since 1970. */
  readonly now: number
  /** Which headers to sign where the request has them, beside host and x-amz-date, which always are. Default: all of them. */
  readonly sign?: readonly string[]
}

/** The request's headers with `x-amz-date` and `authorization` added. Throws RangeError where a header that gives the request its meaning is left unsigned. */
export function signHeaders(
  request: HeadersToSign,
  { accessKeyId, secret }: Signer,
  { service, region, now, sign }: SignOptions,
): SignedHeaders & Record<string, string> {
  const { method, rawPath, query = '', body } = request
  const amzDate = formatAmzDate(now)
  const headers = { ...request.headers, 'x-amz-date': amzDate }
  const chosen = sign === undefined ? Object.keys(headers) : sign.filter(name => name in headers)
  const signedHeaders = [...new Set(['host', 'x-amz-date', ...chosen])].sort().join(';')
  const canonical = canonicalRequest({ method, rawPath, query, headers }, signedHeaders, hash('sha256', body, 'hex'))
  if (!canonical.ok) throw new RangeError(canonical.message)
  const scope = `${amzDate.slice(0, 8)}/${region}/${service}/aws4_request`
  const toSign = `AWS4-HMAC-SHA256\n${amzDate}\n${scope}\n${canonical.hash}`
  const signature = createHmac('sha256', keyOf(secret, amzDate.slice(0, 8), region, service))
    .update(toSign)
    .digest('hex')
  const authorization = `AWS4-HMAC-SHA256 Credential=${accessKeyId}/${scope}, SignedHeaders=${signedHeaders}, Signature=${signature}`
  return { ...headers, authorization }
}

/** The key derived for a day, Region and service: the last one of each secret. It goes with the secret's object. */
const lastKeys = new WeakMap<Secret, { readonly scope: string; readonly key: KeyObject }>()

function keyOf(secret: Secret, date: string, region: string, service: string): KeyObject {
  const scope = `${date}/${region}/${service}`
  const cached = lastKeys.get(secret)
  if (cached?.scope === scope) return cached.key
  const key = signingKey(secret, date, region, service)
  lastKeys.set(secret, { scope, key })
  return key
}
