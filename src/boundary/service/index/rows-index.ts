/**
 * The newest revision, digest and journal location of every row that ever was, tombstones included, in memory: about 110 bytes a row, outside the
 * reach of the garbage collector. Open addressing over typed columns; ids lie in one arena, and what they share with that of their key lies there once.
 *
 * Tombstones of `FORGOTTEN_KINDS` give their places, and their ids' bytes, to rows of these kinds that are made later: whoever makes and retires grants
 * without end would fill the memory with them.
 */
import { FormatError, type Reader, type Writer } from '../../bytes.ts'
import { FORGOTTEN_KINDS, ROW_KINDS, type RowKind } from '../../words.ts'
import { Arena } from './arena.ts'
import { type Column, digit, grown, readColumn, writeColumn } from './columns.ts'
import type { Below, Entry, Standing } from './entry.ts'
import { Table } from './table.ts'

const kindNames: RowKind[] = []
for (const kind of Object.keys(ROW_KINDS) as RowKind[]) kindNames[ROW_KINDS[kind].code] = kind
const KEY = ROW_KINDS.key.code
const GRANT = ROW_KINDS.grant.code
/** Kinds whose link is kept: what must be found by the key that it points to. */
const LINKED = new Set<RowKind>(['alias'])
const DIGEST = 32
const EMPTY = Buffer.alloc(0)
const FORM = 2

/** Flags of a row. */
const DELETED = 1
/** Its id is its key's, `#` and 64 hex digits, as a grant's is: the arena has the 32 bytes of the digits, the column of links the place of the key. */
const SHORT = 2
const DIGITS = 64
const SHORT_BYTES = DIGITS / 2
const SEPARATOR = 0x23

