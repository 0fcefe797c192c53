/**
 * The newest revision, digest and journal location of every row that ever was, tombstones included, in memory: about 120 bytes a row, outside the
 * reach of the garbage collector. Open addressing over typed columns; ids lie in one arena, shared by the rows of one key.
 *
 * Tombstones of `FORGOTTEN_KINDS` give their places, and their ids' bytes, to rows of these kinds that are made later: whoever makes and retires grants
 * without end would fill the memory with them.
 */
import { FormatError, type Reader, type Writer } from '../../bytes.ts'
import type { Location } from '../../journal/types.ts'
import { FORGOTTEN_KINDS, ROW_KINDS, type RowKind } from '../../words.ts'
import { type Column, grown, readColumn, sameBytes, writeColumn } from './columns.ts'

/** Where a row stands now. */
export interface Entry {
  readonly revision: number
  readonly deleted: boolean
  /** SHA-256 of the row's canonical bytes: 32 bytes, a copy. */
  readonly digest: Buffer
  readonly location: Location
}

const kindNames: RowKind[] = []
for (const kind of Object.keys(ROW_KINDS) as RowKind[]) kindNames[ROW_KINDS[kind].code] = kind
const KEY = ROW_KINDS.key.code
/** Kinds whose link is kept: what must be found by the key that it points to. */
const LINKED = new Set<RowKind>(['alias'])
const DIGEST = 32
const EMPTY = Buffer.alloc(0)
const FORM = 1

export class RowsIndex {
  #count = 0
  #table = new Uint32Array(1024)
  #hash = new Uint32Array(512)
  #kind = new Uint8Array(512)
  #deleted = new Uint8Array(512)
  #idAt = new Uint32Array(512)
  #idLength = new Uint16Array(512)
  #linkAt = new Uint32Array(512)
  #linkLength = new Uint16Array(512)
  #revision = new Uint32Array(512)
  #segment = new Float64Array(512)
  #offset = new Uint32Array(512)
  #digest = new Uint8Array(512 * DIGEST)
  #arena = Buffer.allocUnsafeSlow(1 << 16)
  #used = 0
  #live = new Float64Array(256)
  /** Places of tombstones to give away, by the length of their ids; one that is alive again by then is passed over. */
  readonly #free = new Map<number, number[]>()

  /** Rows that are kept, tombstones included. */
  get size(): number {
    return this.#count
  }

  /** Rows of a kind that are not deleted. */
  live(kind: RowKind): number {
    return this.#live[ROW_KINDS[kind].code] ?? 0
  }

  get(kind: RowKind, id: string): Entry | undefined {
    const at = this.#find(ROW_KINDS[kind].code, Buffer.from(id))
    return at < 0 ? undefined : this.#entry(at)
  }

  /** The place of a row, which never changes while it is kept: what else is kept of keys is kept by it. Below 0 where there is no such row. */
  placeOf(kind: RowKind, id: string): number {
    return this.#find(ROW_KINDS[kind].code, Buffer.from(id))
  }

  /** The same of a key, whose id is `length` bytes from `begin`: nothing is allocated. */
  placeOfKey(bytes: Buffer, begin: number, length: number): number {
    return this.#find(KEY, bytes, begin, length)
  }

