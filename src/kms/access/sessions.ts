/**
 * From a session token to the caller: the boundary opens a token once, and what was in it is kept, bounded, under the token's SHA-256, so that later requests
 * ask nobody. Everything else is looked at anew in each request: whether its time is over, whether its principal is still there and the same, and what
 * that principal may do now.
 */
import { hash } from 'node:crypto'
import { FormatError } from '../../boundary/bytes.ts'
import type { BoundaryUse } from '../../boundary/client/api.ts'
import { type Asserted, BoundaryError } from '../../boundary/words.ts'
import { type LoadedPrincipal, policyOf } from './load-principal.ts'
import { sessionArn } from './principal-names.ts'
import type { Identity, Principals } from './principals.ts'
import { readSessionBody, type SessionBody } from './session-body.ts'
import type { Caller, CallerSession } from './types.ts'

/** `invalid`: no token of this service, of another access key, or of a principal that is gone. */
export type SessionRefusal = 'invalid' | 'expired'
export type SessionAnswer = Identity | SessionRefusal

/** Longest token that is looked at, in characters of base64: what the boundary takes. */
const MAX_TOKEN = 16_384
const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/
/** Openings that may wait for the boundary at once; strangers can send any number of tokens. */
const MAX_OPENING = 256

interface OpenedSession {
  readonly body: SessionBody
  readonly expiresAt: number
  readonly session: CallerSession
  /** The principal of `identity`, which is made again when it changes. */
  principal: LoadedPrincipal | undefined
  identity: Identity | undefined
}

export class Sessions {
  readonly #principals: Principals
  readonly #boundary: Pick<BoundaryUse, 'openSession'>
  readonly #max: number
  readonly #opened = new Map<string, OpenedSession>()
  readonly #opening = new Map<string, Promise<OpenedSession | SessionRefusal>>()

  /** `max`: sessions that are kept in memory. */
  constructor(principals: Principals, boundary: Pick<BoundaryUse, 'openSession'>, max: number) {
    this.#principals = principals
    this.#boundary = boundary
    this.#max = max
  }

  /** From memory alone: undefined where `identity` must be asked. `now`: real time. */
  peekIdentity(token: string, accessKeyId: string, now: number): SessionAnswer | undefined {
    if (token.length > MAX_TOKEN || !accessKeyId.startsWith('ASIA')) return 'invalid'
    const name = nameOf(token)
    const opened = this.#opened.get(name)
    if (opened === undefined) return undefined
    if (opened.body.accessKeyId !== accessKeyId) return 'invalid'
    if (now >= opened.expiresAt) {
      this.#opened.delete(name)
      return 'expired'
    }
    const principal = this.#principals.peek(opened.body.principal)
    return principal === undefined ? undefined : answerOf(opened, principal)
  }

  /**
   * The same, where the boundary or the store must be asked. `asserted`: of the record of a first opening. Rejects with what those rejected with, and with
   * BoundaryError `LimitExceeded` where too many others wait.
   */
  async identity(token: string, accessKeyId: string, now: number, asserted: Asserted): Promise<SessionAnswer> {
    if (token.length > MAX_TOKEN || !accessKeyId.startsWith('ASIA') || !BASE64.test(token)) return 'invalid'
    const opened = await this.#open(token, asserted)
    if (typeof opened === 'string') return opened
    if (opened.body.accessKeyId !== accessKeyId) return 'invalid'
    if (now >= opened.expiresAt) return 'expired'
    return answerOf(opened, (await this.#principals.load(opened.body.principal)) ?? null)
  }

  #open(token: string, asserted: Asserted): Promise<OpenedSession | SessionRefusal> {
    const name = nameOf(token)
    const known = this.#opened.get(name)
    if (known !== undefined) return Promise.resolve(known)
    const waiting = this.#opening.get(name)
    if (waiting !== undefined) return waiting
    if (this.#opening.size >= MAX_OPENING) return Promise.reject(new BoundaryError('LimitExceeded', 'session tokens'))
    const opening = this.#ask(name, token, asserted).finally(() => this.#opening.delete(name))
    this.#opening.set(name, opening)
    return opening
  }

  async #ask(name: string, token: string, asserted: Asserted): Promise<OpenedSession | SessionRefusal> {
    let body: SessionBody
    let expiresAt: number
    try {
      const answer = await this.#boundary.openSession(Buffer.from(token, 'base64'), asserted)
      expiresAt = answer.expiresAt
      try {
        body = readSessionBody(answer.body)
      } finally {
        answer.body.fill(0)
      }
    } catch (error) {
      if (error instanceof BoundaryError && error.code === 'ExpiredSession') return 'expired'
      // A session that a newer version began is none that this one could limit as it must be.
      if (error instanceof FormatError || (error instanceof BoundaryError && error.code === 'InvalidSession'))
        return 'invalid'
      throw error
    }
    const opened = { body, expiresAt, session: sessionOf(body), principal: undefined, identity: undefined }
    const first = this.#opened.size >= this.#max ? this.#opened.keys().next().value : undefined
    if (first !== undefined) this.#opened.delete(first)
    this.#opened.set(name, opened)
    return opened
  }
}

function nameOf(token: string): string {
  return hash('sha256', token, 'base64')
}

function sessionOf({ sessionName, begun, sourceIdentity, tags, policy }: SessionBody): CallerSession {
  return {
    name: sessionName,
    issuedAt: begun,
    sourceIdentity,
    transitiveTags: new Map(tags.filter(tag => tag.transitive).map(({ key, value }) => [key, value])),
    policy: policy === '' ? undefined : policyOf('identity', policy),
  }
}

/** A session dies with its principal, and one of GetSessionToken with the access key that began it. */
function answerOf(opened: OpenedSession, principal: LoadedPrincipal | null): SessionAnswer {
  const { body, session } = opened
  if (principal === null || principal.uniqueId !== body.uniqueId) return 'invalid'
  if (body.kind === 'principal' && !principal.active.has(body.accessKey)) return 'invalid'
  if (opened.identity === undefined || opened.principal !== principal) {
    const { accessKeyId, secret } = body
    opened.principal = principal
    opened.identity = { accessKeyId, secret, caller: callerOf(body, session, principal.caller) }
  }
  return opened.identity
}

/** Who calls with a session: what the principal is and may do now, under the session's own name, tags and limits. */
function callerOf(body: SessionBody, session: CallerSession, principal: Caller): Caller {
  if (body.kind === 'principal') return { ...principal, session }
  return {
    ...principal,
    arn: sessionArn(principal.arn, body.sessionName),
    userId: `${principal.userId}:${body.sessionName}`,
    tags: new Map([...principal.tags, ...body.tags.map(({ key, value }) => [key.toLowerCase(), value] as const)]),
    session,
  }
}
