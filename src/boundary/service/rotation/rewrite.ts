/**
 * Writing rows again, sealed and tagged under the newest generation of the root, so that nothing that is in force stands before a place in the journal:
 * for a rotation of the root, and before segments are erased. Beside the uses, in pieces so small that none of them waits long.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { openSecret, sealSecret, tagRow } from '../../crypto/rows.ts'
import { openKey } from '../../crypto/sealed.ts'
import { ROW_KINDS, type Row } from '../../words.ts'
import { baseFields, type Core, ownCall } from '../core.ts'
import type { Standing } from '../index/entry.ts'
import { sealed } from '../transition.ts'

/** Looked for at once, and read at once. */
const PAGE_ROWS = 256
const READ_ROWS = 64
/** Of one write set: at most as many as are read at once, and about so many bytes. */
const MAX_BYTES = 1 << 20
/** Milliseconds of work in one turn of the event loop. */
const TURN_MS = 2
/** For each millisecond of work so many of pause: uses have most of the time. */
const PAUSE = 3
/** Below the floor of free space what is left is for revoking. */
const LOW_SPACE_MS = 1000

export interface Rewriting {
  /** Stands in the records: why the rows are written again, for example `1>2`. */
  readonly why: string
  /** Ends it after the piece that is under way. */
  readonly signal: AbortSignal
  /** Told after each piece how many rows it wrote. */
  readonly onRows: (rows: number) => void
  /** Told when it waits for free space, and when it goes on. */
  readonly onSpace?: (low: boolean) => void
}

/**
 * Resolves with true when no row stands in a segment before that of this first record, and with false where it was ended. Tombstones that are forgotten
 * anyway stay where they are.
 */
export async function rewriteBelow(core: Core, segment: number, rewriting: Rewriting): Promise<boolean> {
  // A row that changed while it was read has a new place by itself, or is met again by the next pass.
  for (let found = true; found; ) {
    found = false
    for (let from: number | undefined = 0; from !== undefined; ) {
      const { rows, next } = core.book.below(segment, from, PAGE_ROWS)
      if (rows.length > 0) found = true
      if (!(await rewriteAll(core, rows, rewriting))) return false
      from = next
    }
  }
  return true
}

async function rewriteAll(core: Core, places: readonly Standing[], rewriting: Rewriting): Promise<boolean> {
  const { why, signal, onRows } = rewriting
  const inOrder = places.toSorted(
    ({ entry: { location: a } }, { entry: { location: b } }) => a.segment - b.segment || a.offset - b.offset,
  )
  for (let from = 0; from < inOrder.length; from += READ_ROWS) {
    const rows = await core.book.readAt(inOrder.slice(from, from + READ_ROWS))
    for (let at = 0; at < rows.length; ) {
      await untilSpace(core, rewriting)
      if (signal.aborted) return false
      const begun = performance.now()
      const { passed, next } = rowsAnew(core, rows, at)
      const durable = next.length === 0 ? undefined : commit(core, next, why)
      const worked = performance.now() - begun
      await durable
      onRows(next.length)
      at += passed
      await wait(worked * PAUSE, signal)
    }
  }
  return true
}

async function untilSpace({ book: { journal } }: Core, { signal, onSpace }: Rewriting): Promise<void> {
  if (!journal.lowOnSpace) return
  onSpace?.(true)
  while (journal.lowOnSpace && !signal.aborted) await wait(LOW_SPACE_MS, signal)
  onSpace?.(false)
}

const wait = (milliseconds: number, signal: AbortSignal): Promise<void> =>
  pause(milliseconds, undefined, { signal }).catch(() => {})

/** As many rows from a place on as fit into one turn: how many were looked at, and the next revisions of those that are still what they were. */
function rowsAnew(core: Core, rows: readonly Row[], from: number): { passed: number; next: Row[] } {
  const begun = performance.now()
  const next: Row[] = []
  let bytes = 0
  let at = from
  while (at < rows.length && bytes < MAX_BYTES && performance.now() - begun < TURN_MS) {
    const row = rows[at++] as Row
    const { kind, id } = row
    // A transition of a key that is under way writes it anew itself, or leaves it for the next pass.
    if (core.book.current(kind, id)?.revision !== row.revision || (kind === 'key' && core.locks.held(id))) continue
    const again = rowAnew(core, row)
    bytes += again.body?.length ?? 0
    next.push(again)
  }
  return { passed: at - from, next }
}

function rowAnew(core: Core, row: Row): Row {
  const revision = row.revision + 1
  return tagRow(core.keyring, { ...row, revision, body: row.body === null ? null : bodyAnew(core, row, row.body) })
}

function bodyAnew(core: Core, row: Row, body: Buffer): Buffer {
  const { kind, id } = row
  const revision = row.revision + 1
  switch (ROW_KINDS[kind].protection) {
    case 'sealed': {
      const { header, materials } = openKey(core.keyring, body)
      return sealed(core, { ...header, revision, rootGeneration: core.keyring.current }, materials)
    }
    case 'secret': {
      const clear = openSecret(core.keyring, row)
      const again = sealSecret(core.keyring, kind, id, revision, clear)
      clear.fill(0)
      return again
    }
    case 'tagged':
      return body
  }
}

/** In the turn in which the rows were compared with what is current: nothing comes between. */
function commit(core: Core, rows: readonly Row[], why: string): Promise<unknown> {
  const fields = baseFields(core, 'rewriteRows', ownCall(), undefined)
  const durable = core.book.rewrite({ ...fields, outcome: 'allowed', count: rows.length, transition: why }, rows)
  for (const { kind, id, revision } of rows) core.rewritten.note(kind, id, revision)
  return durable
}
