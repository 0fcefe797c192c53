/**
 * A transition of one key, or of a whole multi-Region set: read what it is, decide, and put record and write set into one frame. Transitions of a key
 * run one after the other, and so do those of the members of a set; a decision that throws changes nothing and is recorded as refused.
 */
import type { KeyObject } from 'node:crypto'
import type { KeyRow } from '../client/api.ts'
import { tagRow } from '../crypto/rows.ts'
import { materialBytes, type OpenedKey, openKey, sealKey } from '../crypto/sealed.ts'
import type { BoundaryOperation, EncodedAsserted, RecordFields } from '../record-fields.ts'
import { BoundaryError, type KeyHeader, type Row, type RowKind } from '../words.ts'
import { baseFields, type Call, type Core, refuse } from './core.ts'
import { agree, type Others, otherIds } from './keys/regions.ts'
import { type KeyTransition, TRANSITIONS } from './keys/states.ts'

/** A row to write; its revision is the next one. */
export interface RowDraft {
  readonly kind: RowKind
  readonly id: string
  readonly scope: string
  readonly link: string
  readonly body: Buffer | null
}

/** What changes in one key. */
export interface MemberChange {
  readonly header?: Partial<KeyHeader>
  /** All materials of the key from now on, by id; without it those that it has. Bytes given here are wiped. */
  readonly materials?: ReadonlyMap<string, KeyObject | Buffer>
}

/** Without `header`, `rows` and `destroyed` nothing changes: there is a record and no new revision. */
export interface KeyChange extends MemberChange {
  readonly rows?: readonly RowDraft[]
  /** What changes in the other members of the set, by row id: only in a transition of the whole set. */
  readonly others?: ReadonlyMap<string, MemberChange>
  /** A key that joins the set. Its revision is the next one of its row. */
  readonly joins?: { readonly header: KeyHeader; readonly scope: string; readonly materials: OpenedKey['materials'] }
  /** The key itself is destroyed. */
  readonly destroyed?: true
  readonly fields?: RecordFields
}

export interface Done {
  readonly row: KeyRow
  readonly header: KeyHeader
  /** Of the key that joined the set. */
  readonly joined: KeyRow | undefined
}

/** The next revision of a row, tagged. */
export function nextRow(core: Core, draft: RowDraft): Row {
  const revision = (core.book.current(draft.kind, draft.id)?.revision ?? 0) + 1
  return tagRow(core.keyring, { ...draft, revision })
}

/** Seals a key whose header is whole; bytes of materials are wiped. */
export function sealed(core: Core, header: KeyHeader, materials: ReadonlyMap<string, KeyObject | Buffer>): Buffer {
  const bytes = new Map<string, Buffer>()
  for (const [id, material] of materials) bytes.set(id, Buffer.isBuffer(material) ? material : materialBytes(material))
  try {
    return sealKey(core.keyring, header, bytes)
  } finally {
    for (const each of bytes.values()) each.fill(0)
  }
}

/** The key as it is now, opened from the journal's own bytes. Throws KeyGone. */
export async function currentKey(core: Core, id: string): Promise<{ row: KeyRow; opened: OpenedKey }> {
  const row = await core.book.read('key', id)
  if (row === undefined || row.body === null) throw new BoundaryError('KeyGone')
  return { row: row as KeyRow, opened: openKey(core.keyring, row.body) }
}

export interface Transition {
  readonly operation: BoundaryOperation
  readonly id: string
  readonly call: Call
  readonly asserted: EncodedAsserted | undefined
  /** Reads the other members of the key's set too, for `decide` to change with it. */
  readonly wholeSet?: true
  /** Decides what changes. May take its time: the key, with its whole set, is held for it meanwhile. */
  readonly decide: (key: OpenedKey, row: KeyRow, others: Others) => KeyChange | Promise<KeyChange>
}

interface Member {
  readonly row: KeyRow
  readonly opened: OpenedKey
}

const NO_OTHERS: ReadonlyMap<string, Member> = new Map()

