/**
 * Provider-managed keys, `alias/aws/<service>`: made on first use by the service in the caller's account, or when somebody describes one
 * (aws-kms.md §3.1). Customers may see them, and use them through the service only: that is what their policy says.
 */
import { randomUUID } from 'node:crypto'
import type { PutRow } from '../../boundary/client/api.ts'
import { BoundaryError } from '../../boundary/words.ts'
import { authorize, denialMessage } from '../access/authorize.ts'
import { compilePolicy } from '../access/compile.ts'
import { FactsContext } from '../access/context.ts'
import { providerManagedKeyPolicy } from '../access/defaults.ts'
import { accessOf } from '../access/permissions.ts'
import type { Call } from '../operations/types.ts'
import { KmsError } from '../wire/errors.ts'
import { writeAttributes } from './attributes.ts'
import { aliasRowId, keyArn, keyRowId } from './identifiers.ts'

const PREFIX = 'alias/aws/'

/** Makes the key of a predefined alias where this call may cause it. True where the alias is there afterwards. */
export async function makeProviderManaged(call: Call, alias: string): Promise<boolean> {
  const { boundary, clocks, settings } = call.services
  const service = alias.startsWith(PREFIX) ? alias.slice(PREFIX.length) : ''
  if (!settings.services.includes(service)) return false
  if (call.caller.service !== service && call.operation !== 'DescribeKey') return false
  const { account } = call.caller
  const { region } = call
  const policy = providerManagedKeyPolicy(account, region, service, settings.partition)
  const keyId = randomUUID()
  authorizeFirst(call, policy, keyArn({ partition: settings.partition, region, account }, keyId))
  const scope = `${account}/${region}`
  const id = keyRowId(region, keyId)
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
  try {
    await boundary.createKey(
      {
        id,
        scope,
        account,
        spec: 'SYMMETRIC_DEFAULT',
        usage: 'ENCRYPT_DECRYPT',
        origin: 'AWS_KMS',
        multiRegion: false,
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

/** Whoever may not do with the key what was asked does not cause that it is made. */
function authorizeFirst(call: Call, policy: Buffer, resource: string): void {
  const { caller } = call
  const keyPolicy = compilePolicy('key', policy)
  const context = new FactsContext(call.facts)
  for (const { permission } of accessOf(call.operation).permissions) {
    const resourceAccount = caller.account
    const question = { caller, permission, resource, resourceAccount, crossAccount: false, keyPolicy, context }
    const verdict = authorize({ ...question, grants: undefined })
    if (verdict !== 'allowed') throw new KmsError('AccessDeniedException', denialMessage(verdict, question))
  }
}
