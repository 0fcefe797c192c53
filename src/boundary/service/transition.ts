/**
 * A transition of one key: read what it is, decide, and put record and write set into one frame. Transitions of a key run one after the other; a
 * decision that throws changes nothing and is recorded as refused.
 */
import type { KeyObject } from 'node:crypto'
import type { KeyRow } from '../client/api.ts'
import { tagRow } from '../crypto/rows.ts'
import { materialBytes, type OpenedKey, openKey, sealKey } from '../crypto/sealed.ts'
import type { BoundaryOperation, EncodedAsserted, RecordFields } from '../record.ts'
import { BoundaryError, type KeyHeader, type Row, type RowKind } from '../words.ts'
import { baseFields, type Call, type Core, refuse } from './core.ts'
import { type KeyTransition, TRANSITIONS } from './keys/states.ts'

/** A row to write; its revision is the next one. */
export interface RowDraft {
  readonly kind: RowKind
  readonly id: string
  readonly scope: string
  readonly link: string
  readonly body: Buffer | null
}

export interface KeyChange {
  /** What changes in the header. Without it, and without `rows`, nothing does: there is a record and no new revision. */
  readonly header?: Partial<KeyHeader>
  /** All materials of the key from now on, by id; without it those that it has. Bytes given here are wiped. */
  readonly materials?: ReadonlyMap<string, KeyObject | Buffer>
  readonly rows?: readonly RowDraft[]
  /** The key itself is destroyed. */
  readonly destroyed?: true
  readonly fields?: RecordFields
}

export interface Done {
  readonly row: KeyRow
  readonly header: KeyHeader
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
  /** Decides what changes. May take its time: the key is held for it meanwhile. */
  readonly decide: (key: OpenedKey, row: KeyRow) => KeyChange | Promise<KeyChange>
}

/** Resolves with the key's row when the frame is durable. */
export function transition(core: Core, { operation, id, call, asserted, decide }: Transition): Promise<Done> {
  return core.locks.run(id, async () => {
    let fields: RecordFields = { ...baseFields(core, operation, call, asserted), keyId: id }
    let committed: { row: KeyRow; header: KeyHeader; durable: Promise<{ writeSet: number }> }
    try {
      const { row, opened } = await currentKey(core, id)
      const { header } = opened
      fields = { ...fields, keyRevision: row.revision }
      // A decision that takes no time is committed in the same turn: nothing can come between what it saw and what it writes.
      const decided = decide(opened, row)
      const change = decided instanceof Promise ? await decided : decided
      fields = { ...fields, ...change.fields, outcome: 'allowed' }
      if (change.header === undefined && change.rows === undefined && change.destroyed === undefined) {
        await core.book.record(fields)
        return { row, header }
      }
      const next: KeyHeader = {
        ...header,
        ...change.header,
        revision: row.revision + 1,
        rootGeneration: core.keyring.current,
      }
      const body = change.destroyed === true ? null : sealed(core, next, change.materials ?? opened.materials)
      const { scope } = row
      const keyRow = nextRow(core, { kind: 'key', id, scope, link: next.keyStoreId, body }) as KeyRow
      const rows = [keyRow, ...(change.rows ?? []).map(draft => nextRow(core, draft))]
      if (fields.transition === undefined && next.state !== header.state) {
        fields = { ...fields, transition: `${header.state}>${next.state}` }
      }
      committed = { row: keyRow, header: next, durable: core.book.commit(fields, rows) }
    } catch (error) {
      return refuse(core, fields, error)
    }
    call.writeSet = (await committed.durable).writeSet
    return { row: committed.row, header: committed.header }
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
