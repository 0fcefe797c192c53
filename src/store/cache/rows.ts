/**
 * The bounded cache of rows that the boundary has vouched for, and of ids that are known not to exist. What goes first is the oldest row that was not
 * asked for lately (second chance): a row that is asked for is marked, not moved, because moving touches the memory of its neighbours.
 */
import { hash } from 'node:crypto'
import { rowDigest } from '../../boundary/crypto/rows.ts'
import type { Row, RowKind } from '../../boundary/words.ts'
import { BesideKey, CachedKey, CachedRow, SharedBody } from './cached-row.ts'
import { Slabs } from './slabs.ts'

/** What a cached row costs beside its bytes, its id included: the object, its place in the map. Measured. */
const OVERHEAD = 240
/** The same of a row that lies beside that of its key. */
const BESIDE_OVERHEAD = 120
const SHARED_OVERHEAD = 200
/** Most keys of an account have the policy that it gives to new ones: equal bodies of these kinds lie in memory once. */
const SHARED_KINDS: ReadonlySet<RowKind> = new Set(['policy'])
const MAX_SCOPES = 10_000

export class RowCache {
  readonly #maxBytes: number
  readonly #maxAbsent: number
  readonly #slabs = new Slabs()
  readonly #rows = new Map<RowKind, Map<string, CachedRow>>()
  readonly #keys = new Map<string, CachedKey>()
  /** With the revision of the tombstone, or 0. */
  readonly #absent = new Map<RowKind, Map<string, number>>()
  readonly #scopes = new Map<string, string>()
  readonly #shared = new Map<string, SharedBody>()
  #newest: CachedRow | undefined
  #oldest: CachedRow | undefined
  #count = 0
  #besideKeys = 0

  constructor(maxBytes: number, maxAbsent: number) {
    this.#maxBytes = maxBytes
    this.#maxAbsent = maxAbsent
  }

  get count(): number {
    return this.#count
  }

  /** Memory in use, overhead included. */
  get bytes(): number {
    const own = this.#count - this.#besideKeys
    const objects = own * OVERHEAD + this.#besideKeys * BESIDE_OVERHEAD + this.#shared.size * SHARED_OVERHEAD
    return this.#slabs.bytes + objects
  }

  /** The row; null where it is known that there is none; undefined where nothing is known. */
  get(kind: RowKind, id: string): Row | null | undefined {
    const row = this.#find(kind, id)
    if (row === undefined) return this.#absent.get(kind)?.has(id) ? null : undefined
    if (row instanceof BesideKey) row.key.asked = true
    else row.asked = true
    return row
  }

  #find(kind: RowKind, id: string): CachedRow | BesideKey | undefined {
    if (kind === 'policy' || kind === 'attributes') {
      const beside = this.#keys.get(id)?.[kind]
      if (beside !== undefined) return beside
    }
    return this.#mapOf(kind)?.get(id)
  }

  #mapOf(kind: RowKind): Map<string, CachedRow> | undefined {
    return kind === 'key' ? this.#keys : this.#rows.get(kind)
  }

  /** The revision that is known of a row or its tombstone; 0 where it was never made; undefined where nothing is known. */
  revision(kind: RowKind, id: string): number | undefined {
    return this.#find(kind, id)?.revision ?? this.#absent.get(kind)?.get(id)
  }

  /** Takes a current row, or a tombstone. Returns it as it is cached: a copy, or null for a tombstone. */
  set(row: Row): Row | null {
    const { kind, id, body } = row
    if (body === null) {
      this.setAbsent(kind, id, row.revision)
      return null
    }
    if (kind === 'policy' || kind === 'attributes') {
      const key = this.#keys.get(id)
      if (key !== undefined && row.scope === key.scope && row.link === '') return this.#setBeside(row, body, key, kind)
    }
    const digest = kind === 'key' ? [rowDigest(row)] : []
    const before = kind === 'key' ? this.#keys.get(id)?.release(row.scope) : undefined
    this.drop(kind, id)
    const shared = SHARED_KINDS.has(kind) ? this.#share(body) : undefined
    const parts = shared === undefined ? [body, ...digest, row.tag] : [row.tag]
    const place = { id: this.#id(id), scope: this.#scope(row.scope), size: sizeOf(parts) }
    const cached = kind === 'key' ? new CachedKey(row, place, before) : new CachedRow(row, place, shared)
    this.#slabs.put(cached, parts)
    if (cached instanceof CachedKey) this.#keys.set(cached.id, cached)
    else this.#insert(cached)
    this.#link(cached)
    this.#count++
    this.#makeRoom(cached)
    return cached
  }

  #setBeside(row: Row, body: Buffer, key: CachedKey, kind: 'policy' | 'attributes'): Row {
    this.drop(kind, row.id)
    const shared = kind === 'policy' ? this.#share(body) : undefined
    const parts = shared === undefined ? [body, row.tag] : [row.tag]
    const cached = new BesideKey(key, row.revision, sizeOf(parts), shared)
    this.#slabs.put(cached, parts)
    key[kind] = cached
    this.#count++
    this.#besideKeys++
    this.#makeRoom(key)
    return cached
  }

  #insert(row: CachedRow): void {
    const rows = this.#rows.get(row.kind)
    if (rows === undefined) this.#rows.set(row.kind, new Map([[row.id, row]]))
    else rows.set(row.id, row)
  }

  #makeRoom(spared: CachedRow): void {
    while (this.bytes > this.#maxBytes && this.#oldest && this.#oldest !== spared) this.#age(this.#oldest)
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

  /** Forgets what is known of the row; of a key also what lies beside it. */
  drop(kind: RowKind, id: string): void {
    this.#absent.get(kind)?.delete(id)
    const row = this.#find(kind, id)
    if (row === undefined) return
    if (row instanceof BesideKey) {
      row.key[row.kind] = undefined
      this.#besideKeys--
    } else {
      for (const beside of row instanceof CachedKey ? [row.policy, row.attributes] : [])
        if (beside !== undefined) this.drop(beside.kind, id)
      this.#mapOf(kind)?.delete(id)
      this.#unlink(row)
    }
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
    return this.#keys.get(id)?.id ?? this.#rows.get('policy')?.get(id)?.id ?? id
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

const sizeOf = (parts: readonly Uint8Array[]): number => parts.reduce((sum, part) => sum + part.length, 0)
