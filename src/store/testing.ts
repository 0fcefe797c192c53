/**
 * For unit tests: a store in memory that can be edited behind everyone's back, and what a replica asks of a boundary.
 */
import { createHmac } from 'node:crypto'
import { BoundaryError, FORGOTTEN_KINDS, type Row, type RowKind, type WriteSet } from '../boundary/words.ts'
import { StoreError } from './errors.ts'
import { type CacheLimits, openReplica, type ReplicaBoundary } from './replica.ts'
import { checkNumber, checkPage, checkRow, endOfPrefix } from './rows.ts'
import type { Page, Store } from './types.ts'

const key = (kind: RowKind, id: string) => `${kind} ${id}`

export class MemoryStore implements Store {
  readonly rows = new Map<string, Row>()
  applied = 0
  reads = 0
  closed = false
  /** Thrown by `apply`. */
  broken: Error | undefined

  async appliedUpTo(): Promise<number> {
    this.#open()
    return this.applied
  }

  async apply(sets: readonly WriteSet[]): Promise<void> {
    this.#open()
    if (this.broken) throw this.broken
    let applied = this.applied
    const changed = new Map<string, Row | undefined>()
    for (const { number, rows } of sets) {
      if (number <= applied) continue
      if (number !== applied + 1) throw new StoreError('Gap')
      for (const row of rows) {
        checkRow(row)
        const name = key(row.kind, row.id)
        const stored = changed.has(name) ? changed.get(name) : this.rows.get(name)
        if (stored && stored.revision >= row.revision) throw new StoreError('Conflict')
        changed.set(name, row.body === null && FORGOTTEN_KINDS.has(row.kind) ? undefined : row)
      }
      applied = number
    }
    for (const [name, row] of changed) {
      if (row === undefined) this.rows.delete(name)
      else this.rows.set(name, row)
    }
    this.applied = applied
  }

  async reset(to: number): Promise<void> {
    this.#open()
    checkNumber(to)
    this.rows.clear()
    this.applied = to
  }

  async get(kind: RowKind, id: string): Promise<Row | undefined> {
    this.#open()
    this.reads++
    return this.rows.get(key(kind, id))
  }

  list = async (kind: RowKind, scope: string, page: Page) => this.#page(kind, page, row => row.scope === scope)
  listLinked = async (kind: RowKind, link: string, page: Page) =>
    this.#page(kind, page, row => link !== '' && row.link === link)
  listPrefixed = async (kind: RowKind, prefix: string, page: Page) => {
    const [from, to] = [Buffer.from(prefix), Buffer.from(endOfPrefix(prefix))]
    return this.#page(kind, page, ({ id }) => {
      const bytes = Buffer.from(id)
      return Buffer.compare(bytes, from) > 0 && Buffer.compare(bytes, to) < 0
    })
  }
  listAll = async (kind: RowKind, page: Page) => this.#page(kind, page, () => true)

  #page(kind: RowKind, page: Page, matches: (row: Row) => boolean): Row[] {
    this.#open()
    checkPage(page)
    const bytes = (text: string) => Buffer.from(text)
    return [...this.rows.values()]
      .filter(row => row.kind === kind && row.body !== null && matches(row))
      .filter(row => Buffer.compare(bytes(row.id), bytes(page.after)) > 0)
      .sort((a, b) => Buffer.compare(bytes(a.id), bytes(b.id)))
      .slice(0, page.limit)
  }

  async close(): Promise<void> {
    this.closed = true
  }

  #open(): void {
    if (this.closed) throw new StoreError('Closed')
  }

  /** What somebody who can write the database does. */
  forge(row: Row): void {
    this.rows.set(key(row.kind, row.id), row)
  }

  remove(kind: RowKind, id: string): void {
    this.rows.delete(key(kind, id))
  }
}

/** The truth, and how often it was asked. Secrets are the body's bytes in reverse. */
export class TestBoundary implements ReplicaBoundary {
  readonly sets: WriteSet[] = []
  /** Write sets up to this one are not to be had any more. */
  horizon = 0
  readonly current = new Map<string, Row>()
  checks: number[] = []
  opened = 0
  connected = true
  /** Awaited by `checkRows` and `openSecret` after the answer is made and before it is given: for interleavings. */
  gate: Promise<void> | undefined

  /** Makes rows with the next revisions as one write set. `null` bodies delete. */
  write(...changes: { kind: RowKind; id: string; body: string | null; scope?: string; link?: string }[]): WriteSet {
    const rows = changes.map(({ kind, id, body, scope = 's', link = '' }) => {
      const revision = (this.current.get(key(kind, id))?.revision ?? 0) + 1
      return tagged({ kind, id, scope, link, revision, body: body === null ? null : Buffer.from(body) })
    })
    for (const row of rows) this.current.set(key(row.kind, row.id), row)
    const set = { number: this.sets.length + 1, rows }
    this.sets.push(set)
    return set
  }

  async status() {
    this.#mustBeConnected()
    return { lastWriteSet: this.sets.length } as Awaited<ReturnType<ReplicaBoundary['status']>>
  }

  async writeSets(after: number, max: number) {
    this.#mustBeConnected()
    const from = Math.max(after, this.horizon)
    return { horizon: this.horizon, sets: this.sets.slice(from, from + max) }
  }

  async checkRows(rows: readonly Row[]) {
    this.#mustBeConnected()
    this.checks.push(rows.length)
    const answers = rows.map(row => {
      const current = this.current.get(key(row.kind, row.id))
      return current?.revision === row.revision && encode(current) === encode(row) ? ('ok' as const) : current
    })
    await this.gate
    return answers
  }

  async openSecret(row: Row) {
    this.#mustBeConnected()
    this.opened++
    const current = this.current.get(key(row.kind, row.id))
    if (current?.body === null || current === undefined) throw new BoundaryError('KeyGone')
    if (encode(current) !== encode(row)) throw new BoundaryError('StaleKey', '', current)
    const clear = Buffer.from(current.body).reverse()
    await this.gate
    return clear
  }

  #mustBeConnected(): void {
    if (!this.connected) throw new BoundaryError('Unavailable')
  }
}

function encode({ kind, id, scope, link, revision, body, tag }: Row): string {
  return JSON.stringify([kind, id, scope, link, revision, body?.toString('hex') ?? null, tag.toString('hex')])
}

/** The row with the boundary's tag. */
export function tagged(row: Omit<Row, 'tag'>): Row {
  const text = encode({ ...row, tag: Buffer.alloc(0) })
  return { ...row, tag: createHmac('sha256', 'the boundary alone knows this').update(text).digest() }
}

/** A replica that is caught up, and everything around it. `before` runs before it first asks. */
export async function startReplica(limits: Partial<CacheLimits> = {}, before?: (boundary: TestBoundary) => void) {
  const store = new MemoryStore()
  const boundary = new TestBoundary()
  before?.(boundary)
  const replica = await openReplica({ store, boundary, limits })
  await replica.catchUp()
  /** A transition, as far as the front end sees it. */
  const write = async (...changes: Parameters<TestBoundary['write']>) => replica.onWriteSet(boundary.write(...changes))
  return { store, boundary, replica, write }
}
