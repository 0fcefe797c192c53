/** PutKeyPolicy, GetKeyPolicy, ListKeyPolicies (aws-kms.md §3.9). */
import { authorizeKey } from '../keys/allow.ts'
import { findKey } from '../keys/find.ts'
import { KmsError } from '../wire/errors.ts'
import { policyFor } from './create-key.ts'
import { managed } from './lifecycle.ts'
import { readMarker } from './markers.ts'
import type { Operation } from './types.ts'

interface PutInput {
  readonly KeyId: string
  readonly PolicyName?: string
  readonly Policy: string
  readonly BypassPolicyLockoutSafetyCheck?: boolean
}

/** There is one policy a key, and its name is this. */
function checkName(name: string | undefined): void {
  if (name !== undefined && name !== 'default') throw new KmsError('NotFoundException', 'No such policy exists')
}

export const PutKeyPolicy: Operation<PutInput, void> = {
  name: 'PutKeyPolicy',
  recordedBy: 'boundary',
  async run(call, { KeyId, PolicyName, Policy, BypassPolicyLockoutSafetyCheck = false }) {
    checkName(PolicyName)
    const key = await managed(call, KeyId, { bypassPolicyLockoutSafetyCheck: BypassPolicyLockoutSafetyCheck })
    const policy = await policyFor(call, Policy, key.arn, BypassPolicyLockoutSafetyCheck)
    await call.services.boundary.putKeyPolicy(key.rowId, policy, call.asserted)
  },
}

export const GetKeyPolicy: Operation<{ KeyId: string; PolicyName?: string }, object> = {
  name: 'GetKeyPolicy',
  recordedBy: 'runner',
  async run(call, { KeyId, PolicyName }) {
    checkName(PolicyName)
    const key = await findKey(call, KeyId, { aliases: false })
    authorizeKey(call, key)
    const row = await call.services.replica.get('policy', key.rowId)
    return { Policy: row?.body?.toString() ?? '', PolicyName: 'default' }
  },
}

export const ListKeyPolicies: Operation<{ KeyId: string; Marker?: string }, object> = {
  name: 'ListKeyPolicies',
  recordedBy: 'runner',
  async run(call, { KeyId, Marker }) {
    const key = await findKey(call, KeyId, { aliases: false })
    authorizeKey(call, key)
    readMarker(call, Marker)
    return { PolicyNames: ['default'], Truncated: false }
  },
}
