/** The methods for which this service makes a token of its own: for a user's delegate, and for another key service from which it takes over a key. */
import { createHmac } from 'node:crypto'
import { type OutboundAnswer, OutboundError, outbound } from '../../access/outbound.ts'
import type { Call } from '../../core.ts'
import { optionalString, readObject, string } from '../members.ts'
import { denied, invalid, KaclsError } from './errors.ts'
import { hashedWords, placeOf, readDataKey, sealKey } from './keys.ts'
import type { Asked } from './protocol.ts'
import type { Signer } from './signer.ts'

/** Of a token for another key service, in seconds; and its audience ("Authentication tokens"). */
const MIGRATION_SECONDS = 60
export const MIGRATION_AUDIENCE = 'kacls-migration'
const DEADLINE_MS = 5000
const MAX_ANSWER = 16 * 1024
const MAX_WRAPPED_TEXT = 1024
const MAX_URL = 512

function signerOf({ tenant }: Asked): Signer {
  if (tenant.signer === undefined) throw new KaclsError('NotImplemented', 'This key service has no key that signs.')
  return tenant.signer
}

/** A token by which somebody else acts for a user, on one resource and for a short time. */
export async function delegate(asked: Asked, call: Call): Promise<object> {
  const { tenant, grant, email, now, delegationSeconds } = asked
  const signer = signerOf(asked)
  const { resource } = placeOf(asked)
  if (grant?.delegatedTo === undefined) throw denied('The authorization token delegates to nobody.')
  const token = await signer.sign(call, {
    iss: tenant.kaclsUrl,
    aud: tenant.kaclsUrl,
    iat: now,
    exp: now + delegationSeconds,
    email,
    delegated_to: grant.delegatedTo,
    resource_name: resource,
  })
  return { delegated_authentication: token }
}

/** A key that another service has wrapped, taken over: asked of that service under a token of this one, and wrapped anew. */
export async function rewrap(asked: Asked, call: Call): Promise<object> {
  const { members } = asked
  const signer = signerOf(asked)
  const place = placeOf(asked)
  const url = string(members, 'original_kacls_url', MAX_URL, invalid)
  const wrapped = string(members, 'wrapped_key', MAX_WRAPPED_TEXT, invalid)
  const key = await fetchKey(asked, call, signer, url, wrapped, place.resource)
  const hash = createHmac('sha256', key).update(hashedWords(place)).digest('base64')
  return { resource_key_hash: hash, wrapped_key: await sealKey(asked, call, place, key) }
}

async function fetchKey(
  { tenant, members, now }: Asked,
  call: Call,
  signer: Signer,
  url: string,
  wrapped: string,
  resource: string,
): Promise<Buffer> {
  const host = tenant.peerHosts.get(url)
  if (host === undefined) throw denied('The other key service is none that this one takes keys from.')
  const authentication = await signer.sign(
    { ...call, operation: 'migrate' },
    {
      iss: tenant.kaclsUrl,
      aud: MIGRATION_AUDIENCE,
      iat: now,
      exp: now + MIGRATION_SECONDS,
      kacls_url: url,
      resource_name: resource,
    },
  )
  const reason = optionalString(members, 'reason', 1024, invalid) ?? ''
  const body = JSON.stringify({ authentication, reason, resource_name: resource, wrapped_key: wrapped })
  let answer: OutboundAnswer
  try {
    answer = await outbound(
      { ...host, url: `${url}/privilegedunwrap` },
      {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body,
        deadlineMs: DEADLINE_MS,
        maxBytes: MAX_ANSWER,
      },
    )
  } catch (error) {
    if (error instanceof OutboundError)
      throw new KaclsError('Unavailable', `The other key service ${error.message}; try again.`)
    throw error
  }
  const { status } = answer
  if (status >= 500 || status === 429)
    throw new KaclsError('Unavailable', `The other key service answered with status ${status}; try again.`)
  if (status !== 200) throw invalid(`The other key service refused with status ${status}.`)
  try {
    return readDataKey(readObject(answer.body, invalid))
  } finally {
    answer.body.fill(0)
  }
}
