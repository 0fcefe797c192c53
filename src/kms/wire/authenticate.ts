/** Who calls: SigV4 verified in full before anything of the request is trusted (aws-kms.md §4.1, §5.1). */
import { parseAuthorization, type SigV4ErrorCode, verifySignature } from '../../http/sigv4.ts'
import type { HttpRequest } from '../../http/types.ts'
import type { Identity, Principals } from '../access/principals.ts'
import type { Sessions } from '../access/sessions.ts'
import { type ErrorCode, KmsError } from './errors.ts'

const CODES: Readonly<Record<SigV4ErrorCode, ErrorCode>> = {
  MissingAuthenticationToken: 'MissingAuthenticationTokenException',
  IncompleteSignature: 'IncompleteSignatureException',
  UnrecognizedClient: 'UnrecognizedClientException',
  InvalidSignature: 'InvalidSignatureException',
  SignatureExpired: 'InvalidSignatureException',
  NotYetCurrent: 'InvalidSignatureException',
  WrongRegion: 'InvalidSignatureException',
  WrongService: 'InvalidSignatureException',
}

const INVALID_TOKEN = 'The security token included in the request is invalid.'
const EXPIRED_TOKEN = 'The security token included in the request is expired'

/** Where identities come from: long-term credentials, and sessions. */
export interface Who {
  readonly principals: Principals
  readonly sessions: Sessions
}

export interface Verified {
  readonly identity: Pick<Identity, 'accessKeyId' | 'caller'>
  readonly region: string
  readonly service: 'kms' | 'sts'
  /** For the record, where nobody proved to be the caller; absent where the signature did. */
  readonly authentication?: 'none'
}

/** Makes a caller of a request, or throws the front end's error. Nothing else makes one. */
export type Verifier = (request: HttpRequest) => Promise<Verified>

/** The verifier of every service but one that says in its flag that it verifies nothing. */
export const signatures =
  (who: Who, regions: ReadonlySet<string>): Verifier =>
  request =>
    authenticate(request, who, regions)

/** Throws the front end's error for everything that is not an authenticated request to one of the served Regions. */
async function authenticate(request: HttpRequest, who: Who, regions: ReadonlySet<string>): Promise<Verified> {
  const parsed = parseAuthorization(request.headers)
  if (!parsed.ok) throw new KmsError(CODES[parsed.code], parsed.message)
  const identity = await identityOf(parsed.accessKeyId, request, who)
  const result = verifySignature(parsed, request, identity.secret, {
    service: ['kms', 'sts'],
    regions,
    now: request.receivedAt,
  })
  if (!result.ok) throw new KmsError(CODES[result.code], result.message)
  return { identity, region: parsed.region, service: parsed.service === 'sts' ? 'sts' : 'kms' }
}

/** A token decides where to look: ignoring one would sign in somebody else than was meant. */
async function identityOf(accessKeyId: string, request: HttpRequest, { principals, sessions }: Who): Promise<Identity> {
  const token = request.headers['x-amz-security-token']
  if (token === undefined) {
    const identity = principals.peekIdentity(accessKeyId) ?? (await principals.identity(accessKeyId))
    if (identity === undefined || identity === null) throw new KmsError('UnrecognizedClientException', INVALID_TOKEN)
    return identity
  }
  const now = request.receivedAt
  const asserted = { accessKeyId, sourceIp: request.remoteAddress }
  const answer =
    sessions.peekIdentity(token, accessKeyId, now) ?? (await sessions.identity(token, accessKeyId, now, asserted))
  if (answer === 'expired') throw new KmsError('ExpiredTokenException', EXPIRED_TOKEN)
  if (answer === 'invalid') throw new KmsError('UnrecognizedClientException', INVALID_TOKEN)
  return answer
}
