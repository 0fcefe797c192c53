/**
 * The book: what every row is now, and the one way to change it. A change is a record and its whole write set in one frame of the journal. It is in
 * force from the moment it is appended (whatever is answered later stands behind it in the journal) and in the index from the moment it is durable.
 */
import { checkVersion, Reader, Writer } from '../bytes.ts'
import { decodeRows, encodeRows, rowDigest } from '../crypto/rows.ts'
import { readKeyHeader } from '../crypto/sealed.ts'
import type { Appended, Journal, Location, OpenedWriteSet, ReplayedFrame } from '../journal/types.ts'
import { encodeRecord, RECORD_VERSION } from '../record.ts'
import type { RecordFields } from '../record-fields.ts'
import { BoundaryError, FORGOTTEN_KINDS, keyOfGrant, type Row, type RowKind } from '../words.ts'
import { CLOCK_ROW, decodeOffset } from './clock.ts'
import type { Below, Entry, Standing } from './index/entry.ts'
import { type LastUse, LastUses } from './index/last-uses.ts'
import { RecordedUse, type UseStep } from './index/recorded-use.ts'
import { RowsIndex } from './index/rows-index.ts'
import { UsesBefore } from './index/uses-before.ts'
import { dueAt } from './keys/due.ts'

/** Where a row stands now, durable or about to be. */
export interface Current {
  readonly revision: number
  readonly deleted: boolean
  readonly digest: Buffer
}

interface Ahead extends Current {
  readonly row: Row
  /** Resolves when the row is durable. */
  readonly durable: Promise<unknown>
}

/** Kinds whose bodies are small and needed at every use: kept in memory. */
const PINNED = new Set<RowKind>(['switch', 'counter', 'clock', 'hold'])
const FORM = 2
/** Of the state beside index and uses. */
const SMALL_STATE_BYTES = 1 << 16

const nameOf = (kind: RowKind, id: string): string => `${kind} ${id}`

/** A copy that holds on to nothing else: `Buffer.from` would cut it from a slab of Node's pool and keep all of that. */
function ownBytes(bytes: Buffer): Buffer {
  const own = Buffer.allocUnsafeSlow(bytes.length)
  bytes.copy(own)
  return own
}

/** Adds to a count; one that comes back to 0 is forgotten. */
function count(counts: Map<string, number>, scope: string, more: number): void {
  if (more === 0) return
  const now = (counts.get(scope) ?? 0) + more
  if (now === 0) counts.delete(scope)
  else counts.set(scope, now)
}

/** A row in its write set, which must be the one that the index knows. */
function found(rows: readonly Row[], kind: RowKind, id: string, { digest }: Entry): Row {
  const row = rows.find(each => each.kind === kind && each.id === id)
  if (row === undefined || !rowDigest(row).equals(digest))
    throw new BoundaryError('Internal', 'the journal does not hold the row that the index names')
  return row
}

export type OnWriteSet = (number: number, rows: Buffer) => void

export class Book {
  #index = new RowsIndex()
  /** Body of each live row of a pinned kind, and due dates by key: both as of the durable state. */
  #pinned = new Map<string, Buffer>()
  #due = new Map<string, number>()
  /** How many keys customers have, by scope, and the last use of each: of the durable state too. */
  #keys = new Map<string, number>()
  /** By how many more they are in force. */
  readonly #keysAhead = new Map<string, number>()
  #uses = new LastUses()
  readonly #use = new RecordedUse()
  /** Only while a journal is replayed of which write sets were erased, or are such that nobody can read any more. */
  #usesBefore: UsesBefore | undefined
  /** Rows that are in force and not durable yet. */
  readonly #ahead = new Map<string, Ahead>()
  #journal: Journal | undefined
  #lastWriteSet = 0
  #clockOffset = 0
  /** Told of each write set when it is durable, in order. */
  onWriteSet: OnWriteSet = () => {}
  /** Told of each row at once when it is in force. `rewritten`: it says what it said before. */
  onRow: (row: Row, rewritten: boolean) => void = () => {}

