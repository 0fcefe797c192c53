/** EnableKey, DisableKey, ScheduleKeyDeletion, CancelKeyDeletion (aws-kms.md §3.1, §9): asked of the boundary, which decides them, dates included. */
import { authorizeKey } from '../keys/allow.ts'
import { findKey } from '../keys/find.ts'
import { headerOf } from '../keys/header.ts'
import { checkState } from '../keys/states.ts'
import { KmsError } from '../wire/errors.ts'
import { seconds } from './common.ts'
import type { Call, FoundKey, Operation } from './types.ts'

/** The key of a lifecycle operation, for a caller who may. A key that the provider manages changes by nobody's wish. */
export async function managed(
  call: Call,
  keyId: string,
  extra: Parameters<typeof authorizeKey>[2] = {},
): Promise<FoundKey> {
  const key = await findKey(call, keyId, { aliases: false })
  authorizeKey(call, key, extra)
  if (key.header.manager === 'AWS') {
    throw new KmsError(
      'AccessDeniedException',
      `${key.arn} is managed by the provider: its state, policy and rotation cannot be changed.`,
    )
  }
  checkState(call, key)
  return key
}

export const EnableKey: Operation<{ KeyId: string }, void> = {
  name: 'EnableKey',
  recordedBy: 'boundary',
  async run(call, { KeyId }) {
    const key = await managed(call, KeyId)
    await call.services.boundary.enableKey(key.rowId, call.asserted)
  },
}

export const DisableKey: Operation<{ KeyId: string }, void> = {
  name: 'DisableKey',
  recordedBy: 'boundary',
  async run(call, { KeyId }) {
    const key = await managed(call, KeyId)
    await call.services.boundary.disableKey(key.rowId, call.asserted)
  },
}

export const ScheduleKeyDeletion: Operation<{ KeyId: string; PendingWindowInDays?: number }, object> = {
  name: 'ScheduleKeyDeletion',
  recordedBy: 'boundary',
  async run(call, { KeyId, PendingWindowInDays = 30 }) {
    const key = await managed(call, KeyId, { pendingWindowInDays: PendingWindowInDays })
    const row = await call.services.boundary.scheduleKeyDeletion(key.rowId, PendingWindowInDays, call.asserted)
    const { deletionDate, state } = headerOf(row)
    return {
      KeyId: key.arn,
      ...(deletionDate === 0 ? {} : { DeletionDate: seconds(deletionDate) }),
      KeyState: state,
      PendingWindowInDays,
    }
  },
}

export const CancelKeyDeletion: Operation<{ KeyId: string }, object> = {
  name: 'CancelKeyDeletion',
  recordedBy: 'boundary',
  async run(call, { KeyId }) {
    const key = await managed(call, KeyId)
    await call.services.boundary.cancelKeyDeletion(key.rowId, call.asserted)
    return { KeyId: key.arn }
  },
}