  /** Takes a newer revision of a row. Throws where it is not newer: the journal cannot say so. */
  set(kind: RowKind, id: string, link: string, entry: Entry): void {
    const code = ROW_KINDS[kind].code
    const idBytes = Buffer.from(id)
    let at = this.#find(code, idBytes)
    if (at < 0) at = this.#insert(code, idBytes)
    else {
      if (entry.revision <= (this.#revision[at] ?? 0))
        throw new RangeError(`revision ${entry.revision} of a ${kind} row is not newer`)
      if (this.#deleted[at] === 0) this.#live[code] = (this.#live[code] ?? 0) - 1
    }
    if (!entry.deleted) this.#live[code] = (this.#live[code] ?? 0) + 1
    this.#deleted[at] = entry.deleted ? 1 : 0
    if (entry.deleted && FORGOTTEN_KINDS.has(kind)) this.#giveAway(at)
    this.#revision[at] = entry.revision
    this.#segment[at] = entry.location.segment
    this.#offset[at] = entry.location.offset
    this.#digest.set(entry.digest, at * DIGEST)
    if (LINKED.has(kind)) this.#setLink(at, entry.deleted ? EMPTY : Buffer.from(link))
  }

  /** Ids of the rows of a kind that point to `link`, tombstones left out. Walks all rows: for what happens seldom. */
  linked(kind: RowKind, link: string): string[] {
    const code = ROW_KINDS[kind].code
    const wanted = Buffer.from(link)
    const found: string[] = []
    for (let at = 0; at < this.#count; at++) {
      if (this.#kind[at] !== code || this.#deleted[at] === 1 || this.#linkLength[at] !== wanted.length) continue
      const from = this.#linkAt[at] ?? 0
      if (this.#arena.compare(wanted, 0, wanted.length, from, from + wanted.length) === 0) found.push(this.#id(at))
    }
    return found
  }

  /** Ids of the rows of a kind that begin with `prefix`, tombstones left out. Walks all rows: for what happens seldom. */
  startingWith(kind: RowKind, prefix: string): string[] {
    const code = ROW_KINDS[kind].code
    const wanted = Buffer.from(prefix)
    const last = wanted[wanted.length - 1]
    const before = wanted[wanted.length - 2]
    const found: string[] = []
    for (let at = 0; at < this.#count; at++) {
      if (this.#kind[at] !== code || this.#deleted[at] === 1 || (this.#idLength[at] ?? 0) < wanted.length) continue
      const from = this.#idAt[at] ?? 0
      const end = from + wanted.length
      // Most rows differ here already: among a million, comparing whole prefixes would be felt.
      if (this.#arena[end - 1] !== last || this.#arena[end - 2] !== before) continue
      if (this.#arena.compare(wanted, 0, wanted.length, from, end) === 0) found.push(this.#id(at))
    }
    return found
  }

  /** Ids of a kind above `after`, tombstones left out, in order of their bytes, at most `max`. Walks all rows: for the administrator. */
  list(kind: RowKind, after: string, max: number): string[] {
    const code = ROW_KINDS[kind].code
    const from = Buffer.from(after)
    const found: Buffer[] = []
    for (let at = 0; at < this.#count; at++) {
      if (this.#kind[at] !== code || this.#deleted[at] === 1) continue
      const id = this.#idBytes(at)
      if (Buffer.compare(id, from) > 0) found.push(id)
    }
    return found
      .sort(Buffer.compare)
      .slice(0, max)
      .map(id => id.toString('utf8'))
  }

  #entry(at: number): Entry {
    return {
      revision: this.#revision[at] ?? 0,
      deleted: this.#deleted[at] === 1,
      digest: Buffer.from(this.#digest.subarray(at * DIGEST, (at + 1) * DIGEST)),
      location: { segment: this.#segment[at] ?? 0, offset: this.#offset[at] ?? 0 },
    }
  }

  #idBytes(at: number): Buffer {
    const from = this.#idAt[at] ?? 0
    return this.#arena.subarray(from, from + (this.#idLength[at] ?? 0))
  }

  #id(at: number): string {
    return this.#idBytes(at).toString('utf8')
  }

  /** FNV-1a: ids are made by the boundary's own side, and a flood of collisions costs its maker's time only. */
  #hashOf(code: number, bytes: Buffer, begin: number, length: number): number {
    let hash = (0x811c9dc5 ^ code) >>> 0
    const end = begin + length
    for (let i = begin; i < end; i++) hash = Math.imul(hash ^ (bytes[i] ?? 0), 0x01000193)
    hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d)
    return (hash ^ (hash >>> 13)) >>> 0
  }

  /** The id is `length` bytes from `begin`. */
  #find(code: number, bytes: Buffer, begin = 0, length = bytes.length): number {
    const hash = this.#hashOf(code, bytes, begin, length)
    const mask = this.#table.length - 1
    for (let probe = hash & mask; ; probe = (probe + 1) & mask) {
      const at = (this.#table[probe] ?? 0) - 1
      if (at < 0) return -1
      if (this.#hash[at] !== hash || this.#kind[at] !== code || this.#idLength[at] !== length) continue
      if (sameBytes(this.#arena, this.#idAt[at] ?? 0, bytes, begin, length)) return at
    }
  }

  #insert(code: number, id: Buffer): number {
    const forgotten = FORGOTTEN_KINDS.has(kindNames[code] as RowKind)
    const free = forgotten ? this.#takeFree(id.length) : -1
    if (free >= 0) {
      id.copy(this.#arena, this.#idAt[free])
      this.#hash[free] = this.#hashOf(code, id, 0, id.length)
      this.#kind[free] = code
      this.#link(free)
      return free
    }
    if (this.#count === this.#kind.length) this.#growColumns(Math.ceil(this.#kind.length * 1.5))
    if ((this.#count + 1) * 2 > this.#table.length) this.#growTable()
    const at = this.#count++
    const hash = this.#hashOf(code, id, 0, id.length)
    // The policy and the attributes of a key have its id: they share its bytes. What is to give its bytes away has its own.
    const key = code === KEY || forgotten ? -1 : this.#find(KEY, id)
    this.#idAt[at] = key >= 0 ? (this.#idAt[key] ?? 0) : this.#keep(id)
    this.#idLength[at] = id.length
    this.#hash[at] = hash
    this.#kind[at] = code
    this.#link(at)
    return at
  }

  #giveAway(at: number): void {
    const length = this.#idLength[at] ?? 0
    const places = this.#free.get(length)
    if (places === undefined) this.#free.set(length, [at])
    else places.push(at)
  }

  /** A place for an id of this length, out of the table, its bytes in the arena too; below 0 where there is none. */
  #takeFree(length: number): number {
    const places = this.#free.get(length) ?? []
    for (let at = places.pop(); at !== undefined; at = places.pop()) {
      if (this.#deleted[at] === 0) continue
      this.#unlink(at)
      return at
    }
    return -1
  }

  /** Takes a row out of the table; those behind it that were pushed aside move up (Knuth, TAOCP vol. 3, §6.4, algorithm R). */
  #unlink(at: number): void {
    const mask = this.#table.length - 1
    let hole = (this.#hash[at] ?? 0) & mask
    while (this.#table[hole] !== at + 1) hole = (hole + 1) & mask
    for (let next = (hole + 1) & mask; this.#table[next] !== 0; next = (next + 1) & mask) {
      const other = (this.#table[next] ?? 0) - 1
      const home = (this.#hash[other] ?? 0) & mask
      if (((next - home) & mask) < ((next - hole) & mask)) continue
      this.#table[hole] = other + 1
      hole = next
    }
    this.#table[hole] = 0
  }

  #link(at: number): void {
    const mask = this.#table.length - 1
    let probe = (this.#hash[at] ?? 0) & mask
    while (this.#table[probe] !== 0) probe = (probe + 1) & mask
    this.#table[probe] = at + 1
  }

  #setLink(at: number, link: Buffer): void {
    const from = this.#linkAt[at] ?? 0
    const length = this.#linkLength[at] ?? 0
    if (length === link.length && this.#arena.compare(link, 0, link.length, from, from + length) === 0) return
    if (link.length > 0) this.#linkAt[at] = this.#keep(link)
    this.#linkLength[at] = link.length
  }

  #keep(bytes: Buffer): number {
    const needed = this.#used + bytes.length
    if (needed > 0xffff_ffff) throw new RangeError('the index holds 4 GiB of ids')
    if (needed > this.#arena.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(needed, Math.ceil(this.#arena.length * 1.5)))
      this.#arena.copy(larger, 0, 0, this.#used)
      this.#arena = larger
    }
    bytes.copy(this.#arena, this.#used)
    const at = this.#used
    this.#used = needed
    return at
  }

  #growColumns(length: number): void {
    this.#hash = grown(this.#hash, length)
    this.#kind = grown(this.#kind, length)
    this.#deleted = grown(this.#deleted, length)
    this.#idAt = grown(this.#idAt, length)
    this.#idLength = grown(this.#idLength, length)
    this.#linkAt = grown(this.#linkAt, length)
    this.#linkLength = grown(this.#linkLength, length)
    this.#revision = grown(this.#revision, length)
    this.#segment = grown(this.#segment, length)
    this.#offset = grown(this.#offset, length)
    this.#digest = grown(this.#digest, length * DIGEST)
  }

  #growTable(): void {
    this.#table = new Uint32Array(this.#table.length * 2)
    for (let at = 0; at < this.#count; at++) this.#link(at)
  }

  /** The index for a snapshot: its columns as they lie in memory. See docs/formats/sockets.md, "State of the index". */
  write(writer: Writer): void {
    writer.u8(FORM).u32(this.#count).u32(this.#used).raw(this.#arena.subarray(0, this.#used))
    for (const { column, width } of this.#columns()) writeColumn(writer, column, this.#count * width)
  }

  /**
   * An index from the bytes of a snapshot, which the journal has authenticated; undefined where they have another form. Throws `FormatError` for
   * what does not fit together.
   */
  static read(reader: Reader): RowsIndex | undefined {
    if (reader.u8() !== FORM) return undefined
    const index = new RowsIndex()
    index.#count = reader.u32()
    index.#used = reader.u32()
    index.#arena = Buffer.allocUnsafeSlow(Math.max(1 << 16, index.#used))
    reader.raw(index.#used).copy(index.#arena)
    const room = Math.max(512, index.#count)
    index.#growColumns(room)
    for (const { column, width } of index.#columns()) readColumn(reader, column, index.#count * width)
    let length = 1024
    while (length < index.#count * 2) length *= 2
    index.#table = new Uint32Array(length)
    for (let at = 0; at < index.#count; at++) {
      const code = index.#kind[at] ?? 0
      const ends = Math.max(
        (index.#idAt[at] ?? 0) + (index.#idLength[at] ?? 0),
        (index.#linkAt[at] ?? 0) + (index.#linkLength[at] ?? 0),
      )
      if (kindNames[code] === undefined || ends > index.#used)
        throw new FormatError('an index that does not fit together')
      if (index.#deleted[at] === 0) index.#live[code] = (index.#live[code] ?? 0) + 1
      else if (FORGOTTEN_KINDS.has(kindNames[code])) index.#giveAway(at)
      index.#link(at)
    }
    return index
  }

  /** Every column with the elements that one row takes, in the order of the snapshot. */
  #columns(): { column: Column; width: number }[] {
    return [
      { column: this.#hash, width: 1 },
      { column: this.#kind, width: 1 },
      { column: this.#deleted, width: 1 },
      { column: this.#idAt, width: 1 },
      { column: this.#idLength, width: 1 },
      { column: this.#linkAt, width: 1 },
      { column: this.#linkLength, width: 1 },
      { column: this.#revision, width: 1 },
      { column: this.#segment, width: 1 },
      { column: this.#offset, width: 1 },
      { column: this.#digest, width: DIGEST },
    ]
  }
}
