/**
 * The verifier of a service that was started with `--dev --dangerously-accept-any-credentials`: who is not known is an account's root. For tests whose clients
 * cannot be given a credential. Only the process that main-any-credentials.ts begins has one; see docs/decisions/0042.
 */
import type { BoundaryUse } from '../../boundary/client/api.ts'
import { isLoopback } from '../../config/loopback.ts'
import type { HttpRequest } from '../../http/types.ts'
import { ACCOUNT_ID, rootArn } from '../access/principal-names.ts'
import type { Caller } from '../access/types.ts'
import type { Verified, Verifier } from './authenticate.ts'
import { KmsError } from './errors.ts'

/** Whoever has this says that everybody who reaches the port may do everything. No configuration and no message can name it. */
export const DANGEROUSLY_ACCEPT_ANY_CREDENTIALS: unique symbol = Symbol('--dangerously-accept-any-credentials')

export interface AnyCredentials {
  readonly danger: typeof DANGEROUSLY_ACCEPT_ANY_CREDENTIALS
  /** Of the listener: only loopback will do. */
  readonly host: string
  /** Who is known is who they are. */
  readonly usual: Verifier
  readonly boundary: Pick<BoundaryUse, 'status'>
  /** Whose root a caller is who names no account. */
  readonly account: string
  /** The first is that of requests that name none. */
  readonly regions: readonly string[]
}

/** What is known of a request that names an access key, in whatever form. Read leniently: nothing is proved by it. */
const CREDENTIAL = /Credential=([A-Za-z0-9_.-]{1,128})\/\d{8}\/([a-z0-9-]{1,64})\/(kms|sts)\//
const MAX_AUTHORIZATION = 4096
/** Accounts whose root has called. */
const MAX_CALLERS = 1024

/** Throws where the listener can be reached from another machine. */
export function acceptAnyCredentials(parts: AnyCredentials): Verifier {
  const { danger, host, usual, boundary, account, regions } = parts
  const flag = String(DANGEROUSLY_ACCEPT_ANY_CREDENTIALS.description)
  if (danger !== DANGEROUSLY_ACCEPT_ANY_CREDENTIALS) throw new TypeError(`only ${flag} accepts any credentials`)
  if (!isLoopback(host)) throw new Error(`listen.host is ${host}: ${flag} is for loopback only`)
  const callers = new Map<string, Caller>()
  let dev = false

  function rootOf(id: string): Caller {
    let caller = callers.get(id)
    if (caller === undefined) {
      if (callers.size >= MAX_CALLERS) callers.clear()
      caller = root(id)
      callers.set(id, caller)
    }
    return caller
  }

  return async request => {
    let refusal: KmsError
    try {
      return await usual(request)
    } catch (error) {
      if (!(error instanceof KmsError)) throw error
      refusal = error
    }
    if (fromBrowser(request)) throw refusal
    dev ||= (await boundary.status()).dev
    if (!dev) throw refusal
    const { accessKeyId, region = regions[0] ?? '', service } = claimsOf(request)
    if (!regions.includes(region)) throw refusal
    const caller = rootOf(ACCOUNT_ID.test(accessKeyId) ? accessKeyId : account)
    return { identity: { accessKeyId, caller }, region, service, authentication: 'none' }
  }
}

/** A web page in a browser on this machine must not call: it says its origin, or came by a name that was made to point here. */
function fromBrowser({ headers: { origin, host = '' } }: HttpRequest): boolean {
  const name = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9.-]+))(?::\d{1,5})?$/i.exec(host)
  return origin !== undefined || name === null || !isLoopback((name[1] ?? name[2] ?? '').toLowerCase())
}

function claimsOf({ headers }: HttpRequest): Pick<Verified, 'service'> & { accessKeyId: string; region?: string } {
  const [, accessKeyId = '', region, named] =
    CREDENTIAL.exec((headers.authorization ?? '').slice(0, MAX_AUTHORIZATION)) ?? []
  const form = headers['content-type']?.startsWith('application/x-www-form-urlencoded') === true
  const service = named === 'sts' || (named === undefined && form) ? 'sts' : 'kms'
  return { accessKeyId, service, ...(region === undefined ? {} : { region }) }
}

function root(account: string): Caller {
  const arn = rootArn(account)
  return {
    kind: 'root',
    arn,
    principalArn: arn,
    account,
    rootArn: arn,
    userId: account,
    userName: '',
    service: '',
    servicePrincipal: '',
    tags: new Map(),
    policies: [],
    boundary: undefined,
    session: undefined,
  }
}
