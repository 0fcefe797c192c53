/**
 * Google Workspace client-side encryption (reference §5): browsers and Google ask under two tokens, of the owner's identity provider and of Google, and the
 * owner's boundary answers.
 */
import pkg from '../../../../package.json' with { type: 'json' }
import type { Handler, HttpRequest, Reply } from '../../../http/types.ts'
import type { Claims } from '../../access/claims.ts'
import { MAX_TOKEN } from '../../access/token.ts'
import { authenticateWorkspace, MAX_RESOURCE, type Tokens, type WorkspaceVerdict } from '../../access/workspace.ts'
import { WORKSPACE_METHODS, type WorkspaceMethod } from '../../access/workspace-rules.ts'
import { type Call, type Core, CoreError } from '../../core.ts'
import { type Answer, answer } from '../answer.ts'
import { type Members, optionalString, readObject } from '../members.ts'
import { cors, preflight } from './cors.ts'
import { denied, ERROR_NAMES, errorReply, invalid, jsonReply, KaclsError, type KaclsErrorName } from './errors.ts'
import { digest, privilegedUnwrap, privilegedWrap, unwrap, wrap } from './keys.ts'
import { privateKeyDecrypt, privateKeySign, privilegedPrivateKeyDecrypt, wrapPrivateKey } from './private-keys.ts'
import { type Asked, KACLS_PROTOCOL, type KaclsTenant } from './protocol.ts'
import { type KaclsMethod, type KaclsRoute, parsePath, verbOf } from './route.ts'
import { publishedKeys } from './signer.ts'
import { delegate, rewrap } from './tokens.ts'

export interface KaclsOptions {
  readonly core: Core
  readonly tenants: ReadonlyMap<string, KaclsTenant>
  readonly name: string
  readonly origins: ReadonlySet<string>
  readonly delegationSeconds: number
  /** Real time in milliseconds since 1970. */
  readonly now: () => number
  readonly nextRequestId: () => string
  readonly onStranger: (reason: string, address: string) => void
  readonly onAnswer: (operation: string, outcome: string, seconds: number) => void
  readonly onDefect: (error: unknown, requestId?: string) => void
}

/** Two tokens and a wrapped private key are below it. */
export const MAX_BODY = 64 * 1024
/** Bytes of `reason`. */
const MAX_REASON = 1024

const OPERATIONS: Readonly<Record<WorkspaceMethod, (asked: Asked, call: Call) => Promise<object>>> = {
  wrap,
  unwrap,
  digest,
  privilegedwrap: privilegedWrap,
  privilegedunwrap: privilegedUnwrap,
  delegate,
  rewrap,
  wrapprivatekey: wrapPrivateKey,
  privatekeysign: privateKeySign,
  privatekeydecrypt: privateKeyDecrypt,
  privilegedprivatekeydecrypt: privilegedPrivateKeyDecrypt,
}

/** What takes a key that signs. */
const SIGNED: ReadonlySet<string> = new Set<KaclsMethod>(['delegate', 'rewrap', 'certs'])

export function supported({ signer }: Pick<KaclsTenant, 'signer'>): readonly string[] {
  const all = ['status', 'certs', ...Object.keys(WORKSPACE_METHODS)]
  return signer === undefined ? all.filter(name => !SIGNED.has(name)) : all
}

export function kaclsHandler(options: KaclsOptions): Handler {
  return async request => cors(options.origins, request, await handle(options, request))
}

async function handle(options: KaclsOptions, request: HttpRequest): Promise<Reply> {
  const begun = performance.now()
  const stranger = (reason: string, reply: Reply): Reply => {
    options.onStranger(reason, request.remoteAddress)
    return reply
  }
  const route = parsePath(request.rawPath)
  const tenant = route && options.tenants.get(route.tenant)
  if (route === undefined || tenant === undefined)
    return stranger('InvalidUriPath', errorReply('NotFound', 'There is no method at this path.'))
  const verb = verbOf(route.method)
  if (request.method === 'OPTIONS') return stranger('Preflight', preflight(verb))
  if (request.method !== verb)
    return stranger('MethodNotAllowed', errorReply('MethodNotAllowed', `Use ${verb}.`, { Allow: verb }))
  const { method } = route
  if (method === 'status' || method === 'certs')
    return stranger(method === 'status' ? 'Status' : 'Certs', await open(options, tenant, method))
  const read = readTokens(request.body)
  if (read instanceof KaclsError) return stranger('MalformedBody', errorReply(read.name, read.message))
  const verdict = await authenticateWorkspace(KACLS_PROTOCOL, tenant, method, read.tokens, request)
  if (verdict.kind === 'unknown') return stranger(verdict.reason, refusal(verdict))
  const { outcome, reply } = await authenticated(options, tenant, { ...route, method }, read.members, verdict)
  options.onAnswer(method, outcome, (performance.now() - begun) / 1000)
  return reply
}

