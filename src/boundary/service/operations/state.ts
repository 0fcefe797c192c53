/**
 * Transitions of a KMS key's state and policy: enable, disable, schedule and cancel deletion, policy; and deletion itself when its time has come.
 */

import type { KeyRow } from '../../client/api.ts'
import type { InputOf } from '../../client/protocol/operations.ts'
import type { OpenedKey } from '../../crypto/sealed.ts'
import type { RecordFields } from '../../record-fields.ts'
import { BoundaryError, type KeyHeader } from '../../words.ts'
import { baseFields, type Call, type Core, ownCall } from '../core.ts'
import { dueNow } from '../keys/due.ts'
import { isPending, type Others, otherIds, regionOf, settled } from '../keys/regions.ts'
import {
  currentKey,
  follow,
  type KeyChange,
  type MemberChange,
  nextRow,
  ownedByCustomer,
  type RowDraft,
  transition,
} from '../transition.ts'
import { destroyClusterKey } from './cluster.ts'
import { DAY, policyDigest } from './create.ts'

/** CURRENT and older materials must all be there for a key to be usable (aws-kms.md §3.6); one that waits for its rotation need not. */
export const materialMissing = (header: Pick<KeyHeader, 'materials'>): boolean =>
  !header.materials.some(material => material.state === 'CURRENT') ||
  header.materials.some(material => !material.present && !isPending(material.state))

const simple =
  (operation: 'enableKey' | 'disableKey') =>
  async (core: Core, { id, asserted }: InputOf<'enableKey'>, call: Call): Promise<KeyRow> => {
    const decide = ({ header }: OpenedKey): KeyChange => {
      ownedByCustomer(header)
      const state = follow(operation, header)
      return state === undefined ? {} : { header: { state } }
    }
    return (await transition(core, { operation, id, call, asserted, decide })).row
  }

export const enableKey = simple('enableKey')
export const disableKey = simple('disableKey')

export async function scheduleKeyDeletion(
  core: Core,
  { id, pendingWindowDays, asserted }: InputOf<'scheduleKeyDeletion'>,
  call: Call,
): Promise<KeyRow> {
  const decide = ({ header }: OpenedKey): KeyChange => {
    ownedByCustomer(header)
    if (pendingWindowDays < 7 || pendingWindowDays > 30) {
      throw new BoundaryError('InvalidRequest', 'the waiting period is 7 to 30 days')
    }
    const next = follow('scheduleKeyDeletion', header) ?? 'PendingDeletion'
    // The window of a primary begins when the last of its replicas is gone.
    const waits = header.multiRegion === 'PRIMARY' && header.replicaRegions.length > 0
    const state = waits ? 'PendingReplicaDeletion' : next
    const deletionDate = waits ? 0 : core.clocks.lifecycle() + pendingWindowDays * DAY
    const when = waits ? `${pendingWindowDays} days` : new Date(deletionDate).toISOString()
    return {
      header: { state, previousState: header.state, deletionDate, pendingWindowDays },
      fields: { transition: `${header.state}>${state} ${when}` },
    }
  }
  return (await transition(core, { operation: 'scheduleKeyDeletion', id, call, asserted, decide })).row
}

export async function cancelKeyDeletion(
  core: Core,
  { id, asserted }: InputOf<'cancelKeyDeletion'>,
  call: Call,
): Promise<KeyRow> {
  const decide = ({ header }: OpenedKey): KeyChange => {
    ownedByCustomer(header)
    const next = follow('cancelKeyDeletion', header)
    // Past its date it is gone, even if the scanner has not come by yet.
    if (header.state === 'PendingDeletion' && header.deletionDate <= core.clocks.lifecycle())
      throw new BoundaryError('KeyGone')
    const state = header.origin === 'EXTERNAL' && materialMissing(header) ? 'PendingImport' : (next ?? 'Disabled')
    return { header: { state, previousState: header.state, deletionDate: 0, pendingWindowDays: 0 } }
  }
  return (await transition(core, { operation: 'cancelKeyDeletion', id, call, asserted, decide })).row
}

