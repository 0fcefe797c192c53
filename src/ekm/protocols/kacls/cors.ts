/** Cross-origin requests (Fetch, CORS protocol): pages of the origins that the configuration names may call this service, and no others. */
import type { HttpRequest, Reply } from '../../../http/types.ts'

const MAX_AGE_SECONDS = 3600

/** The answer to a preflight request, which carries no tokens. Whether its origin may is said by `cors`. */
export function preflight(verb: string): Reply {
  return {
    status: 204,
    headers: {
      'Access-Control-Allow-Methods': `${verb}, OPTIONS`,
      'Access-Control-Allow-Headers': 'Content-Type, Authorization',
      'Access-Control-Max-Age': String(MAX_AGE_SECONDS),
    },
    body: '',
  }
}

/** The same reply, told to a page of an allowed origin. No cookies are used, so that credentials are not mentioned. */
export function cors(origins: ReadonlySet<string>, { headers }: Pick<HttpRequest, 'headers'>, reply: Reply): Reply {
  const { origin } = headers
  const allowed = origin !== undefined && origins.has(origin)
  return {
    ...reply,
    headers: { ...reply.headers, Vary: 'Origin', ...(allowed ? { 'Access-Control-Allow-Origin': origin } : {}) },
  }
}
