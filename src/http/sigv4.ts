/**
 * Verification of AWS Signature Version 4 in the Authorization header, in full: what is signed is what was sent, byte for byte.
 * Two steps, because the secret is looked up in between: `parseAuthorization` (syntax), then `verifySignature`.
 */
import { createHmac, createSecretKey, hash, type KeyObject, timingSafeEqual } from 'node:crypto'
import type { Secret } from '../store/secret.ts'
import { canonicalRequest } from './sigv4-canonical.ts'
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

/** Clocks may differ by this much, in either direction. */
export const MAX_SKEW_MS = 5 * 60_000

/** A header longer than this names more than any request has. */
const MAX_AUTHORIZATION = 4096
const ALGORITHM = 'AWS4-HMAC-SHA256'
const SCOPE = /^([A-Za-z0-9_.-]{1,128})\/(\d{8})\/([A-Za-z0-9-]{1,64})\/([a-z0-9-]{1,64})\/([a-z0-9_]{1,32})$/
const SIGNATURE = /^[0-9a-f]{64}$/
const AMZ_DATE = /^\d{8}T\d{6}Z$/

/** Texts as AWS has them (aws-kms.md §5.1). */
const MISMATCH =
  'The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.'

function failure(code: SigV4ErrorCode, message: string): SigV4Failure {
  return { ok: false, code, message }
}

const incomplete = (message: string) => failure('IncompleteSignature', message)

/** Never throws. O(size of the header). The message never repeats what was sent but for dates and names of the scope. */
export function parseAuthorization(headers: Headers): ParsedAuthorization | SigV4Failure {
  const { authorization } = headers
  if (authorization === undefined || authorization === '') {
    return failure('MissingAuthenticationToken', 'Missing Authentication Token')
  }
  const front = authorization.slice(0, -SIGNATURE_LENGTH)
  const signature = authorization.slice(-SIGNATURE_LENGTH)
  const known = SIGNATURE.test(signature) ? fronts.get(front) : undefined
  const signer = known ?? parseSigner(authorization)
  if ('ok' in signer) return signer
  if (known === undefined && front.endsWith('Signature=')) {
    if (fronts.size >= MAX_FRONTS) fronts.clear()
    fronts.set(front, signer)
  }
  const amzDate = headers['x-amz-date']
  if (amzDate === undefined) return incomplete("Authorization header requires existence of a 'X-Amz-Date' header.")
  if (!AMZ_DATE.test(amzDate)) return incomplete("'X-Amz-Date' must be in ISO-8601 'basic format' (yyyymmddThhmmssZ).")
  return {
    ok: true,
    accessKeyId: signer.accessKeyId,
    date: signer.date,
    region: signer.region,
    service: signer.service,
    terminator: signer.terminator,
    signedHeaders: signer.signedHeaders,
    signature: known === undefined ? signer.signature : signature,
    amzDate,
    sessionToken: headers['x-amz-security-token'] !== undefined,
  }
}

/** What the Authorization header alone says. */
type Signer = Pick<
  ParsedAuthorization,
  'accessKeyId' | 'date' | 'region' | 'service' | 'terminator' | 'signedHeaders' | 'signature'
>

/**
 * What stands in front of the signature says who signs what and how: a client sends the same all day. By that text, which ends in `Signature=`, what was
 * read of it. Whoever sends others only makes us read again.
 */
const fronts = new Map<string, Signer>()
const MAX_FRONTS = 256
const SIGNATURE_LENGTH = 64

