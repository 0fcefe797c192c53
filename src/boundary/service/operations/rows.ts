/**
 * Rows that are no keys: written in compare-and-set, all or none, each only from the socket that its kind allows; checked; opened; listed.
 */
import { createHash } from 'node:crypto'
import type { PutRow } from '../../client/api.ts'
import { PAGE_BYTES } from '../../client/protocol/frames.ts'
import type { InputOf, OutputOf } from '../../client/protocol/operations.ts'
import { openSecret as openSecretBody, rowDigest, sealSecret, tagRow } from '../../crypto/rows.ts'
import { type OpenedWriteSet, WriteSetGone } from '../../journal/types.ts'
import type { RecordFields } from '../../record-fields.ts'
import { horizonOf } from '../../root/rootfile.ts'
import { BoundaryError, keyOfGrant, ROW_KINDS, type Row, type RowKind } from '../../words.ts'
import { baseFields, type Call, type Core, refuse, spaceForUses } from '../core.ts'

/** The row id of the key that a row is nothing without: kinds that stand beside it with the same id, point to it, or begin with its id. */
export const KEY_OF: { readonly [K in RowKind]?: (row: PutRow) => string } = {
  policy: ({ id }) => id,
  attributes: ({ id }) => id,
  alias: ({ link }) => link,
  grant: ({ id }) => keyOfGrant(id),
}

/** Of one change: each is named in its record, which is bounded, with an id of at most 512 bytes. */
const MAX_ROWS = 100

/**
 * The rows as they will be, compared first. `newKey` is the id of a key that is made in the same write set. Throws NotPermitted, Conflict, InvalidState.
 */
export function draftRows(
  core: Core,
  rows: readonly PutRow[],
  socket: 'use' | 'control',
  newKey: string | undefined,
): Row[] {
  const seen = new Set<string>()
  const lives = (id: string): boolean => id === newKey || core.book.current('key', id)?.deleted === false
  return rows.map(put => {
    const { kind, id, scope, link } = put
    const rule = ROW_KINDS[kind]
    if (rule.socket !== socket) throw new BoundaryError('NotPermitted', `${kind} rows are not written from here`)
    const name = `${kind} ${id}`
    if (id === '' || seen.has(name))
      throw new BoundaryError('InvalidRequest', `the ${kind} row has no id or comes twice`)
    seen.add(name)
    const current = core.book.current(kind, id)
    const exists = current !== undefined && !current.deleted
    if (!isExpected(core, put, exists ? current.revision : 0))
      throw new BoundaryError('Conflict', `the ${kind} row was changed`)
    if (put.body === null && !exists) throw new BoundaryError('Conflict', `there is no ${kind} row to delete`)
    const key = KEY_OF[kind]?.(put)
    if (put.body !== null && key !== undefined && !lives(key)) {
      throw new BoundaryError('InvalidState', `the key of the ${kind} row does not exist`)
    }
    const revision = (current?.revision ?? 0) + 1
    const body =
      put.body !== null && rule.protection === 'secret'
        ? sealSecret(core.keyring, kind, id, revision, put.body)
        : put.body === null
          ? null
          : Buffer.from(put.body)
    return tagRow(core.keyring, { kind, id, scope, link, revision, body })
  })
}

/** Whether a row of this revision (0: there is none) is the one that a change was made from. */
function isExpected(core: Core, { kind, id, expected }: PutRow, revision: number): boolean {
  return expected === revision || (expected === revision - 1 && expected > 0 && core.rewritten.same(kind, id, revision))
}

export async function putRows(core: Core, input: InputOf<'putRows'>, call: Call): Promise<readonly Row[]> {
  const fields: RecordFields = baseFields(core, 'putRows', call, input.asserted)
  let rows: Row[]
  let durable: Promise<{ writeSet: number }>
  try {
    if (input.rows.length === 0 || input.rows.length > MAX_ROWS) {
      throw new BoundaryError('InvalidRequest', `a change is of 1 to ${MAX_ROWS} rows`)
    }
    rows = draftRows(core, input.rows, call.source === 'control' ? 'control' : 'use', undefined)
    durable = core.book.commit({ ...fields, ...policyDigestOf(rows), outcome: 'allowed' }, rows)
  } catch (error) {
    return refuse(core, fields, error)
  }
  call.writeSet = (await durable).writeSet
  return rows
}

