/** ConnectCustomKeyStore and DisconnectCustomKeyStore. Connecting goes on after the answer; DescribeCustomKeyStores tells how it went. aws-kms.md §3.11. */
import { authorizeAny } from '../../keys/allow.ts'
import type { Operation } from '../types.ts'
import { rowIdOf } from './shared.ts'

interface Input {
  readonly CustomKeyStoreId: string
}

export const ConnectCustomKeyStore: Operation<Input, Record<string, never>> = {
  name: 'ConnectCustomKeyStore',
  recordedBy: 'boundary',
  async run(call, input) {
    authorizeAny(call)
    const id = rowIdOf(call, input.CustomKeyStoreId)
    const asserted = { ...call.asserted, subject: call.subject }
    const begun = await call.services.stores.connect(id, asserted, call.requestId)
    // Nothing changed, so the boundary has recorded nothing.
    if (!begun) call.outcomePending = true
    return {}
  },
}

export const DisconnectCustomKeyStore: Operation<Input, Record<string, never>> = {
  name: 'DisconnectCustomKeyStore',
  recordedBy: 'boundary',
  async run(call, input) {
    authorizeAny(call)
    const id = rowIdOf(call, input.CustomKeyStoreId)
    await call.services.stores.disconnect(id, { ...call.asserted, subject: call.subject })
    return {}
  },
}
