/**
 * JSON Web Tokens (RFC 7519) as Entra, Google and other identity providers sign them: RS256 and nothing else, and an issuer's token by that issuer's own
 * keys. What the token names (kid, alg, iss) picks among what the configuration trusts, and adds nothing to it.
 */
import { decodeJwt, decodeProtectedHeader, errors, type JWTPayload, jwtVerify } from 'jose'
import type { HttpRequest } from '../../http/types.ts'
import { type KeySet, MAX_KID } from './jwks.ts'

/** Why a token is nobody's. It stands in the counted records; callers are told less. */
export type TokenFailure =
  | 'TokenMissing'
  | 'TokenMalformed'
  | 'TokenTooLong'
  | 'TokenIssuer'
  | 'TokenAlgorithm'
  | 'TokenKeyUnknown'
  /** Not the caller's fault: the issuer's keys are not to be had. */
  | 'TokenKeysUnavailable'
  | 'TokenSignature'
  | 'TokenAudience'
  | 'TokenExpired'
  | 'TokenNotYetValid'
  | 'TokenClaims'

export interface TrustedIssuer {
  /** `iss`, exactly. */
  readonly issuer: string
  /** `aud` has to be or hold one of these, exactly. */
  readonly audiences: readonly string[]
  /** This issuer's, never shared with another. */
  readonly keys: Pick<KeySet, 'find'>
}

export interface Token {
  readonly issuer: string
  /** `sub`, or empty. */
  readonly subject: string
  /** Seconds since 1970. */
  readonly expires: number
  /** Every claim as it was signed; their types are unknown but for iss, aud, exp, iat and nbf. */
  readonly claims: Readonly<Record<string, unknown>>
}

export type TokenVerdict =
  | { readonly ok: true; readonly token: Token }
  | { readonly ok: false; readonly reason: TokenFailure }

export interface TokenVerifierOptions {
  readonly issuers: readonly TrustedIssuer[]
  /** Real time in milliseconds since 1970. */
  readonly now: () => number
}

/** Characters; those of Entra have up to some thousands. */
export const MAX_TOKEN = 16 * 1024
/** What clocks may differ by, in seconds. */
export const TOKEN_SKEW = 60

const FORM = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/

export class TokenVerifier {
  readonly #issuers: ReadonlyMap<string, TrustedIssuer>
  readonly #now: () => number

  /** Throws where two issuers have one name. */
  constructor({ issuers, now }: TokenVerifierOptions) {
    this.#issuers = new Map(issuers.map(each => [each.issuer, each]))
    if (this.#issuers.size !== issuers.length) throw new Error('Two trusted issuers have one name.')
    this.#now = now
  }

  /** Never rejects. `token`: the compact form, as it came. */
  async verify(token: string | undefined): Promise<TokenVerdict> {
    if (token === undefined || token === '') return failed('TokenMissing')
    if (token.length > MAX_TOKEN) return failed('TokenTooLong')
    const named = readNames(token)
    if (named === undefined) return failed('TokenMalformed')
    if (named.alg !== 'RS256') return failed('TokenAlgorithm')
    const trusted = this.#issuers.get(named.issuer)
    if (trusted === undefined) return failed('TokenIssuer')
    const key = await trusted.keys.find(named.kid)
    if (key === 'unknown') return failed('TokenKeyUnknown')
    if (key === 'unavailable') return failed('TokenKeysUnavailable')
    const now = this.#now()
    try {
      const { payload } = await jwtVerify(token, key, {
        algorithms: ['RS256'],
        issuer: trusted.issuer,
        audience: [...trusted.audiences],
        requiredClaims: ['exp', 'iat'],
        clockTolerance: TOKEN_SKEW,
        currentDate: new Date(now),
      })
      return accept(trusted.issuer, payload, Math.floor(now / 1000))
    } catch (error) {
      return failed(reasonOf(error))
    }
  }
}

/** The token of `Authorization: Bearer …` (RFC 6750 §2.1); undefined where there is none. */
export function bearerToken({ headers }: Pick<HttpRequest, 'headers'>): string | undefined {
  return /^bearer +([^ ]+) *$/i.exec(headers.authorization ?? '')?.[1]
}

/** What decides by which key the token is to be verified. */
function readNames(token: string): { alg: string; kid: string; issuer: string } | undefined {
  if (!FORM.test(token)) return undefined
  try {
    const { alg, kid } = decodeProtectedHeader(token)
    const { iss } = decodeJwt(token)
    if (typeof alg !== 'string' || typeof kid !== 'string' || typeof iss !== 'string') return undefined
    return kid.length > MAX_KID ? undefined : { alg, kid, issuer: iss }
  } catch {
    return undefined
  }
}

/** What jose leaves to its callers: that a token was not made in the future. */
function accept(issuer: string, payload: JWTPayload, now: number): TokenVerdict {
  const { iat, exp, sub } = payload
  if (typeof iat !== 'number' || typeof exp !== 'number') return failed('TokenClaims')
  if (iat > now + TOKEN_SKEW) return failed('TokenNotYetValid')
  const subject = typeof sub === 'string' ? sub : ''
  return { ok: true, token: { issuer, subject, expires: exp, claims: payload } }
}

function reasonOf(error: unknown): TokenFailure {
  if (error instanceof errors.JWTExpired) return 'TokenExpired'
  if (error instanceof errors.JWSSignatureVerificationFailed) return 'TokenSignature'
  if (!(error instanceof errors.JWTClaimValidationFailed)) return 'TokenMalformed'
  if (error.claim === 'aud') return 'TokenAudience'
  return error.claim === 'nbf' && error.reason === 'check_failed' ? 'TokenNotYetValid' : 'TokenClaims'
}

function failed(reason: TokenFailure): TokenVerdict {
  return { ok: false, reason }
}