export async function putKeyPolicy(
  core: Core,
  { id, policy, asserted }: InputOf<'putKeyPolicy'>,
  call: Call,
): Promise<KeyRow> {
  const decide = ({ header }: OpenedKey, row: KeyRow): KeyChange => {
    ownedByCustomer(header)
    follow('putKeyPolicy', header)
    if (policy.length === 0) throw new BoundaryError('InvalidRequest', 'an empty policy')
    const digest = policyDigest(policy)
    return {
      header: { policyDigest: digest },
      rows: [{ kind: 'policy', id, scope: row.scope, link: '', body: Buffer.from(policy) }],
      fields: { policyDigest: digest },
    }
  }
  return (await transition(core, { operation: 'putKeyPolicy', id, call, asserted, decide })).row
}

/**
 * What the rest of a set is when a replica is gone: it names one Region less, pending material need not be there, and a primary that waited for the
 * last replica begins its window.
 */
function without(core: Core, gone: KeyHeader, others: Others): ReadonlyMap<string, MemberChange> {
  const replicaRegions = gone.replicaRegions.filter(region => region !== regionOf(gone.id))
  const materials = settled(new Map([...others].map(([id, { header }]) => [id, header.materials])))
  const changes = new Map<string, MemberChange>()
  for (const [id, { header }] of others) {
    const last = header.state === 'PendingReplicaDeletion' && replicaRegions.length === 0
    const deletionDate = core.clocks.lifecycle() + header.pendingWindowDays * DAY
    changes.set(id, {
      header: {
        replicaRegions,
        materials: materials.get(id) ?? header.materials,
        ...(last ? { state: 'PendingDeletion' as const, deletionDate } : {}),
      },
    })
  }
  return changes
}

/** Grants that go in one write set: all of them are named in its record, which is bounded. */
const GRANTS_AT_ONCE = 200

/**
 * A key may have more grants than fit into one write set. They go before it, by which time nothing can be done with it any more: its date has passed. A
 * key that is half through this is still due at the next start.
 */
async function deleteGrants(core: Core, id: string): Promise<void> {
  const grants = core.book.grantsOf(id)
  for (let at = 0; grants.length - at > GRANTS_AT_ONCE; at += GRANTS_AT_ONCE) {
    const fields: RecordFields = {
      ...baseFields(core, 'deleteKey', ownCall(), undefined),
      keyId: id,
      outcome: 'allowed',
    }
    const rows = grants
      .slice(at, at + GRANTS_AT_ONCE)
      .filter(grant => core.book.current('grant', grant)?.deleted === false)
      .map(grant => nextRow(core, { kind: 'grant', id: grant, scope: '', link: '', body: null }))
    if (rows.length > 0) await core.book.commit(fields, rows)
  }
}

/**
 * Destroys a key whose waiting period has ended, with its policy, attributes, aliases and grants, and takes a replica out of its set. Nothing where it is not
 * due (any more).
 */
export async function deleteKey(core: Core, id: string): Promise<void> {
  const { opened } = await currentKey(core, id)
  if (dueNow(opened.header, core.clocks.lifecycle()) === 'deleteKey') await deleteGrants(core, id)
  const decide = ({ header }: OpenedKey, row: KeyRow, others: Others): KeyChange => {
    if (dueNow(header, core.clocks.lifecycle()) !== 'deleteKey') throw new BoundaryError('InvalidState', header.state)
    const gone = (kind: RowDraft['kind'], rowId: string): RowDraft[] =>
      core.book.current(kind, rowId)?.deleted === false
        ? [{ kind, id: rowId, scope: row.scope, link: '', body: null }]
        : []
    const rows = [
      ...gone('policy', id),
      ...gone('attributes', id),
      ...core.book.linked('counter', id).flatMap(counter => gone('counter', counter)),
      ...core.book.linked('alias', id).flatMap(alias => gone('alias', alias)),
      ...core.book.grantsOf(id).flatMap(grant => gone('grant', grant)),
    ]
    if (header.multiRegion === 'PRIMARY' && otherIds(header).length > 0)
      throw new BoundaryError('Internal', 'a primary with replicas is not deleted')
    return {
      destroyed: true,
      rows,
      others: without(core, header, others),
      fields: { transition: `${header.state}>deleted` },
    }
  }
  const { header } = await transition(core, {
    operation: 'deleteKey',
    id,
    call: ownCall(),
    asserted: undefined,
    wholeSet: true,
    decide,
  })
  if (header.origin === 'AWS_CLOUDHSM') await destroyClusterKey(core, header)
}
