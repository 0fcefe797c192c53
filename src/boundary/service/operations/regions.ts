/**
 * The Regions of a key (aws-kms.md §3.8): a replica is made, the primary moves, and each key that such a change has left Creating or Updating becomes
 * usable as what it is, by itself and soon after. Every change of the set is one write set with the rows of all its members.
 */
import type { KeyRow } from '../../client/api.ts'
import type { InputOf } from '../../client/protocol/operations.ts'
import type { OpenedKey } from '../../crypto/sealed.ts'
import { BoundaryError, type KeyHeader, type MaterialInfo } from '../../words.ts'
import { type Call, type Core, ownCall } from '../core.ts'
import { dueNow } from '../keys/due.ts'
import { absent, memberId, type Others, primaryOnly, regionOf, settled } from '../keys/regions.ts'
import { follow, type KeyChange, type MemberChange, ownedByCustomer, transition } from '../transition.ts'
import { policyDigest, roomForKey } from './create.ts'
import { draftRows } from './rows.ts'
import { materialMissing } from './state.ts'

const REGION = /^[a-z0-9-]{1,32}$/
/** What a header can name. */
const MAX_REPLICAS = 64

/** The header of a new replica. Its own: policy, dates, state. Shared: everything else, but imported material, which is imported there again. */
function replicaOf(core: Core, primary: KeyHeader, region: string, policy: Buffer): KeyHeader {
  const comesAlong = primary.origin !== 'EXTERNAL'
  return {
    ...primary,
    id: memberId(region, primary.id),
    fence: 1,
    createdAt: core.clocks.lifecycle(),
    state: 'Creating',
    previousState: comesAlong ? 'Enabled' : 'PendingImport',
    deletionDate: 0,
    pendingWindowDays: 0,
    policyDigest: policyDigest(policy),
    multiRegion: 'REPLICA',
    materials: comesAlong ? primary.materials : primary.materials.map(absent),
  }
}

export async function replicateKey(
  core: Core,
  { id, input, asserted }: InputOf<'replicateKey'>,
  call: Call,
): Promise<KeyRow> {
  const { region, policy } = input
  const decide = (key: OpenedKey, _row: KeyRow, others: Others): KeyChange => {
    const { header } = key
    ownedByCustomer(header)
    follow('replicateKey', header)
    primaryOnly(header)
    if (!REGION.test(region) || policy.length === 0) throw new BoundaryError('InvalidRequest', 'a Region and a policy')
    const replicaId = memberId(region, id)
    // A tombstone is no key: a Region may have a replica again.
    if (core.book.current('key', replicaId)?.deleted === false) throw new BoundaryError('AlreadyExists')
    roomForKey(core, `${header.account}/${region}`)
    if (header.replicaRegions.length >= MAX_REPLICAS)
      throw new BoundaryError('LimitExceeded', `${MAX_REPLICAS} replicas`)
    const replicaRegions = [...header.replicaRegions, region].sort()
    const joining = { ...replicaOf(core, header, region, policy), replicaRegions }
    const lists = new Map<string, readonly MaterialInfo[]>([[id, header.materials]])
    for (const [other, member] of others) lists.set(other, member.header.materials)
    const materials = settled(lists.set(replicaId, joining.materials))
    const change = (member: string, { materials: now }: KeyHeader): MemberChange => ({
      header: { replicaRegions, materials: materials.get(member) ?? now },
    })
    const scope = `${header.account}/${region}`
    return {
      ...change(id, header),
      others: new Map([...others].map(([other, member]) => [other, change(other, member.header)])),
      joins: {
        header: { ...joining, materials: materials.get(replicaId) ?? joining.materials },
        scope,
        materials: header.origin === 'EXTERNAL' ? new Map() : key.materials,
      },
      rows: [
        { kind: 'policy', id: replicaId, scope, link: '', body: Buffer.from(policy) },
        ...draftRows(core, input.rows, 'use', replicaId),
      ],
      fields: { destinationKeyId: replicaId, policyDigest: joining.policyDigest, transition: `>${joining.state}` },
    }
  }
  const done = await transition(core, { operation: 'replicateKey', id, call, asserted, wholeSet: true, decide })
  if (done.joined === undefined) throw new BoundaryError('Internal')
  return done.joined
}

export async function updatePrimaryRegion(
  core: Core,
  { id, region, asserted }: InputOf<'updatePrimaryRegion'>,
  call: Call,
): Promise<KeyRow> {
  const decide = ({ header }: OpenedKey, _row: KeyRow, others: Others): KeyChange => {
    ownedByCustomer(header)
    const state = follow('updatePrimaryRegion', header) ?? header.state
    primaryOnly(header)
    const nextId = memberId(region, id)
    const next = others.get(nextId)?.header
    if (next === undefined) throw new BoundaryError('InvalidRequest', 'no replica in this Region')
    const nextState = follow('updatePrimaryRegion', next) ?? next.state
    const replicaRegions = [...header.replicaRegions.filter(each => each !== region), regionOf(id)].sort()
    const set = { primaryRegion: region, replicaRegions }
    const previous = (of: KeyHeader) => (of.state === 'Updating' ? of.previousState : of.state)
    const changes = new Map<string, MemberChange>()
    for (const other of others.keys()) changes.set(other, { header: set })
    changes.set(nextId, {
      header: { ...set, multiRegion: 'PRIMARY', state: nextState, previousState: previous(next) },
    })
    return {
      header: { ...set, multiRegion: 'REPLICA', state, previousState: previous(header) },
      others: changes,
      fields: { destinationKeyId: nextId, transition: `primary ${header.primaryRegion}>${region}` },
    }
  }
  return (await transition(core, { operation: 'updatePrimaryRegion', id, call, asserted, wholeSet: true, decide })).row
}

/** A key that is Creating or Updating becomes what it is to be. */
export async function finishRegions(core: Core, id: string): Promise<void> {
  const decide = ({ header }: OpenedKey): KeyChange => {
    if (dueNow(header, core.clocks.lifecycle()) !== 'finishRegions')
      throw new BoundaryError('InvalidState', header.state)
    // Imported material may have expired while the primary moved.
    const state = header.origin === 'EXTERNAL' && materialMissing(header) ? 'PendingImport' : header.previousState
    return { header: { state } }
  }
  await transition(core, { operation: 'finishRegions', id, call: ownCall(), asserted: undefined, decide })
}
