/**
 * Provider-managed keys, `alias/aws/<service>`: made on first use by the service in the caller's account, or when somebody describes one
 * (aws-kms.md §3.1). Customers may see them, and use them through the service only: that is what their policy says.
 */
import { randomUUID } from 'node:crypto'
import type { PutRow } from '../../boundary/client/api.ts'
import { BoundaryError } from '../../boundary/words.ts'
import { providerManagedKeyPolicy } from '../access/defaults.ts'
import type { Call } from '../operations/types.ts'
import { writeAttributes } from './attributes.ts'
import { aliasRowId, keyRowId } from './identifiers.ts'

const PREFIX = 'alias/aws/'

/** Makes the key of a predefined alias where this call may cause it. True where the alias is there afterwards. */
export async function makeProviderManaged(call: Call, alias: string): Promise<boolean> {
  const { boundary, clocks, settings } = call.services
  const service = alias.startsWith(PREFIX) ? alias.slice(PREFIX.length) : ''
  if (!settings.services.includes(service)) return false
  if (call.caller.service !== service && call.operation !== 'DescribeKey') return false
  const { account } = call.caller
  const { region } = call
  const scope = `${account}/${region}`
  const id = keyRowId(region, randomUUID())
  const now = clocks.lifecycle()
  const description = `Default key that protects my ${service} data when no other key is defined`
  const rows: readonly PutRow[] = [
    { kind: 'attributes', id, scope, link: '', expected: 0, body: writeAttributes({ description, tags: new Map() }) },
    {
      kind: 'alias',
      id: aliasRowId(account, region, alias),
      scope,
      link: id,
      expected: 0,
      body: Buffer.from(JSON.stringify({ v: 1, created: now, updated: now })),
    },
  ]
  const policy = providerManagedKeyPolicy(account, region, service, settings.partition)
  try {
    await boundary.createKey(
      {
        id,
        scope,
        account,
        origin: 'AWS_KMS',
        manager: 'AWS',
        managerService: service,
        policy,
        keyStoreId: '',
        xksKeyId: '',
        rows,
      },
      { ...call.asserted, subject: alias },
    )
  } catch (error) {
    // Two first uses at once: the alias is written in a compare-and-set, and the other one won.
    if (!(error instanceof BoundaryError) || (error.code !== 'Conflict' && error.code !== 'AlreadyExists')) throw error
  }
  return true
}
