/**
 * The bounded cache of rows that the boundary has vouched for, and of ids that are known not to exist. What goes first is the oldest row that was not
 * asked for lately (second chance): a row that is asked for is marked, not moved, because moving touches the memory of its neighbours.
 */
import { hash } from 'node:crypto'
import { rowDigest } from '../../boundary/crypto/rows.ts'
import type { Row, RowKind } from '../../boundary/words.ts'
import { type Held, NO_SLAB, type Slab, Slabs } from './slabs.ts'

/** What a cached row costs beside its bytes, its id included: the object, its place in the map. Measured. */
const OVERHEAD = 240
const SHARED_OVERHEAD = 200
/** Most keys of an account have the policy that it gives to new ones: equal bodies of these kinds lie in memory once. */
const SHARED_KINDS: ReadonlySet<RowKind> = new Set(['policy'])
const MAX_SCOPES = 10_000
const TAG_BYTES = 32
const DIGEST_BYTES = 32

/** A body that several rows have. The object stands for its bytes: what is derived from them can be kept with it. */
class SharedBody implements Held {
  readonly digest: string
  readonly size: number
  slab: Slab = NO_SLAB
  offset = 0
  alive = false
  rows = 0

  constructor(digest: string, size: number) {
    this.digest = digest
    this.size = size
  }
}

/** A row whose bytes lie in a slab. One object for as long as the row does not change. `body`, `digest` and `tag` are accessors: spreading it loses them. */
class CachedRow implements Held {
  readonly kind: RowKind
  readonly id: string
  readonly scope: string
  readonly link: string
  readonly revision: number
  /** Of body, where it is not shared, digest, where there is one, and tag together. */
  readonly size: number
  readonly shared: SharedBody | undefined
  slab: Slab = NO_SLAB
  offset = 0
  alive = false
  /** Asked for since it became the newest: it is spared once when it is the oldest. */
  asked = false
  newer: CachedRow | undefined = undefined
  older: CachedRow | undefined = undefined

  constructor(row: Row, id: string, scope: string, size: number, shared: SharedBody | undefined) {
    this.kind = row.kind
    this.id = id
    this.scope = scope
    this.link = row.link
    this.revision = row.revision
    this.size = size
    this.shared = shared
  }

  get body(): Buffer {
    const { shared } = this
    if (shared !== undefined) return shared.slab.buffer.subarray(shared.offset, shared.offset + shared.size)
    const behind = this.kind === 'key' ? TAG_BYTES + DIGEST_BYTES : TAG_BYTES
    return this.slab.buffer.subarray(this.offset, this.offset + this.size - behind)
  }

  /** Every use of a key names its row by its digest: it lies ready. */
  get digest(): Buffer | undefined {
    if (this.kind !== 'key') return undefined
    const end = this.offset + this.size - TAG_BYTES
    return this.slab.buffer.subarray(end - DIGEST_BYTES, end)
  }

  get tag(): Buffer {
    const end = this.offset + this.size
    return this.slab.buffer.subarray(end - TAG_BYTES, end)
  }
}

export class RowCache {
  readonly #maxBytes: number
  readonly #maxAbsent: number
  readonly #slabs = new Slabs()
  readonly #rows = new Map<RowKind, Map<string, CachedRow>>()
  /** With the revision of the tombstone, or 0. */
  readonly #absent = new Map<RowKind, Map<string, number>>()
  readonly #scopes = new Map<string, string>()
  readonly #shared = new Map<string, SharedBody>()
  #newest: CachedRow | undefined
  #oldest: CachedRow | undefined
  #count = 0

  constructor(maxBytes: number, maxAbsent: number) {
    this.#maxBytes = maxBytes
    this.#maxAbsent = maxAbsent
  }

  get count(): number {
    return this.#count
  }

  /** Memory in use, overhead included. */
  get bytes(): number {
    return this.#slabs.bytes + this.#count * OVERHEAD + this.#shared.size * SHARED_OVERHEAD
  }

  /** The row; null where it is known that there is none; undefined where nothing is known. */
  get(kind: RowKind, id: string): Row | null | undefined {
    const row = this.#rows.get(kind)?.get(id)
    if (row === undefined) return this.#absent.get(kind)?.has(id) ? null : undefined
    row.asked = true
    return row
  }