/** What is for everybody. */
async function open({ name, onDefect }: KaclsOptions, tenant: KaclsTenant, method: 'status' | 'certs'): Promise<Reply> {
  if (method === 'status')
    return jsonReply({
      server_type: 'KACLS',
      vendor_id: 'Holdfast',
      version: pkg.version,
      name,
      operations_supported: supported(tenant),
    })
  try {
    return jsonReply(await publishedKeys(tenant.signer))
  } catch (error) {
    if (error instanceof CoreError) return errorReply(ERROR_NAMES[error.code], error.message)
    onDefect(error)
    return errorReply('InternalError', 'The key manager failed.')
  }
}

/** The tokens stand in the body, so that it is read before anybody is known. */
function readTokens(body: Buffer): { members: Members; tokens: Tokens } | KaclsError {
  try {
    const members = readObject(body, invalid)
    const token = (name: string) => optionalString(members, name, MAX_TOKEN, invalid)
    return { members, tokens: { authentication: token('authentication'), authorization: token('authorization') } }
  } catch (error) {
    if (error instanceof KaclsError) return error
    throw error
  }
}

function refusal({ keysAway }: Extract<WorkspaceVerdict, { kind: 'unknown' }>): Reply {
  if (keysAway) return errorReply('Unavailable', 'The keys of an issuer of tokens cannot be had; try again.')
  return errorReply('Unauthorized', 'The tokens of this method are not there, or not good.')
}

function authenticated(
  options: KaclsOptions,
  tenant: KaclsTenant,
  { method }: KaclsRoute & { readonly method: WorkspaceMethod },
  members: Members,
  { caller, email, grant, migrates, denial }: Extract<WorkspaceVerdict, { kind: 'known' }>,
): Promise<Answer<Reply>> {
  const { core, onDefect, delegationSeconds } = options
  const requestId = options.nextRequestId()
  const ofTokens: Claims = {
    ...(email === '' ? {} : { email }),
    ...(grant === undefined ? {} : { operation: grant.role, resource: grant.resource, perimeter: grant.perimeter }),
    ...(migrates === undefined ? {} : { resource: migrates }),
  }
  return answer({
    core,
    busy: false,
    onDefect,
    call: claims => ({
      caller,
      claims: { ...ofTokens, ...claims },
      operation: method,
      keyId: tenant.keyId,
      requestId,
      errorNames: ERROR_NAMES,
    }),
    run: async told => {
      const call = told(claimsOf(members, grant === undefined))
      if (denial !== undefined) throw denied(denial)
      const now = Math.floor(options.now() / 1000)
      const asked: Asked = { core, tenant, members, email, grant, migrates, now, delegationSeconds }
      return jsonReply(await OPERATIONS[method](asked, call))
    },
    refusal: (name, message) => errorReply(name as KaclsErrorName, message),
  })
}

/** What the request says besides its tokens. What it is for is Google's to say, where a token of Google's is needed. */
function claimsOf(members: Members, namesPlace: boolean): Claims {
  const justification = optionalString(members, 'reason', MAX_REASON, invalid)
  const named = (name: string) => (namesPlace ? optionalString(members, name, MAX_RESOURCE, invalid) : undefined)
  const [resource, perimeter] = [named('resource_name'), named('perimeter_id')]
  return {
    ...(justification === undefined ? {} : { justification }),
    ...(resource === undefined ? {} : { resource }),
    ...(perimeter === undefined ? {} : { perimeter }),
  }
}