  attach(journal: Journal): void {
    this.#journal = journal
    this.#lastWriteSet = journal.lastWriteSet
    this.#usesBefore = undefined
    const offset = this.pinned('clock', CLOCK_ROW)
    if (offset !== undefined) this.#clockOffset = decodeOffset(offset)
  }

  /** Number of the last write set that `onWriteSet` was told of, or that was there before. */
  get lastWriteSet(): number {
    return this.#lastWriteSet
  }

  get journal(): Journal {
    if (this.#journal === undefined) throw new BoundaryError('Locked')
    return this.#journal
  }

  current(kind: RowKind, id: string): Current | undefined {
    return this.#ahead.get(nameOf(kind, id)) ?? this.#index.get(kind, id)
  }

  /** The body of a pinned row: undefined where there is none. */
  pinned(kind: RowKind, id: string): Buffer | undefined {
    const name = nameOf(kind, id)
    const ahead = this.#ahead.get(name)
    if (ahead !== undefined) return ahead.row.body ?? undefined
    return this.#pinned.get(name)
  }

  /** Ids of pinned rows of a kind. */
  pinnedIds(kind: RowKind): string[] {
    const prefix = `${kind} `
    const ids = new Set<string>()
    for (const name of this.#pinned.keys()) if (name.startsWith(prefix)) ids.add(name.slice(prefix.length))
    for (const { row } of this.#ahead.values()) if (row.kind === kind) ids.add(row.id)
    return [...ids].filter(id => this.pinned(kind, id) !== undefined)
  }

  live(kind: RowKind): number {
    return this.#index.live(kind)
  }

  list(kind: RowKind, after: string, max: number): string[] {
    return this.#index.list(kind, after, max)
  }

  /** Ids of live rows of a kind that point to `link`, those that are not durable yet included. */
  linked(kind: RowKind, link: string): string[] {
    const ids = new Set(this.#index.linked(kind, link))
    for (const { row } of this.#ahead.values()) {
      if (row.kind !== kind) continue
      if (row.body !== null && row.link === link) ids.add(row.id)
      else ids.delete(row.id)
    }
    return [...ids]
  }

  /** The same of the grants of a key. */
  grantsOf(keyId: string): string[] {
    const ids = new Set(this.#index.grantsOf(keyId))
    for (const { row } of this.#ahead.values()) {
      if (row.kind !== 'grant' || keyOfGrant(row.id) !== keyId) continue
      if (row.body !== null) ids.add(row.id)
      else ids.delete(row.id)
    }
    return [...ids]
  }

  /** Keys of which something is due at or before `now`, of lifecycle time. */
  dueBy(now: number): string[] {
    const ids: string[] = []
    for (const [id, at] of this.#due) if (at <= now) ids.push(id)
    return ids
  }

  /** How many rows stand in segments before this one, and which: see `RowsIndex.below`. */
  countBelow(segment: number): number {
    return this.#index.countBelow(segment)
  }

  below(segment: number, from: number, max: number): Below {
    return this.#index.below(segment, from, max)
  }

  /** The rows that stand at these places. Each write set is read once where its rows follow each other. */
  async readAt(places: readonly Standing[]): Promise<Row[]> {
    const rows: Row[] = []
    let last: { readonly location: Location; readonly rows: readonly Row[] } | undefined
    for (const { kind, id, entry } of places) {
      const { location } = entry
      if (last?.location.segment !== location.segment || last.location.offset !== location.offset)
        last = { location, rows: decodeRows((await this.journal.readWriteSet(location)).rows) }
      rows.push(found(last.rows, kind, id, entry))
    }
    return rows
  }

  /** The current row, tombstones that are kept included, once it is durable; undefined where there is none. */
  async read(kind: RowKind, id: string): Promise<Row | undefined> {
    const ahead = this.#ahead.get(nameOf(kind, id))
    if (ahead !== undefined) {
      await ahead.durable
      return ahead.row
    }
    const entry = this.#index.get(kind, id)
    // A tombstone that may be forgotten is not looked up: its write set may be gone, and it says no more than that there is no row.
    if (entry === undefined || (entry.deleted && FORGOTTEN_KINDS.has(kind))) return undefined
    const set = await this.journal.readWriteSet(entry.location)
    return found(decodeRows(set.rows), kind, id, entry)
  }

  /** Keys of customers in a scope, those that are not durable yet included. */
  customerKeys(scope: string): number {
    return (this.#keys.get(scope) ?? 0) + (this.#keysAhead.get(scope) ?? 0)
  }

  /** By how many they grow with a row that is about to be in force: keys that the provider manages are not counted, and never deleted. */
  #keysMore({ kind, id, body }: Row): number {
    if (kind !== 'key') return 0
    const isLive = this.current(kind, id)?.deleted === false
    if (body === null) return isLive ? -1 : 0
    return !isLive && readKeyHeader(body).manager === 'CUSTOMER' ? 1 : 0
  }

  /** The last successful use of a key, as far as it is durable. */
  lastUse(id: string): LastUse | undefined {
    const row = this.#index.placeOf('key', id)
    return row < 0 ? undefined : this.#uses.get(row)
  }

  /** Appends a record alone. Resolves when it is durable. */
  record(fields: RecordFields): Promise<Appended> {
    const record = encodeRecord(fields)
    const appended = this.journal.append(record)
    if (fields.outcome !== 'allowed' || fields.keyId === undefined) return appended
    return appended.then(done => {
      this.#takeUse(record, done.seq, done.time)
      return done
    })
  }

  /** Takes what a durable record says of the use of keys. */
  #takeUse(record: Buffer, seq: number, time: number): void {
    const use = this.#use
    if (!use.read(record)) return
    const at = use.lifecycleTime < 0 ? time : use.lifecycleTime
    this.#takeUseOf(use.key, use.keyStep, record, at, seq)
    if (use.destination.length > 0) this.#takeUseOf(use.destination, use.destinationStep, record, at, seq)
  }

  #takeUseOf(key: { from: number; length: number }, step: UseStep, record: Buffer, time: number, seq: number): void {
    const row = this.#index.placeOfKey(record, key.from, key.length)
    if (row >= 0) this.#uses.take(row, step, this.#use, record, time, seq)
    else this.#usesBefore?.take(record.toString('utf8', key.from, key.from + key.length), step, record, time, seq)
  }

  /**
   * Appends a record with the rows that it changes; each must be one revision above its current one. They are in force when this returns, and
   * durable when the promise resolves. Throws, with nothing changed, where a revision does not follow.
   */
  commit(fields: RecordFields, rows: readonly Row[]): Promise<Appended> {
    return this.#commit(
      { ...fields, changes: rows.map(({ kind, id, revision }) => ({ kind, id, revision })) },
      rows,
      false,
    )
  }

  /** The same with rows that say what they said before: the record does not list them. */
  rewrite(fields: RecordFields, rows: readonly Row[]): Promise<Appended> {
    return this.#commit(fields, rows, true)
  }

  #commit(fields: RecordFields, rows: readonly Row[], rewritten: boolean): Promise<Appended> {
    for (const row of rows) {
      if (row.revision !== (this.current(row.kind, row.id)?.revision ?? 0) + 1) {
        throw new BoundaryError('Conflict', `the ${row.kind} row was changed meanwhile`)
      }
    }
    const encoded = encodeRows(rows)
    const record = encodeRecord(fields)
    const taken = rows.map(row => ({ row, digest: rowDigest(row), more: this.#keysMore(row) }))
    const appended = this.journal.append(record, encoded)
    const durable = appended.then(done => {
      for (const { row, digest, more } of taken) {
        this.#take(row, digest, more, done.location)
        count(this.#keysAhead, row.scope, -more)
        const name = nameOf(row.kind, row.id)
        if (this.#ahead.get(name)?.row === row) this.#ahead.delete(name)
      }
      this.#lastWriteSet = done.writeSet
      this.onWriteSet(done.writeSet, encoded)
      return done
    })
    for (const { row, digest, more } of taken) {
      count(this.#keysAhead, row.scope, more)
      const ahead: Ahead = { row, digest, revision: row.revision, deleted: row.body === null, durable }
      this.#ahead.set(nameOf(row.kind, row.id), ahead)
      if (row.kind === 'clock' && row.body !== null) this.#clockOffset = decodeOffset(row.body)
      this.onRow(row, rewritten)
    }
    return durable
  }

  /** The durable state takes a row, by which the keys of customers grow by `more`. */
  #take(row: Row, digest: Buffer, more: number, location: Location): void {
    const entry: Entry = { revision: row.revision, deleted: row.body === null, digest, location }
    this.#index.set(row.kind, row.id, row.link, entry)
    const name = nameOf(row.kind, row.id)
    if (PINNED.has(row.kind)) {
      if (row.body === null) this.#pinned.delete(name)
      else this.#pinned.set(name, ownBytes(row.body))
    }
    count(this.#keys, row.scope, more)
    if (row.kind === 'key') this.#takeKey(row)
  }

  #takeKey(row: Row): void {
    const header = row.body === null ? undefined : readKeyHeader(row.body)
    const before = this.#usesBefore?.give(row.id) ?? []
    const due = header === undefined ? 0 : dueAt(header)
    if (due === 0) this.#due.delete(row.id)
    else this.#due.set(row.id, due)
    if (header === undefined) this.#uses.forget(this.#index.placeOf('key', row.id))
    else if (header.origin === 'EXTERNAL_KEY_STORE') this.#uses.external(this.#index.placeOf('key', row.id))
    if (header === undefined) return
    for (const { step, record, time, seq } of before)
      if (this.#use.read(record))
        this.#uses.take(this.#index.placeOf('key', row.id), step, this.#use, record, time, seq)
  }

  /** Offset of lifecycle time, in milliseconds. */
  get clockOffset(): number {
    return this.#clockOffset
  }

  /** Throws `FormatError`. */
  replay(frame: ReplayedFrame): void {
    checkVersion('a record', frame.record[0] ?? 0, RECORD_VERSION)
    const set: OpenedWriteSet | undefined = frame.writeSet
    // Where the journal's first records were erased, rows that stood there come later, written again.
    if (frame.seq > 0 && this.#index.size === 0) this.#usesBefore ??= new UsesBefore()
    if (frame.writeSetNumber === 0) this.#takeUse(frame.record, frame.seq, frame.time)
    // Whatever of it is still in force stands in a later one too.
    else if (set === undefined) this.#usesBefore ??= new UsesBefore()
    else for (const row of decodeRows(set.rows)) this.#take(row, rowDigest(row), this.#keysMore(row), frame.location)
  }

  /** The durable state, for the journal's snapshot. */
  state(): Buffer {
    // In one piece from the start: a buffer that grows to hundreds of megabytes leaves as many behind.
    const writer = new Writer(SMALL_STATE_BYTES + this.#index.bytes + this.#uses.bytes).u8(FORM)
    this.#index.write(writer)
    writer.u32(this.#pinned.size)
    for (const [name, body] of this.#pinned) writer.string(name).short(body)
    writer.u32(this.#due.size)
    for (const [id, at] of this.#due) writer.string(id).u64(at)
    writer.u32(this.#keys.size)
    for (const [scope, count] of this.#keys) writer.string(scope).u32(count)
    this.#uses.write(writer)
    return writer.done()
  }

  /** Takes the state of a snapshot; false, with nothing changed, where it has another form. */
  restore(state: Buffer): boolean {
    const reader = new Reader(state)
    if (reader.u8() !== FORM) return false
    const index = RowsIndex.read(reader)
    if (index === undefined) return false
    const pinned = new Map<string, Buffer>()
    for (let left = reader.u32(); left > 0; left--) pinned.set(reader.string(), ownBytes(reader.short()))
    const due = new Map<string, number>()
    for (let left = reader.u32(); left > 0; left--) due.set(reader.string(), reader.u64())
    const keys = new Map<string, number>()
    for (let left = reader.u32(); left > 0; left--) keys.set(reader.string(), reader.u32())
    const uses = LastUses.read(reader, index.size)
    reader.end()
    this.#index = index
    this.#keys = keys
    this.#uses = uses
    this.#pinned = pinned
    this.#due = due
    return true
  }
}
