/** Tokens whose claims are fuzzed: an issuer that signs whatever it is told to, without the cost of a signature. What a signature takes is `token`'s to see. */
import type { TokenVerdict, TokenVerifier } from '../src/ekm/access/token.ts'
import { isObject } from '../src/ekm/protocols/members.ts'

export const ISSUER = 'https://issuer.example/'

/** The claims' JSON as a token; nothing for what is no object. */
export function openToken(claims: string): string {
  return Buffer.from(claims, 'utf8').toString('base64url')
}

/** Believes every token that `openToken` could have made. */
export function believing(issuer: string): Pick<TokenVerifier, 'verify'> {
  return {
    verify: async (token): Promise<TokenVerdict> => {
      if (token === undefined || token === '') return { ok: false, reason: 'TokenMissing' }
      let claims: unknown
      try {
        claims = JSON.parse(Buffer.from(token, 'base64url').toString('utf8'))
      } catch {
        return { ok: false, reason: 'TokenMalformed' }
      }
      if (!isObject(claims)) return { ok: false, reason: 'TokenMalformed' }
      const subject = typeof claims.sub === 'string' ? claims.sub : ''
      const named = typeof claims.iss === 'string' ? claims.iss : issuer
      return { ok: true, token: { issuer: named, subject, expires: Number.MAX_SAFE_INTEGER, claims } }
    },
  }
}