/** Of the owner's policy among the rows: what `sha256sum` says of its file. Throws InvalidRequest where there are two, since a record names one. */
function policyDigestOf(rows: readonly Row[]): Pick<RecordFields, 'policyDigest'> {
  const [policy, another] = rows.filter(({ kind }) => kind === 'owner-policy')
  if (another !== undefined) throw new BoundaryError('InvalidRequest', 'a change is of one policy')
  return policy?.body ? { policyDigest: createHash('sha256').update(policy.body).digest() } : {}
}

export async function checkRows(core: Core, rows: readonly Row[]): Promise<OutputOf<'checkRows'>> {
  const answers: ('ok' | Row | undefined)[] = []
  for (const row of rows) {
    const current = core.book.current(row.kind, row.id)
    const same = current?.revision === row.revision && current.digest.equals(rowDigest(row))
    answers.push(same ? 'ok' : await core.book.read(row.kind, row.id))
  }
  return answers
}

export async function openSecret(core: Core, row: Row, call: Call): Promise<Buffer> {
  spaceForUses(core)
  const { kind, id, revision } = row
  const fields: RecordFields = {
    ...baseFields(core, 'openSecret', call, undefined),
    changes: [{ kind, id, revision }],
  }
  let clear: Buffer
  try {
    if (ROW_KINDS[kind].protection !== 'secret' || row.body === null) {
      throw new BoundaryError('InvalidRequest', 'a row of this kind holds no secret')
    }
    const current = core.book.current(kind, id)
    if (current === undefined || current.deleted) throw new BoundaryError('KeyGone')
    if (current.revision !== revision || !current.digest.equals(rowDigest(row))) {
      throw new BoundaryError('StaleKey', '', await core.book.read(kind, id))
    }
    clear = openSecretBody(core.keyring, row)
  } catch (error) {
    return refuse(core, fields, error)
  }
  await core.book.record({ ...fields, outcome: 'allowed' })
  return clear
}

export async function writeSets(core: Core, input: InputOf<'writeSets'>): Promise<OutputOf<'writeSets'>> {
  for (;;) {
    const horizon = horizonOf(core.root.file)
    try {
      return { horizon, sets: await pageAfter(core, Math.max(input.after, horizon), input.max) }
    } catch (error) {
      // A generation of the root was destroyed while they were read: they begin further on now.
      if (!(error instanceof WriteSetGone) || horizonOf(core.root.file) === horizon) throw error
    }
  }
}

async function pageAfter(core: Core, from: number, max: number): Promise<readonly OpenedWriteSet[]> {
  const page: OpenedWriteSet[] = []
  let bytes = 0
  let after = from
  // One at a time beyond the first: a page is bounded in bytes, and a set may be large.
  while (page.length < max && bytes < PAGE_BYTES) {
    const sets = await core.book.journal.writeSetsAfter(after, Math.min(64, max - page.length))
    if (sets.length === 0) break
    for (const set of sets) {
      if (page.length > 0 && bytes + set.rows.length > PAGE_BYTES) return page
      page.push(set)
      bytes += set.rows.length
      after = set.number
    }
  }
  return page
}

export async function listRows(core: Core, input: InputOf<'listRows'>): Promise<readonly Row[]> {
  const rows: Row[] = []
  let bytes = 0
  for (const id of core.book.list(input.kind, input.after, Math.min(input.max, 10_000))) {
    const row = await core.book.read(input.kind, id)
    if (row === undefined || row.body === null) continue
    bytes += row.body.length + 4096
    if (rows.length > 0 && bytes > PAGE_BYTES) break
    rows.push(row)
  }
  return rows
}

/** What was done or refused without key material, as the front end tells it. */
export async function record(core: Core, entry: InputOf<'record'>, call: Call): Promise<void> {
  spaceForUses(core)
  await core.book.record({
    ...baseFields(core, 'record', call, entry.asserted),
    outcome: entry.outcome,
    error: entry.error,
    keyId: entry.keyId,
    ...(entry.count === 0 ? {} : { count: entry.count }),
  })
}