function parseSigner(authorization: string): Signer | SigV4Failure {
  if (authorization.length > MAX_AUTHORIZATION) return incomplete('Authorization header is too long.')
  const space = authorization.indexOf(' ')
  if (space < 0 || authorization.slice(0, space) !== ALGORITHM) return incomplete("Unsupported AWS 'algorithm'.")
  const fields = parseFields(authorization, space + 1)
  if (fields === undefined) return incomplete('Authorization header is not a list of distinct Name=Value pairs.')
  const { Credential: credential, SignedHeaders: signedHeaders, Signature: signature } = fields
  for (const name of PARAMETERS) {
    if (!fields[name]) return incomplete(`Authorization header requires '${name}' parameter.`)
  }
  const scope = SCOPE.exec(credential)
  if (scope === null)
    return incomplete('Credential must have the form <key-id>/<yyyymmdd>/<region>/<service>/aws4_request.')
  if (!SIGNATURE.test(signature)) return incomplete('Signature must be 64 lower-case hexadecimal digits.')
  const [, accessKeyId = '', date = '', region = '', service = '', terminator = ''] = scope
  return { accessKeyId, date, region, service, terminator, signedHeaders, signature }
}

const PARAMETERS = ['Credential', 'SignedHeaders', 'Signature'] as const
type Fields = Record<(typeof PARAMETERS)[number], string>

/** `Name=Value` separated by commas with spaces around them, each of the three names once and no other. */
function parseFields(text: string, start: number): Fields | undefined {
  const fields: Fields = { Credential: '', SignedHeaders: '', Signature: '' }
  let at = start
  while (at <= text.length) {
    const comma = text.indexOf(',', at)
    const end = comma < 0 ? text.length : comma
    const field = text.slice(at, end).trim()
    const equals = field.indexOf('=')
    const name = field.slice(0, equals) as keyof Fields
    if (equals < 0 || !PARAMETERS.includes(name) || fields[name] !== '') return undefined
    fields[name] = field.slice(equals + 1)
    at = end + 1
  }
  return fields
}

/**
 * Checks the scope, the dates, the body's digest and the signature, in the order of AWS. Never throws. `secret` holds the secret access key as UTF-8
 * bytes; its signing keys are cached with the object, so keep one object a credential and let it go when the credential changes.
 */
export function verifySignature(
  parsed: ParsedAuthorization,
  request: SignedRequest,
  secret: Secret,
  options: VerifyOptions,
): { readonly ok: true } | SigV4Failure {
  const problem = checkScope(parsed, options) ?? checkDate(parsed, options.now)
  if (problem) return problem

  const bodyHash = hash('sha256', request.body, 'hex')
  const claimed = request.headers['x-amz-content-sha256']
  if (claimed !== undefined && claimed !== bodyHash) {
    return failure('InvalidSignature', "The value of 'X-Amz-Content-SHA256' is not the SHA-256 of the body.")
  }
  const canonical = canonicalRequest(request, parsed.signedHeaders, bodyHash)
  if (!canonical.ok)
    return failure(canonical.incomplete ? 'IncompleteSignature' : 'InvalidSignature', canonical.message)

  const { date, region, service, amzDate } = parsed
  const scope = `${date}/${region}/${service}/aws4_request`
  const cached = cachedSigningKey(secret, scope)
  const key = cached ?? signingKey(secret, date, region, service)
  const toSign = `${ALGORITHM}\n${amzDate}\n${scope}\n${canonical.hash}`
  const expected = createHmac('sha256', key).update(toSign).digest('hex')
  if (!equalHex(expected, parsed.signature)) return failure('InvalidSignature', MISMATCH)
  if (cached === undefined) remember(secret, scope, key)
  return VERIFIED
}

const VERIFIED = { ok: true } as const

/** The answer for an access key id that is not known (or not active). */
export function unrecognizedClient(): SigV4Failure {
  return failure('UnrecognizedClient', 'The security token included in the request is invalid.')
}

function checkScope(parsed: ParsedAuthorization, { service, regions }: VerifyOptions): SigV4Failure | undefined {
  if (parsed.terminator !== 'aws4_request') {
    return failure('InvalidSignature', "Credential should be scoped with a valid terminator: 'aws4_request'.")
  }
  if (regions !== undefined && !regions.has(parsed.region)) {
    return failure('WrongRegion', 'Credential should be scoped to a valid region.')
  }
  const right = typeof service === 'string' ? parsed.service === service : service.includes(parsed.service)
  if (right) return undefined
  const names = typeof service === 'string' ? service : service.join("' or '")
  return failure('WrongService', `Credential should be scoped to correct service: '${names}'.`)
}

