/** Temporary credentials: made here, sealed by the boundary into their token, and kept nowhere. */
import { randomBytes } from 'node:crypto'
import { Secret } from '../../store/secret.ts'
import { type SessionBody, writeSessionBody } from '../access/session-body.ts'
import { uniqueId } from '../access/unique-id.ts'
import type { Call } from '../operations/types.ts'
import type { Elements } from './xml.ts'

/** Begins a session of so many seconds. The boundary's record of it is the record of the request. */
export async function beginSession(
  call: Call,
  session: Omit<SessionBody, 'accessKeyId' | 'secret' | 'begun'>,
  seconds: number,
): Promise<Elements> {
  const { boundary, clocks } = call.services
  const begun = clocks.real()
  const expiresAt = begun + seconds * 1000
  const accessKeyId = uniqueId('ASIA')
  // 30 random bytes are exactly 40 characters of base64.
  const secretAccessKey = randomBytes(30).toString('base64')
  const secret = new Secret(Buffer.from(secretAccessKey, 'latin1'))
  const body = writeSessionBody({ ...session, accessKeyId, secret, begun })
  secret.wipe()
  const asserted = call.subject === '' ? call.asserted : { ...call.asserted, subject: call.subject }
  try {
    const { token } = await boundary.sealSession(body, expiresAt, asserted)
    return {
      AccessKeyId: accessKeyId,
      SecretAccessKey: secretAccessKey,
      SessionToken: token.toString('base64'),
      Expiration: `${new Date(expiresAt).toISOString().slice(0, 19)}Z`,
    }
  } finally {
    body.fill(0)
  }
}