  /** The revision that is known of a row or its tombstone; 0 where it was never made; undefined where nothing is known. */
  revision(kind: RowKind, id: string): number | undefined {
    return this.#rows.get(kind)?.get(id)?.revision ?? this.#absent.get(kind)?.get(id)
  }

  /** Takes a current row, or a tombstone. Returns it as it is cached: a copy, or null for a tombstone. */
  set(row: Row): Row | null {
    const { kind, id, body } = row
    if (body === null) {
      this.setAbsent(kind, id, row.revision)
      return null
    }
    this.drop(kind, id)
    const shared = SHARED_KINDS.has(kind) ? this.#share(body) : undefined
    const parts = shared === undefined ? [body, row.tag] : [row.tag]
    if (kind === 'key') parts.splice(-1, 0, rowDigest(row))
    const size = parts.reduce((sum, part) => sum + part.length, 0)
    const cached = new CachedRow(row, this.#id(id), this.#scope(row.scope), size, shared)
    this.#slabs.put(cached, parts)
    let rows = this.#rows.get(kind)
    if (rows === undefined) {
      rows = new Map()
      this.#rows.set(kind, rows)
    }
    rows.set(cached.id, cached)
    this.#link(cached)
    this.#count++
    while (this.bytes > this.#maxBytes && this.#oldest && this.#oldest !== cached) this.#age(this.#oldest)
    return cached
  }

  /** Remembers that there is no such row. Bounded per kind; the oldest is forgotten. `revision`: of its tombstone, 0 where it was never made. */
  setAbsent(kind: RowKind, id: string, revision: number): void {
    this.drop(kind, id)
    let absent = this.#absent.get(kind)
    if (absent === undefined) {
      absent = new Map()
      this.#absent.set(kind, absent)
    }
    const first = absent.size >= this.#maxAbsent ? absent.keys().next().value : undefined
    if (first !== undefined) absent.delete(first)
    absent.set(id, revision)
  }

  /** Forgets what is known of the row. */
  drop(kind: RowKind, id: string): void {
    this.#absent.get(kind)?.delete(id)
    const rows = this.#rows.get(kind)
    const row = rows?.get(id)
    if (rows === undefined || row === undefined) return
    rows.delete(id)
    this.#unlink(row)
    this.#slabs.free(row)
    if (row.shared !== undefined && --row.shared.rows === 0) {
      this.#shared.delete(row.shared.digest)
      this.#slabs.free(row.shared)
    }
    this.#count--
  }

  /** The one copy of a body. SHA-256 stands for it: two bodies with one digest nobody can make. */
  #share(body: Buffer): SharedBody {
    const digest = hash('sha256', body, 'base64')
    let shared = this.#shared.get(digest)
    if (shared === undefined) {
      shared = new SharedBody(digest, body.length)
      this.#slabs.put(shared, [body])
      this.#shared.set(digest, shared)
    }
    shared.rows++
    return shared
  }

  /** The oldest row goes, unless it was asked for since it was looked at last: then it is the newest once more. */
  #age(oldest: CachedRow): void {
    if (!oldest.asked) {
      this.drop(oldest.kind, oldest.id)
      return
    }
    oldest.asked = false
    this.#unlink(oldest)
    this.#link(oldest)
  }

  /** The rows of a key have its id: one string for all of them. */
  #id(id: string): string {
    return this.#rows.get('key')?.get(id)?.id ?? this.#rows.get('policy')?.get(id)?.id ?? id
  }

  /** Many rows have few scopes: one string for each. */
  #scope(scope: string): string {
    const known = this.#scopes.get(scope)
    if (known !== undefined) return known
    if (this.#scopes.size >= MAX_SCOPES) this.#scopes.clear()
    this.#scopes.set(scope, scope)
    return scope
  }

  #link(row: CachedRow): void {
    row.older = this.#newest
    row.newer = undefined
    if (this.#newest) this.#newest.newer = row
    this.#newest = row
    this.#oldest ??= row
  }

  #unlink(row: CachedRow): void {
    if (row.newer) row.newer.older = row.older
    else if (this.#newest === row) this.#newest = row.older
    if (row.older) row.older.newer = row.newer
    else if (this.#oldest === row) this.#oldest = row.newer
    row.newer = undefined
    row.older = undefined
  }
}