async function otherMembers(core: Core, header: KeyHeader): Promise<ReadonlyMap<string, Member>> {
  const ids = otherIds(header)
  const members = await Promise.all(ids.map(id => currentKey(core, id)))
  for (const { opened } of members) agree(header, opened.header)
  return new Map(members.map((member, at) => [ids[at] as string, member]))
}

const openedOf = (members: ReadonlyMap<string, Member>): Others =>
  new Map([...members].map(([id, { opened }]) => [id, opened]))

/** The key as it will be, and its row; sealed under the current generation of the root. */
function changed(
  core: Core,
  { row, opened }: Member,
  change: MemberChange & { readonly destroyed?: true },
): { readonly row: KeyRow; readonly header: KeyHeader } {
  const { id, scope, revision } = row
  const rootGeneration = core.keyring.current
  const header: KeyHeader = { ...opened.header, ...change.header, revision: revision + 1, rootGeneration }
  const body = change.destroyed === true ? null : sealed(core, header, change.materials ?? opened.materials)
  return { header, row: nextRow(core, { kind: 'key', id, scope, link: header.keyStoreId, body }) as KeyRow }
}

function joined(core: Core, joins: NonNullable<KeyChange['joins']>): KeyRow {
  const { id } = joins.header
  const revision = (core.book.current('key', id)?.revision ?? 0) + 1
  const header = { ...joins.header, revision, rootGeneration: core.keyring.current }
  const body = sealed(core, header, joins.materials)
  return nextRow(core, { kind: 'key', id, scope: joins.scope, link: header.keyStoreId, body }) as KeyRow
}

/** Resolves with the key's row when the frame is durable. */
export function transition(core: Core, asked: Transition): Promise<Done> {
  const { operation, id, call, asserted, decide } = asked
  return core.locks.run(id, async () => {
    let fields: RecordFields = { ...baseFields(core, operation, call, asserted), keyId: id }
    let committed: Done & { durable: Promise<{ writeSet: number }> }
    try {
      const key = await currentKey(core, id)
      const { row, opened } = key
      const { header } = opened
      fields = { ...fields, keyRevision: row.revision }
      const others = asked.wholeSet === true ? await otherMembers(core, header) : NO_OTHERS
      // A decision that takes no time is committed in the same turn: nothing can come between what it saw and what it writes.
      const decided = decide(opened, row, openedOf(others))
      const change = decided instanceof Promise ? await decided : decided
      fields = { ...fields, ...change.fields, outcome: 'allowed' }
      if (change.header === undefined && change.rows === undefined && change.destroyed === undefined) {
        await core.book.record(fields)
        return { row, header, joined: undefined }
      }
      const next = changed(core, key, change)
      const rows: Row[] = [next.row]
      for (const [other, member] of others) {
        const more = change.others?.get(other)
        if (more !== undefined) rows.push(changed(core, member, more).row)
      }
      const newcomer = change.joins === undefined ? undefined : joined(core, change.joins)
      if (newcomer !== undefined) rows.push(newcomer)
      rows.push(...(change.rows ?? []).map(draft => nextRow(core, draft)))
      if (fields.transition === undefined && next.header.state !== header.state) {
        fields = { ...fields, transition: `${header.state}>${next.header.state}` }
      }
      committed = { ...next, joined: newcomer, durable: core.book.commit(fields, rows) }
    } catch (error) {
      return refuse(core, fields, error)
    }
    call.writeSet = (await committed.durable).writeSet
    const { row, header, joined: newcomer } = committed
    return { row, header, joined: newcomer }
  })
}

/** What the table says of a transition in a state: the state that follows, undefined where the state stays. Throws the refusal. */
export function follow(operation: KeyTransition, header: KeyHeader): KeyHeader['state'] | undefined {
  const verdict = TRANSITIONS[operation][header.state]
  if (verdict === 'stay') return undefined
  if ('to' in verdict) return verdict.to
  throw new BoundaryError(verdict.refuse, header.state)
}

/** Keys that the provider manages change by themselves and by nobody's wish. */
export function ownedByCustomer(header: KeyHeader): void {
  if (header.manager === 'AWS') throw new BoundaryError('NotPermitted', 'the provider manages this key')
}
