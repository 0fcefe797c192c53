/** Sessions of temporary credentials: sealed when they begin, opened once by each front end. Their end is the boundary's clock's, not the front end's. */
import type { InputOf, OutputOf } from '../../client/protocol/operations.ts'
import { openSessionToken, sealSessionToken } from '../../crypto/session-token.ts'
import { BoundaryError } from '../../words.ts'
import { allowed, baseFields, type Call, type Core, refuse, spaceForUses } from '../core.ts'

/** No session that AWS has lasts longer. */
const LONGEST_MS = 36 * 3_600_000

export async function sealSession(
  core: Core,
  input: InputOf<'sealSession'>,
  call: Call,
): Promise<OutputOf<'sealSession'>> {
  spaceForUses(core)
  const fields = baseFields(core, 'sealSession', call, input.asserted)
  let token: Buffer
  try {
    const now = core.clocks.real()
    const { body, expiresAt } = input
    if (expiresAt <= now || expiresAt > now + LONGEST_MS) {
      throw new BoundaryError('InvalidRequest', 'a session ends within 36 hours')
    }
    token = sealSessionToken(core.keyring, { body, expiresAt })
    body.fill(0)
  } catch (error) {
    return refuse(core, fields, error)
  }
  await allowed(core, fields)
  return { token }
}

/** A refusal has no record: nobody is known who could be recorded, and whoever sends tokens must not fill the log. The front end counts them. */
export async function openSession(
  core: Core,
  input: InputOf<'openSession'>,
  call: Call,
): Promise<OutputOf<'openSession'>> {
  spaceForUses(core)
  const opened = openSessionToken(core.keyring, input.token, core.clocks.real())
  await allowed(core, baseFields(core, 'openSession', call, input.asserted))
  return opened
}
