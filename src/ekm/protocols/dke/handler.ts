/**
 * Microsoft Purview Double Key Encryption (reference §6): anyone gets a public key, and encrypts to it without asking; who decrypts shows a token of the
 * owner's Entra directory, and has to be listed or allowed by the owner's policy.
 */
import { createPublicKey } from 'node:crypto'
import type { Handler, HttpRequest, Reply } from '../../../http/types.ts'
import { type AllowList, isListed } from '../../access/allow-list.ts'
import { authenticateEntra, type EntraTenant, type EntraVerdict } from '../../access/entra.ts'
import { type Core, CoreError } from '../../core.ts'
import { ROOT_TENANT } from '../../keys/names.ts'
import { type Answer, answer } from '../answer.ts'
import { base64, type Members, readObject, string } from '../members.ts'
import { DkeError, type DkeErrorName, ERROR_NAMES, errorReply, invalid, jsonReply } from './errors.ts'
import { guidVersion, versionGuid } from './key-id.ts'
import { type DkeRoute, METHODS, parsePath } from './route.ts'

export const DKE_PROTOCOL = 'dke'

export interface DkeTenant extends EntraTenant {
  /** What clients are told to get a token for. */
  readonly audience: string
  /** By key; undefined: the owner's policy alone decides. */
  readonly lists: ReadonlyMap<string, AllowList> | undefined
}

export interface DkeOptions {
  readonly core: Core
  readonly tenants: ReadonlyMap<string, DkeTenant>
  /** Without a slash at its end. */
  readonly publicUrl: string
  readonly signInUrl: string
  readonly cacheDays: number | undefined
  /** Real time in milliseconds since 1970. */
  readonly now: () => number
  readonly nextRequestId: () => string
  readonly onStranger: (reason: string, address: string) => void
  readonly onAnswer: (operation: string, outcome: string, seconds: number) => void
  readonly onDefect: (error: unknown, requestId?: string) => void
}

/** The one algorithm of the protocol. */
const ALGORITHM = 'RSA-OAEP-256'
/** A whole request is below 1 KiB. */
export const MAX_BODY = 8 * 1024
/** Of a 4096-bit modulus. */
const MAX_VALUE = 512
const DAY = 86_400_000

export function dkeHandler(options: DkeOptions): Handler {
  return request => handle(options, request)
}

async function handle(options: DkeOptions, request: HttpRequest): Promise<Reply> {
  const begun = performance.now()
  const stranger = (reason: string, reply: Reply): Reply => {
    options.onStranger(reason, request.remoteAddress)
    return reply
  }
  const route = parsePath(request.rawPath)
  const tenant = route && options.tenants.get(route.tenant)
  if (route === undefined || tenant === undefined)
    return stranger('InvalidUriPath', errorReply('NotFound', 'There is no key at this path.'))
  const method = METHODS[route.operation]
  if (request.method !== method)
    return stranger('MethodNotAllowed', errorReply('MethodNotAllowed', `Use ${method}.`, { Allow: method }))
  if (route.operation === 'publickey') return stranger('PublicKey', await publicKey(options, route))
  const verdict = await authenticateEntra(DKE_PROTOCOL, tenant, request)
  if (!verdict.ok) return stranger(verdict.reason, refusal(options, tenant, verdict))
  const { outcome, reply } = await authenticated(options, request, route, tenant, verdict)
  options.onAnswer(route.operation, outcome, (performance.now() - begun) / 1000)
  return reply
}

/** Nobody is known, so that nothing is recorded one by one; and encrypting to a key is no use of it. */
async function publicKey({ core, publicUrl, cacheDays, now, onDefect }: DkeOptions, route: DkeRoute): Promise<Reply> {
  const { tenant, keyId } = route
  try {
    const key = await core.published(DKE_PROTOCOL, tenant, keyId)
    if (key === undefined || key.publicKey.length === 0)
      return errorReply('KeyNotFound', 'There is no RSA key of this name.')
    // A document for a key that opens nothing any more would be lost.
    if (!key.enabled) return errorReply('KeyRevoked', 'The owner has revoked this key.')
    const { n = '', e = '' } = createPublicKey({ key: key.publicKey, format: 'der', type: 'spki' }).export({
      format: 'jwk',
    })
    const exponent = Buffer.from(e, 'base64url')
    const name = tenant === ROOT_TENANT ? keyId : `${tenant}/${keyId}`
    return jsonReply({
      key: {
        kty: 'RSA',
        n: Buffer.from(n, 'base64url').toString('base64'),
        e: exponent.readUIntBE(0, exponent.length),
        alg: 'RS256',
        kid: `${publicUrl}/${name}/${versionGuid(tenant, keyId, key.version)}`,
      },
      ...(cacheDays === undefined
        ? {}
        : { cache: { exp: new Date(now() + cacheDays * DAY).toISOString().slice(0, 19) } }),
    })
  } catch (error) {
    if (error instanceof CoreError) return errorReply(ERROR_NAMES[error.code], error.message)
    onDefect(error)
    return errorReply('InternalError', 'The key manager failed.')
  }
}

/** Clients sign in by what stands in the header, and come again ("401"). */
function refusal(
  { signInUrl }: DkeOptions,
  { audience }: DkeTenant,
  { reason }: Extract<EntraVerdict, { ok: false }>,
): Reply {
  if (reason === 'TokenKeysUnavailable')
    return errorReply('Unavailable', 'The keys of the issuer of tokens cannot be had; try again.')
  return errorReply('Unauthorized', 'A token of this directory for this service is needed.', {
    'WWW-Authenticate': `Bearer resource="${audience}", authorization="${signInUrl}", realm="${audience}"`,
    resource: audience,
    authorization: signInUrl,
  })
}

function authenticated(
  { core, nextRequestId, onDefect }: DkeOptions,
  request: HttpRequest,
  { operation, tenant, keyId, guid }: DkeRoute,
  { lists }: DkeTenant,
  { caller, person }: Extract<EntraVerdict, { ok: true }>,
): Promise<Answer<Reply>> {
  const requestId = nextRequestId()
  const listed = lists && isListed(lists.get(keyId), person)
  return answer({
    core,
    busy: false,
    onDefect,
    call: claims => ({
      caller,
      claims: { ...claims, email: person.email },
      operation,
      keyId,
      requestId,
      ...(listed === undefined ? {} : { listed }),
      errorNames: ERROR_NAMES,
    }),
    run: async told => {
      const value = parseDecrypt(readObject(request.body, invalid))
      const version = guidVersion(tenant, keyId, guid)
      if (version === undefined) throw new DkeError('KeyNotFound', 'There is no version of this key with this id.')
      const plaintext = await core.unwrap(told({}), ALGORITHM, value, version)
      const reply = jsonReply({ value: plaintext.toString('base64') })
      plaintext.fill(0)
      return reply
    },
    refusal: (name, message) => errorReply(name as DkeErrorName, message),
  })
}

export function parseDecrypt(members: Members): Buffer {
  if (string(members, 'alg', 64, invalid) !== ALGORITHM) throw invalid(`alg must be ${ALGORITHM}.`)
  return base64(members, 'value', MAX_VALUE, invalid)
}
