/** STS GetSessionToken: temporary credentials of a user (or an account's root) for itself. It needs no permission. */

import { INVALID_MFA } from './assume-role.ts'
import { CONSTRAINTS, Problems } from './constraints.ts'
import { beginSession } from './credentials.ts'
import { StsError } from './errors.ts'
import type { StsOperation } from './operation.ts'

const DEFAULT_SECONDS = 43_200
/** A root that asks for more gets this. */
const ROOT_SECONDS = 3600

export const GetSessionToken: StsOperation = {
  name: 'GetSessionToken',
  recordedBy: 'boundary',
  run: async (call, form) => {
    const { caller } = call
    const duration = form.get('DurationSeconds')
    const problems = new Problems()
    problems.check('durationSeconds', duration, CONSTRAINTS.sessionTokenSeconds)
    problems.end()
    if (caller.session !== undefined)
      throw new StsError('AccessDenied', 'Cannot call GetSessionToken with session credentials')
    if (caller.kind !== 'user' && caller.kind !== 'root')
      throw new StsError('AccessDenied', 'Only users and the root of an account can call GetSessionToken')
    if (form.get('SerialNumber') !== undefined || form.get('TokenCode') !== undefined)
      throw new StsError('AccessDenied', INVALID_MFA)

    const wanted = Number(duration ?? DEFAULT_SECONDS)
    const session = {
      kind: 'principal',
      principal: caller.arn,
      uniqueId: caller.userId,
      sessionName: '',
      accessKey: call.asserted.accessKeyId ?? '',
      sourceIdentity: '',
      tags: [],
      policy: '',
    } as const
    const seconds = caller.kind === 'root' ? Math.min(wanted, ROOT_SECONDS) : wanted
    return { Credentials: await beginSession(call, session, seconds) }
  },
}
