/** Who calls: SigV4 verified in full before anything of the request is trusted (aws-kms.md §4.1, §5.1). */
import { parseAuthorization, type SigV4ErrorCode, verifySignature } from '../../http/sigv4.ts'
import type { HttpRequest } from '../../http/types.ts'
import type { Identity, Principals } from '../access/principals.ts'
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

export interface Verified {
  readonly identity: Identity
  readonly region: string
  readonly service: 'kms' | 'sts'
}

/** Throws the front end's error for everything that is not an authenticated request to one of the served Regions. */
export async function authenticate(
  request: HttpRequest,
  principals: Principals,
  regions: ReadonlySet<string>,
): Promise<Verified> {
  const parsed = parseAuthorization(request.headers)
  if (!parsed.ok) throw new KmsError(CODES[parsed.code], parsed.message)
  // There are no session credentials yet, so a token can belong to none; ignoring it would sign in somebody else than was meant.
  if (parsed.sessionToken) throw new KmsError('UnrecognizedClientException', INVALID_TOKEN)
  const identity = principals.peekIdentity(parsed.accessKeyId) ?? (await principals.identity(parsed.accessKeyId))
  if (identity === undefined || identity === null) throw new KmsError('UnrecognizedClientException', INVALID_TOKEN)
  const result = verifySignature(parsed, request, identity.secret, {
    service: ['kms', 'sts'],
    regions,
    now: request.receivedAt,
  })
  if (!result.ok) throw new KmsError(CODES[result.code], result.message)
  return { identity, region: parsed.region, service: parsed.service === 'sts' ? 'sts' : 'kms' }
}
