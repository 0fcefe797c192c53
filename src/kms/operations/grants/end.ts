/** RetireGrant and RevokeGrant (aws-kms.md §3.10, §12.5): no use that starts after the answer rests on the grant. */
import { keyOfGrant, type Row } from '../../../boundary/words.ts'
import { type GrantBody, grantIdOf, grantRowId, namesOf, readGrantBody } from '../../access/grants.ts'
import { allowByGrant, authorizeKey } from '../../keys/allow.ts'
import { findKey, findKeyById } from '../../keys/find.ts'
import { keyIdOf } from '../../keys/identifiers.ts'
import { KmsError } from '../../wire/errors.ts'
import { refuseDryRun } from '../common.ts'
import { inOrder } from '../in-order.ts'
import type { Call, FoundKey, Operation } from '../types.ts'
import { checkGrantId, deleteGrant, grantOfKey, grantOfToken, noGrant, noGrantToken } from './shared.ts'

interface RetireInput {
  readonly GrantToken?: string
  readonly KeyId?: string
  readonly GrantId?: string
  readonly DryRun?: boolean
}

export const RetireGrant: Operation<RetireInput, void> = {
  name: 'RetireGrant',
  recordedBy: 'boundary',
  async run(call, { GrantToken, KeyId, GrantId, DryRun }) {
    const byToken = GrantToken !== undefined
    if (byToken ? (KeyId ?? GrantId) !== undefined : KeyId === undefined || GrantId === undefined)
      throw new KmsError('ValidationException', 'Either GrantToken, or both KeyId and GrantId must be specified.')
    const { key, row, grantId } = byToken
      ? await namedByToken(call, GrantToken)
      : await namedById(call, KeyId ?? '', GrantId ?? '')
    // That there is no such grant is told to whom a policy would let retire one.
    if (row === undefined) authorizeKey(call, key)
    else allowByGrant(call, key, mayRetire(call, readGrantBody(row)))
    await end(call, key, row, grantId, DryRun)
  },
}

interface NamedGrant {
  readonly key: FoundKey
  readonly row: Row | undefined
  readonly grantId: string
}

async function namedByToken(call: Call, token: string): Promise<NamedGrant> {
  const row = await grantOfToken(call, token)
  const key = await findKeyById(call, keyIdOf(keyOfGrant(row.id)))
  // A key that is gone takes its grants with it.
  if (key === undefined) throw noGrantToken()
  call.keyId = key.rowId
  return { key, row, grantId: grantIdOf(row.id) }
}

async function namedById(call: Call, keyId: string, grantId: string): Promise<NamedGrant> {
  // Before the key is looked for: what is wrong with the request says nothing of what there is.
  checkGrantId(grantId)
  const key = await findKey(call, keyId, { aliases: false })
  return { key, row: await grantOfKey(call, key, grantId), grantId }
}

/** Its retiring principal, its grantee where it allows that, and the root of the account that issued it; no policy gives this. */
function mayRetire(call: Call, { grantee, retiring, issuer, operations }: GrantBody): boolean {
  const { caller } = call
  const names = namesOf(caller)
  if (retiring !== '' && names.includes(retiring)) return true
  if (operations.includes('RetireGrant') && names.includes(grantee)) return true
  return caller.kind === 'root' && caller.account === issuer
}

export const RevokeGrant: Operation<{ KeyId: string; GrantId: string; DryRun?: boolean }, void> = {
  name: 'RevokeGrant',
  recordedBy: 'boundary',
  async run(call, { KeyId, GrantId, DryRun }) {
    const key = await findKey(call, KeyId, { aliases: false })
    authorizeKey(call, key, { grantIsForAwsResource: call.caller.kind === 'service' })
    await end(call, key, await grantOfKey(call, key, GrantId), GrantId, DryRun)
  },
}

async function end(
  call: Call,
  key: FoundKey,
  row: Row | undefined,
  grantId: string,
  dryRun: boolean | undefined,
): Promise<void> {
  call.subject = grantRowId(key.rowId, grantId)
  if (row === undefined) throw noGrant(grantId)
  refuseDryRun(dryRun)
  await inOrder(`grant ${row.id}`, async () => {
    const current = await grantOfKey(call, key, grantId)
    if (current === undefined) throw noGrant(grantId)
    await deleteGrant(call, current)
  })
}
