/** ReplicateKey and UpdatePrimaryRegion (aws-kms.md §3.8), among the Regions that this deployment serves. */
import type { PutRow } from '../../boundary/client/api.ts'
import { authorizeAny, authorizeKey } from '../keys/allow.ts'
import { writeAttributes } from '../keys/attributes.ts'
import { findKey, findKeyIn, placeOf } from '../keys/find.ts'
import { headerOf } from '../keys/header.ts'
import { keyArn, keyRowId } from '../keys/identifiers.ts'
import { keyMetadata } from '../keys/metadata.ts'
import { countElsewhere } from '../keys/rates.ts'
import { checkState } from '../keys/states.ts'
import { KmsError } from '../wire/errors.ts'
import { policyFor } from './create-key.ts'
import { checkTags, type TagInput } from './tag-rules.ts'
import type { Call, FoundKey, Operation } from './types.ts'

/** What is asked of the primary of a set was asked of another key. */
export const notPrimary = ({ arn }: FoundKey): KmsError =>
  new KmsError('UnsupportedOperationException', `${arn} is not a multi-region primary key.`)

/** The primary of a set, in a state that allows the operation. */
function checkPrimary(call: Call, key: FoundKey): void {
  checkState(call, key)
  if (key.header.multiRegion !== 'PRIMARY') throw notPrimary(key)
}

function checkRegion(call: Call, region: string): void {
  if (!call.services.settings.regions.includes(region))
    throw new KmsError('UnsupportedOperationException', `Region ${region} is not enabled.`)
}

interface ReplicateInput {
  readonly KeyId: string
  readonly ReplicaRegion: string
  readonly Policy?: string
  readonly BypassPolicyLockoutSafetyCheck?: boolean
  readonly Description?: string
  readonly Tags?: readonly TagInput[]
}

export const ReplicateKey: Operation<ReplicateInput, object> = {
  name: 'ReplicateKey',
  recordedBy: 'boundary',
  async run(call, input) {
    const { ReplicaRegion: region, Tags = [], Description: description = '' } = input
    const bypass = input.BypassPolicyLockoutSafetyCheck ?? false
    const tags = checkTags(Tags, call.services.settings.quotas.tagsPerKey)
    const key = await findKey(call, input.KeyId, { aliases: false })
    authorizeReplica(call, key, region, tags, bypass)
    checkPrimary(call, key)
    checkRegion(call, region)
    const { account, keyId } = key
    const arn = keyArn({ ...placeOf(call), region, account }, keyId)
    const { primaryRegion, replicaRegions } = key.header
    if (region === primaryRegion || replicaRegions.includes(region))
      throw new KmsError('AlreadyExistsException', `Key '${arn}' already exists`)
    // Twice, because AWS first tries whether the key can be made there.
    countElsewhere(call, region, 'CreateKey', 2)
    const policy = await policyFor(call, input.Policy, arn, bypass)
    const attributes: PutRow = {
      kind: 'attributes',
      id: keyRowId(region, keyId),
      scope: `${account}/${region}`,
      link: '',
      expected: 0,
      body: writeAttributes({ description, tags }),
    }
    const row = await call.services.boundary.replicateKey(
      key.rowId,
      { region, policy, rows: [attributes] },
      call.asserted,
    )
    // As it was made: what is there by now may have gone further.
    const replica: FoundKey = { ...key, rowId: row.id, row, header: headerOf(row), arn, region, tags }
    return {
      ReplicaKeyMetadata: await keyMetadata(call, replica, description),
      ReplicaPolicy: policy.toString(),
      ReplicaTags: Tags.map(({ TagKey, TagValue }) => ({ TagKey, TagValue })),
    }
  },
}

/** ReplicateKey on the primary; and to make a key, with its tags, where the replica is to be. */
function authorizeReplica(
  call: Call,
  key: FoundKey,
  region: string,
  tags: ReadonlyMap<string, string>,
  bypass: boolean,
): void {
  const asked = { replicaRegion: region, requestTags: tags, bypassPolicyLockoutSafetyCheck: bypass }
  authorizeKey(call, key, asked)
  const { spec, usage, origin } = key.header
  const newKey = { spec, usage, origin, multiRegion: true, multiRegionKeyType: 'REPLICA' as const }
  authorizeAny(call, { ...asked, region, newKey })
}

export const UpdatePrimaryRegion: Operation<{ KeyId: string; PrimaryRegion: string }, void> = {
  name: 'UpdatePrimaryRegion',
  recordedBy: 'boundary',
  async run(call, { KeyId, PrimaryRegion: region }) {
    const key = await findKey(call, KeyId, { aliases: false })
    const next = await replicaIn(call, key, region)
    authorizeKey(call, key, { primaryRegion: region })
    if (next !== undefined) authorizeKey(call, next, { primaryRegion: region }, 'new-key')
    checkPrimary(call, key)
    checkRegion(call, region)
    if (region === key.region)
      throw new KmsError('UnsupportedOperationException', `${key.arn} is the primary key already.`)
    countElsewhere(call, region, 'UpdatePrimaryRegion', 1)
    if (next === undefined) {
      const arn = keyArn({ ...placeOf(call), region, account: key.account }, key.keyId)
      throw new KmsError('NotFoundException', `Key '${arn}' does not exist`)
    }
    checkState(call, next)
    await call.services.boundary.updatePrimaryRegion(key.rowId, region, call.asserted)
  },
}

/** The replica of a primary's set in a Region. */
async function replicaIn(call: Call, { header, keyId }: FoundKey, region: string): Promise<FoundKey | undefined> {
  return header.replicaRegions.includes(region) ? findKeyIn(call, region, keyId) : undefined
}