export class RowsIndex {
  #count = 0
  #table = new Table()
  #hash = new Uint32Array(512)
  #kind = new Uint8Array(512)
  #flags = new Uint8Array(512)
  #idAt = new Uint32Array(512)
  #idLength = new Uint16Array(512)
  #linkAt = new Uint32Array(512)
  #linkLength = new Uint16Array(512)
  #revision = new Uint32Array(512)
  #segment = new Float64Array(512)
  #offset = new Uint32Array(512)
  #digest = new Uint8Array(512 * DIGEST)
  #arena = new Arena()
  #live = new Float64Array(256)
  /** Places of tombstones to give away, by the bytes that they have in the arena; one that is alive again by then is passed over. */
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
      // One that was forgotten elsewhere (a replay that cannot read its tombstone) comes with revisions from 1 again.
      const forgotten = this.#isDeleted(at) && FORGOTTEN_KINDS.has(kind)
      if (entry.revision <= (this.#revision[at] ?? 0) && !forgotten)
        throw new RangeError(`revision ${entry.revision} of a ${kind} row is not newer`)
      if (!this.#isDeleted(at)) this.#live[code] = (this.#live[code] ?? 0) - 1
    }
    if (!entry.deleted) this.#live[code] = (this.#live[code] ?? 0) + 1
    this.#flags[at] = ((this.#flags[at] ?? 0) & SHORT) | (entry.deleted ? DELETED : 0)
    if (entry.deleted && FORGOTTEN_KINDS.has(kind)) this.#giveAway(at)
    this.#revision[at] = entry.revision
    this.#segment[at] = entry.location.segment
    this.#offset[at] = entry.location.offset
    this.#digest.set(entry.digest, at * DIGEST)
    if (LINKED.has(kind)) this.#setLink(at, entry.deleted ? EMPTY : Buffer.from(link))
  }

  /** Whether the row at a place stands in a segment before this one, and is one that must be read again some day. */
  #isBelow(at: number, segment: number): boolean {
    if ((this.#segment[at] ?? 0) >= segment) return false
    return !(this.#isDeleted(at) && FORGOTTEN_KINDS.has(kindNames[this.#kind[at] ?? 0] as RowKind))
  }

  /** How many rows stand in segments before this one, by its first record. Walks all rows. */
  countBelow(segment: number): number {
    let count = 0
    for (let at = 0; at < this.#count; at++) if (this.#isBelow(at, segment)) count++
    return count
  }

  /** Rows that stand in segments before this one, tombstones included, at most `max` from a place on; and the place to go on from, undefined at the end. */
  below(segment: number, from: number, max: number): Below {
    const rows: Standing[] = []
    let at = from
    for (; at < this.#count && rows.length < max; at++) {
      if (!this.#isBelow(at, segment)) continue
      rows.push({ kind: kindNames[this.#kind[at] ?? 0] as RowKind, id: this.#id(at), entry: this.#entry(at) })
    }
    return { rows, next: at < this.#count ? at : undefined }
  }

  /** Ids of the rows of a kind that point to `link`, tombstones left out. Walks all rows: for what happens seldom. */
  linked(kind: RowKind, link: string): string[] {
    const code = ROW_KINDS[kind].code
    const wanted = Buffer.from(link)
    const found: string[] = []
    for (let at = 0; at < this.#count; at++) {
      if (this.#kind[at] !== code || this.#isDeleted(at) || this.#linkLength[at] !== wanted.length) continue
      if (this.#arena.same(this.#linkAt[at] ?? 0, wanted, 0, wanted.length)) found.push(this.#id(at))
    }
    return found
  }

  /** Ids of the grants of a key, tombstones left out. Walks all rows: for what happens seldom. */
  grantsOf(keyId: string): string[] {
    const key = this.#find(KEY, Buffer.from(keyId))
    const prefix = Buffer.from(`${keyId}#`)
    const found: string[] = []
    for (let at = 0; at < this.#count; at++) {
      if (this.#kind[at] !== GRANT || this.#isDeleted(at)) continue
      const ofKey = this.#isShort(at)
        ? this.#linkAt[at] === key
        : (this.#idLength[at] ?? 0) >= prefix.length && this.#arena.same(this.#idAt[at] ?? 0, prefix, 0, prefix.length)
      if (ofKey) found.push(this.#id(at))
    }
    return found
  }

  /** Ids of a kind above `after`, tombstones left out, in order of their bytes, at most `max`. Walks all rows: for the administrator. */
  list(kind: RowKind, after: string, max: number): string[] {
    const code = ROW_KINDS[kind].code
    const from = Buffer.from(after)
    const found: Buffer[] = []
    for (let at = 0; at < this.#count; at++) {
      if (this.#kind[at] !== code || this.#isDeleted(at)) continue
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
      deleted: this.#isDeleted(at),
      digest: Buffer.from(this.#digest.subarray(at * DIGEST, (at + 1) * DIGEST)),
      location: { segment: this.#segment[at] ?? 0, offset: this.#offset[at] ?? 0 },
    }
  }

  #isDeleted(at: number): boolean {
    return ((this.#flags[at] ?? 0) & DELETED) !== 0
  }

  #isShort(at: number): boolean {
    return ((this.#flags[at] ?? 0) & SHORT) !== 0
  }

  #idBytes(at: number): Buffer {
    const from = this.#idAt[at] ?? 0
    if (!this.#isShort(at)) return this.#arena.view(from, this.#idLength[at] ?? 0)
    const key = this.#idBytes(this.#linkAt[at] ?? 0)
    return Buffer.concat([key, Buffer.from(`#${this.#arena.view(from, SHORT_BYTES).toString('hex')}`)])
  }

  /** Whether the id of a row is these bytes, which are as many as it has. */
  #isId(at: number, bytes: Buffer, begin: number, length: number): boolean {
    const from = this.#idAt[at] ?? 0
    if (!this.#isShort(at)) return this.#arena.same(from, bytes, begin, length)
    const cut = length - DIGITS - 1
    const keyAt = this.#idAt[this.#linkAt[at] ?? 0] ?? 0
    return (
      bytes[begin + cut] === SEPARATOR &&
      this.#arena.sameDigits(from, bytes, begin + cut + 1, DIGITS) &&
      this.#arena.same(keyAt, bytes, begin, cut)
    )
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
    for (let probe = hash; ; probe++) {
      const at = this.#table.at(probe)
      if (at < 0) return -1
      if (this.#hash[at] !== hash || this.#kind[at] !== code || this.#idLength[at] !== length) continue
      if (this.#isId(at, bytes, begin, length)) return at
    }
  }

  #insert(code: number, id: Buffer): number {
    const key = code === GRANT ? this.#keyOfShort(id) : -1
    const free = this.#takeFree(code, key >= 0 ? SHORT_BYTES : id.length)
    const at = free >= 0 ? free : this.#newPlace()
    this.#setId(at, code, id, key, free >= 0 ? this.#idAt[free] : undefined)
    this.#idLength[at] = id.length
    this.#hash[at] = this.#hashOf(code, id, 0, id.length)
    this.#kind[at] = code
    this.#table.add(at, this.#hash[at] ?? 0)
    return at
  }

  #newPlace(): number {
    if (this.#count === this.#kind.length) this.#growColumns(Math.ceil(this.#kind.length * 1.5))
    this.#table.grow(this.#count + 1, this.#hash, this.#count)
    return this.#count++
  }

  /** `key`: the place of the key of a short id, else below 0. `room`: a place in the arena that can be taken. */
  #setId(at: number, code: number, id: Buffer, key: number, room: number | undefined): void {
    if (key >= 0) {
      this.#idAt[at] = this.#arena.keepDigits(id, id.length - DIGITS, DIGITS, room)
      this.#linkAt[at] = key
      this.#flags[at] = SHORT
      return
    }
    // The policy and the attributes of a key have its id: they share its bytes.
    const same = code === KEY || code === GRANT ? -1 : this.#find(KEY, id)
    this.#idAt[at] = same >= 0 ? (this.#idAt[same] ?? 0) : this.#arena.keep(id, room)
    this.#linkAt[at] = 0
    this.#flags[at] = 0
  }

  #giveAway(at: number): void {
    const bytes = this.#isShort(at) ? SHORT_BYTES : (this.#idLength[at] ?? 0)
    const places = this.#free.get(bytes)
    if (places === undefined) this.#free.set(bytes, [at])
    else places.push(at)
  }

  /** A place whose id has so many bytes in the arena, out of the table; below 0 where there is none. */
  #takeFree(code: number, bytes: number): number {
    if (!FORGOTTEN_KINDS.has(kindNames[code] as RowKind)) return -1
    const places = this.#free.get(bytes) ?? []
    for (let at = places.pop(); at !== undefined; at = places.pop()) {
      if (!this.#isDeleted(at)) continue
      this.#table.remove(at, this.#hash)
      return at
    }
    return -1
  }

  /** The place of the key of a grant whose id can be short, else below 0. */
  #keyOfShort(id: Buffer): number {
    const cut = id.length - DIGITS - 1
    if (cut < 1 || id[cut] !== SEPARATOR) return -1
    for (let i = cut + 1; i < id.length; i++) if (digit(id[i] ?? 0) > 15) return -1
    return this.#find(KEY, id, 0, cut)
  }

  #setLink(at: number, link: Buffer): void {
    const from = this.#linkAt[at] ?? 0
    const length = this.#linkLength[at] ?? 0
    if (length === link.length && this.#arena.same(from, link, 0, length)) return
    if (link.length > 0) this.#linkAt[at] = this.#arena.keep(link)
    this.#linkLength[at] = link.length
  }

  #growColumns(length: number): void {
    this.#hash = grown(this.#hash, length)
    this.#kind = grown(this.#kind, length)
    this.#flags = grown(this.#flags, length)
    this.#idAt = grown(this.#idAt, length)
    this.#idLength = grown(this.#idLength, length)
    this.#linkAt = grown(this.#linkAt, length)
    this.#linkLength = grown(this.#linkLength, length)
    this.#revision = grown(this.#revision, length)
    this.#segment = grown(this.#segment, length)
    this.#offset = grown(this.#offset, length)
    this.#digest = grown(this.#digest, length * DIGEST)
  }

  /** Bytes that `write` writes. */
  get bytes(): number {
    const row = this.#columns().reduce((sum, { column, width }) => sum + column.BYTES_PER_ELEMENT * width, 0)
    return 9 + this.#arena.used + this.#count * row
  }

  /** The index for a snapshot: its columns as they lie in memory. See docs/formats/sockets.md, "State of the index". */
  write(writer: Writer): void {
    writer.u8(FORM).u32(this.#count).u32(this.#arena.used)
    this.#arena.write(writer)
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
    index.#arena = Arena.read(reader, reader.u32())
    index.#growColumns(Math.max(512, index.#count))
    for (const { column, width } of index.#columns()) readColumn(reader, column, index.#count * width)
    index.#table.grow(index.#count, index.#hash, 0)
    for (let at = 0; at < index.#count; at++) {
      const code = index.#kind[at] ?? 0
      if (kindNames[code] === undefined || !index.#fits(at))
        throw new FormatError('an index that does not fit together')
      if (!index.#isDeleted(at)) index.#live[code] = (index.#live[code] ?? 0) + 1
      else if (FORGOTTEN_KINDS.has(kindNames[code])) index.#giveAway(at)
      index.#table.add(at, index.#hash[at] ?? 0)
    }
    return index
  }

  /** Whether what a row says of the arena and of its key is there. */
  #fits(at: number): boolean {
    const { used } = this.#arena
    const [flags = 0, from = 0, length = 0, other = 0] = [
      this.#flags[at],
      this.#idAt[at],
      this.#idLength[at],
      this.#linkAt[at],
    ]
    if (flags > (DELETED | SHORT)) return false
    if ((flags & SHORT) === 0) return from + length <= used && other + (this.#linkLength[at] ?? 0) <= used
    const isKey = other < this.#count && this.#kind[other] === KEY
    return (
      isKey &&
      this.#kind[at] === GRANT &&
      from + SHORT_BYTES <= used &&
      length === (this.#idLength[other] ?? 0) + 1 + DIGITS
    )
  }

  /** Every column with the elements that one row takes, in the order of the snapshot. */
  #columns(): { column: Column; width: number }[] {
    return [
      { column: this.#hash, width: 1 },
      { column: this.#kind, width: 1 },
      { column: this.#flags, width: 1 },
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
