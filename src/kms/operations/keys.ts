/** DescribeKey, ListKeys and UpdateKeyDescription (aws-kms.md §3.1). */

import { authorizeAny, authorizeKey } from '../keys/allow.ts'
import { readAttributes, writeAttributes } from '../keys/attributes.ts'
import { findKey, placeOf } from '../keys/find.ts'
import { keyArn, keyIdOf } from '../keys/identifiers.ts'
import { keyMetadata } from '../keys/metadata.ts'
import { checkState } from '../keys/states.ts'
import { checkGrantTokens } from './grants/shared.ts'
import { inOrder } from './in-order.ts'
import { pageOf, readMarker } from './markers.ts'
import type { Call, FoundKey, Operation } from './types.ts'

export const DescribeKey: Operation<
  { KeyId: string; GrantTokens?: readonly string[] },
  { KeyMetadata: Record<string, unknown> }
> = {
  name: 'DescribeKey',
  recordedBy: 'runner',
  async run(call, { KeyId, GrantTokens }) {
    if (GrantTokens !== undefined) await checkGrantTokens(call, GrantTokens)
    const key = await findKey(call, KeyId, { aliases: true })
    authorizeKey(call, key)
    const { description } = readAttributes(await call.services.replica.get('attributes', key.rowId))
    return { KeyMetadata: await keyMetadata(call, key, description) }
  },
}

interface ListInput {
  readonly Limit?: number
  readonly Marker?: string
}

export const ListKeys: Operation<ListInput, object> = {
  name: 'ListKeys',
  recordedBy: 'runner',
  async run(call, { Limit = 100, Marker }) {
    authorizeAny(call)
    const scope = `${call.caller.account}/${call.region}`
    const rows = await call.services.replica.list('key', scope, { after: readMarker(call, Marker), limit: Limit + 1 })
    const { page, ...rest } = pageOf(call, rows, Limit, row => row.id)
    const Keys = page.map(row => {
      const KeyId = keyIdOf(row.id)
      return { KeyId, KeyArn: keyArn(placeOf(call), KeyId) }
    })
    return { Keys, ...rest }
  },
}

/** Changes description or tags of a key in one compare-and-set. */
export async function changeAttributes(
  call: Call,
  key: FoundKey,
  change: (now: ReturnType<typeof readAttributes>) => ReturnType<typeof readAttributes>,
): Promise<void> {
  await inOrder(`attributes ${key.rowId}`, async () => {
    const row = await call.services.replica.get('attributes', key.rowId)
    const body = writeAttributes(change(readAttributes(row)))
    const scope = `${key.account}/${key.region}`
    await call.services.boundary.putRows(
      [{ kind: 'attributes', id: key.rowId, scope, link: '', expected: row?.revision ?? 0, body }],
      { ...call.asserted, subject: key.rowId },
    )
  })
}

export const UpdateKeyDescription: Operation<{ KeyId: string; Description: string }, void> = {
  name: 'UpdateKeyDescription',
  recordedBy: 'boundary',
  async run(call, { KeyId, Description }) {
    const key = await findKey(call, KeyId, { aliases: false })
    authorizeKey(call, key)
    checkState(call, key)
    await changeAttributes(call, key, now => ({ ...now, description: Description }))
  },
}