function checkDate({ amzDate, date }: ParsedAuthorization, now: number): SigV4Failure | undefined {
  const time = parseAmzDate(amzDate)
  if (time === undefined) return incomplete("'X-Amz-Date' is no date.")
  if (!amzDate.startsWith(date)) {
    const text = `Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '${date}' != '${amzDate.slice(0, 8)}', from '${amzDate}'.`
    return failure('InvalidSignature', text)
  }
  if (time < now - MAX_SKEW_MS) {
    const text = `Signature expired: ${amzDate} is now earlier than ${formatAmzDate(now - MAX_SKEW_MS)} (${formatAmzDate(now)} - 5 min.)`
    return failure('SignatureExpired', text)
  }
  if (time > now + MAX_SKEW_MS) {
    const text = `Signature not yet current: ${amzDate} is still later than ${formatAmzDate(now + MAX_SKEW_MS)} (${formatAmzDate(now)} + 5 min.)`
    return failure('NotYetCurrent', text)
  }
  return undefined
}

/** Many requests of one second carry the same text. */
let lastDate = { text: '', time: 0 }

/** Milliseconds since 1970 of `yyyymmddThhmmssZ`, or undefined where there is no such instant. */
function parseAmzDate(text: string): number | undefined {
  if (lastDate.text === text) return lastDate.time
  const iso = text.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z')
  const time = Date.parse(iso)
  if (Number.isNaN(time) || formatAmzDate(time) !== text) return undefined
  lastDate = { text, time }
  return time
}

/** `yyyymmddThhmmssZ` of milliseconds since 1970. */
export function formatAmzDate(time: number): string {
  return `${new Date(time).toISOString().slice(0, 19).replaceAll(/[-:]/g, '')}Z`
}

/** The key that signs for one day, Region and service. */
export function signingKey(secret: Secret, date: string, region: string, service: string): KeyObject {
  const step = (key: Buffer, text: string) => createHmac('sha256', key).update(text).digest()
  const first = secret.reveal(bytes => {
    const seed = Buffer.concat([Buffer.from('AWS4'), bytes])
    const derived = step(seed, date)
    seed.fill(0)
    return derived
  })
  const second = step(first, region)
  const third = step(second, service)
  const last = step(third, 'aws4_request')
  const key = createSecretKey(last)
  for (const buffer of [first, second, third, last]) buffer.fill(0)
  return key
}

/**
 * Signing keys live with the secret that they come from: a credential that is dropped takes them along. A key is kept only after a signature
 * verified under it, so that strangers cannot fill the cache.
 */
const signingKeys = new WeakMap<Secret, Map<string, KeyObject>>()
const MAX_SCOPES = 32

function cachedSigningKey(secret: Secret, scope: string): KeyObject | undefined {
  return signingKeys.get(secret)?.get(scope)
}

function remember(secret: Secret, scope: string, key: KeyObject): void {
  let scopes = signingKeys.get(secret)
  if (scopes === undefined) {
    scopes = new Map()
    signingKeys.set(secret, scopes)
  }
  const oldest = scopes.size >= MAX_SCOPES ? scopes.keys().next().value : undefined
  if (oldest !== undefined) scopes.delete(oldest)
  scopes.set(scope, key)
}

const left = Buffer.alloc(64)
const right = Buffer.alloc(64)

/** Compares two texts of 64 hex digits in constant time. */
function equalHex(a: string, b: string): boolean {
  left.write(a, 0, 64, 'latin1')
  right.write(b, 0, 64, 'latin1')
  return timingSafeEqual(left, right)
}
