/** GetKeyLastUsage (aws-kms.md §3.1): which operation last used a key with success, as the log has it. */
import { authorizeKey } from '../keys/allow.ts'
import { findKey } from '../keys/find.ts'
import { lastUsage } from '../keys/last-usage.ts'
import { checkState } from '../keys/states.ts'
import { seconds } from './common.ts'
import type { Operation } from './types.ts'

export const GetKeyLastUsage: Operation<{ KeyId: string }, object> = {
  name: 'GetKeyLastUsage',
  recordedBy: 'runner',
  async run(call, { KeyId }) {
    const key = await findKey(call, KeyId, { aliases: false })
    authorizeKey(call, key)
    checkState(call, key)
    const { use, since, created } = await lastUsage(call, key.rowId)
    return {
      KeyId: key.arn,
      KeyLastUsage:
        use === undefined
          ? {}
          : {
              Operation: use.operation,
              Timestamp: seconds(use.time),
              CloudTrailEventId: use.eventId,
              ...(use.requestId === '' ? {} : { KmsRequestId: use.requestId }),
            },
      TrackingStartDate: seconds(since),
      KeyCreationDate: seconds(created),
    }
  },
}
