/** DeleteCustomKeyStore: of a store that is disconnected and holds no key; nothing happens at the owner's side. aws-kms.md §3.11. */
import { authorizeAny } from '../../keys/allow.ts'
import type { Operation } from '../types.ts'
import { rowIdOf } from './shared.ts'

export const DeleteCustomKeyStore: Operation<{ readonly CustomKeyStoreId: string }, Record<string, never>> = {
  name: 'DeleteCustomKeyStore',
  recordedBy: 'boundary',
  async run(call, input) {
    authorizeAny(call)
    const id = rowIdOf(call, input.CustomKeyStoreId)
    await call.services.stores.remove(id, { ...call.asserted, subject: call.subject })
    return {}
  },
}
