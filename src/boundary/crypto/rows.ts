/**
 * Rows of the store: canonical encoding, digest, the boundary's tag, secret rows, and lists of rows. See docs/formats/rows.md.
 */
import { createHmac, hash, timingSafeEqual } from 'node:crypto'
import { checkVersion, FormatError, Reader, Writer } from '../bytes.ts'
import type { Keyring } from '../root/keyring.ts'
import { BoundaryError, ROW_KINDS, type Row, type RowKind } from '../words.ts'
import { openBox, sealBox } from './box.ts'
import type { RandomOption } from './random.ts'

const VERSION = 1
const TAG_BYTES = 32
const MAX_ID_BYTES = 512

const kindByCode = new Map<number, RowKind>(
  Object.entries(ROW_KINDS).map(([kind, spec]) => [spec.code, kind as RowKind]),
)

/** All of a row but its tag: what the tag is computed over. */
function encodeUntagged(writer: Writer, row: Omit<Row, 'tag'>): Writer {
  if (row.id === '' || Buffer.byteLength(row.id) > MAX_ID_BYTES)
    throw new RangeError(`a row id is 1 to ${MAX_ID_BYTES} bytes`)
  writer.u8(VERSION).u8(ROW_KINDS[row.kind].code).string(row.id).string(row.scope).string(row.link).u64(row.revision)
  return row.body === null ? writer.u8(0) : writer.u8(1).long(row.body)
}

/** Canonical bytes of a row, its tag included. */
export function encodeRow(row: Row): Buffer {
  if (row.tag.length !== TAG_BYTES) throw new RangeError(`a row's tag is ${TAG_BYTES} bytes`)
  return encodeUntagged(new Writer(128 + (row.body?.length ?? 0)), row)
    .raw(row.tag)
    .done()
}

/** Strict; throws `FormatError`. The body is a view of the input. */
export function decodeRow(bytes: Buffer): Row {
  const reader = new Reader(bytes)
  const row = readRow(reader)
  reader.end()
  return row
}

function readRow(reader: Reader): Row {
  checkVersion('a row', reader.u8(), VERSION)
  const kind = kindByCode.get(reader.u8())
  if (kind === undefined) throw new FormatError('a row of unknown kind')
  const id = reader.string()
  if (id === '' || Buffer.byteLength(id) > MAX_ID_BYTES) throw new FormatError('a row id of impossible length')
  const scope = reader.string()
  const link = reader.string()
  const revision = reader.u64()
  const present = reader.u8()
  if (present > 1) throw new FormatError('a row is present or a tombstone')
  const body = present === 1 ? reader.long() : null
  return { kind, id, scope, link, revision, body, tag: reader.raw(TAG_BYTES) }
}

/** SHA-256 over `encodeRow(row)`: what the boundary keeps of the newest revision. 32 bytes. */
export function rowDigest(row: Row): Buffer {
  return hash('sha256', encodeRow(row), 'buffer')
}

function tagOf(keyring: Keyring, row: Omit<Row, 'tag'>, generation: number): Buffer {
  const bytes = encodeUntagged(new Writer(128 + (row.body?.length ?? 0)), row).done()
  return createHmac('sha256', keyring.key('row-tag', generation)).update(bytes).digest()
}

/** The row with its tag, under the keyring's current generation. */
export function tagRow(keyring: Keyring, row: Omit<Row, 'tag'>): Row {
  return { ...row, tag: tagOf(keyring, row, keyring.current) }
}

/** Whether the tag is this boundary's, under any generation of the keyring. Constant time per generation. */
export function checkRowTag(keyring: Keyring, row: Row): boolean {
  if (row.tag.length !== TAG_BYTES) return false
  return keyring.generations.some(generation => timingSafeEqual(tagOf(keyring, row, generation), row.tag))
}

/** What a secret is bound to: it opens as the same row at the same revision and as nothing else. */
function secretAad(kind: RowKind, id: string, revision: number): Buffer {
  return new Writer().u8(ROW_KINDS[kind].code).string(id).u64(revision).done()
}

/** The body of a row of protection `secret`. */
export function sealSecret(
  keyring: Keyring,
  kind: RowKind,
  id: string,
  revision: number,
  clear: Buffer,
  options?: RandomOption,
): Buffer {
  return sealBox(keyring, 'secret', secretAad(kind, id, revision), clear, options)
}

/** Throws `BoundaryError` Internal where the body was not sealed by this boundary for this kind, id and revision. */
export function openSecret(keyring: Keyring, row: Pick<Row, 'kind' | 'id' | 'revision' | 'body'>): Buffer {
  try {
    if (row.body === null) throw new FormatError('a tombstone has no secret')
    return openBox(keyring, 'secret', secretAad(row.kind, row.id, row.revision), row.body)
  } catch {
    throw new BoundaryError('Internal', 'a secret row does not open')
  }
}

/** The rows of a write set, or any list of rows. */
export function encodeRows(rows: readonly Row[]): Buffer {
  const writer = new Writer(1024).u8(VERSION).u32(rows.length)
  for (const row of rows) writer.raw(encodeRow(row))
  return writer.done()
}

/** Strict; throws `FormatError`. Bodies are views of the input. */
export function decodeRows(bytes: Buffer): Row[] {
  const reader = new Reader(bytes)
  checkVersion('a list of rows', reader.u8(), VERSION)
  const count = reader.u32()
  // A row is at least 51 bytes: a count that cannot be true is refused before anything is made of it.
  if (count * 51 > reader.left) throw new FormatError('more rows announced than there are bytes')
  const rows: Row[] = []
  for (let index = 0; index < count; index++) rows.push(readRow(reader))
  reader.end()
  return rows
}
