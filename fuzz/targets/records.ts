/** What is recorded of a call, and read of the log again: a policy that is tried on the past sees what the policy of that time saw. */
import { decodeRecord, encodeRecord } from '../../src/boundary/record.ts'
import { CONTEXT_FIELDS, contextOf, peerAttributes } from '../../src/ekm/access/cedar/input.ts'
import { pastCall } from '../../src/ekm/access/cedar/record.ts'
import { factsOf } from '../../src/ekm/facts.ts'
import { anyCall, type Made } from '../claims.ts'
import { NOW } from '../exchange.ts'
import { demand, type Target } from '../target.ts'

const same = (one: unknown, other: unknown): boolean => JSON.stringify(one) === JSON.stringify(other)

export const records: Target<Made> = {
  name: 'records',
  about: 'claims of any text in a record, and in the context that policies see',
  start: () => ({
    make: random => anyCall(random),
    run: ({ call, action }) => {
      const fields = { boundaryOperation: 'record', outcome: 'allowed', keyId: 'acme/k' } as const
      const record = encodeRecord({ asserted: factsOf(call), ...fields })
      const past = pastCall(decodeRecord(record))
      demand(past !== undefined && past.action === action, () => 'the call is not in its record')
      const now = contextOf(call, NOW, CONTEXT_FIELDS)
      for (const value of Object.values(now))
        if (typeof value === 'string') demand(value.isWellFormed(), () => 'half a character')
      const then = contextOf(past.asked, NOW, CONTEXT_FIELDS)
      demand(same(now, then), () => `${JSON.stringify(now)} became ${JSON.stringify(then)}`)
      demand(same(peerAttributes(call.caller), peerAttributes(past.asked.caller)), () => 'another peer')
      return action
    },
  }),
}
