/**
 * The bytes of a record of the log, by the tables of record-fields.ts. What is no field of theirs is not looked at. See docs/formats/record.md.
 */
import { isAscii, isUtf8 } from 'node:buffer'
import { checkVersion, FormatError, Reader } from './bytes.ts'
import {
  type DecodedRecord,
  type EncodedAsserted,
  OWN_FIELDS,
  type OwnField,
  type OwnSpec,
  type RecordFields,
  type RowChange,
} from './record-fields.ts'
import { ASSERTED_FIELDS, type Asserted, type AssertedField, ROW_KINDS, type RowKind } from './words.ts'

export const RECORD_VERSION = 0x20

const byCode = (a: readonly [string, { code: number }], b: readonly [string, { code: number }]) => a[1].code - b[1].code
const assertedList = (Object.entries(ASSERTED_FIELDS) as Array<[AssertedField, { code: number; max: number }]>).sort(
  byCode,
)
const ownList = (Object.entries(OWN_FIELDS) as Array<[OwnField, OwnSpec]>).sort(byCode)
const assertedByCode: ({ name: AssertedField; max: number } | undefined)[] = []
for (const [name, { code, max }] of assertedList) assertedByCode[code] = { name, max }
const ownByCode = new Map(ownList.map(([name, spec]) => [spec.code, { name, spec }]))
const FIRST_OWN = 64
const kindByCode = new Map<number, RowKind>(
  Object.entries(ROW_KINDS).map(([kind, spec]) => [spec.code, kind as RowKind]),
)

/** Code of a record's boundary operation, found without reading the rest; undefined where it has none. */
export function operationCode(record: Buffer): number | undefined {
  const { code } = OWN_FIELDS.boundaryOperation
  for (let at = 1; at + 3 < record.length; at += 3 + record.readUInt16BE(at + 1))
    if ((record[at] ?? 0) >= code) return record[at] === code ? record[at + 3] : undefined
  return undefined
}

/** What the log takes as one record. */
const MAX_RECORD_BYTES = 0x1_0000
/** One record is encoded at a time, into this, which all fields at their longest fit; what is returned is a copy of its size. */
const scratch = Buffer.allocUnsafeSlow(4 * MAX_RECORD_BYTES)

function putHead(at: number, code: number, length: number): void {
  scratch[at] = code
  scratch[at + 1] = length >>> 8
  scratch[at + 2] = length & 0xff
}

function putString(at: number, name: string, code: number, text: string, max: number): number {
  // UTF-8 takes at most three bytes a unit of UTF-16: measure only what could be too long.
  if (text.length * 3 > max && Buffer.byteLength(text) > max)
    throw new RangeError(`${name} is longer than ${max} bytes`)
  const length = scratch.write(text, at + 3)
  putHead(at, code, length)
  return at + 3 + length
}

function putBytes(at: number, code: number, bytes: Uint8Array): number {
  putHead(at, code, bytes.length)
  scratch.set(bytes, at + 3)
  return at + 3 + bytes.length
}

function putNumber(at: number, name: string, code: number, value: number): number {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`${name} must be a non-negative safe integer`)
  putHead(at, code, 8)
  scratch.writeUInt32BE(Math.floor(value / 0x1_0000_0000), at + 3)
  scratch.writeUInt32BE(value >>> 0, at + 7)
  return at + 11
}

function putChanges(at: number, code: number, changes: readonly RowChange[]): number {
  let end = at + 5
  for (const change of changes) {
    // 523: a kind, a length, the longest id and a revision. A value may be 65535 bytes, so the last change must begin 523 before that.
    if (end - at - 3 > 0xffff - 523) throw new RangeError('more changes than a record can hold')
    if (Buffer.byteLength(change.id) > 512) throw new RangeError('the id of a change is longer than 512 bytes')
    scratch[end] = ROW_KINDS[change.kind].code
    const length = scratch.write(change.id, end + 3)
    scratch.writeUInt16BE(length, end + 1)
    end += 3 + length
    if (!Number.isSafeInteger(change.revision) || change.revision < 0) throw new RangeError('revision out of range')
    scratch.writeUInt32BE(Math.floor(change.revision / 0x1_0000_0000), end)
    scratch.writeUInt32BE(change.revision >>> 0, end + 4)
    end += 8
  }
  putHead(at, code, end - at - 3)
  scratch.writeUInt16BE(changes.length, at + 3)
  return end
}

function putAsserted(from: number, asserted: Asserted): number {
  let at = from
  for (let i = 0; i < assertedList.length; i++) {
    const [name, spec] = assertedList[i] as (typeof assertedList)[number]
    const value = asserted[name]
    if (value === undefined || value === '') continue
    if (typeof value !== 'string') throw new TypeError(`${name} must be a string`)
    at = putString(at, name, spec.code, value, spec.max)
  }
  return at
}

function putOwn(at: number, name: OwnField, spec: OwnSpec, value: unknown): number {
  switch (spec.type) {
    case 'code': {
      const code = Object.hasOwn(spec.codes, value as string) ? spec.codes[value as string] : undefined
      if (code === undefined) throw new RangeError(`${name} has no such code`)
      putHead(at, spec.code, 1)
      scratch[at + 3] = code
      return at + 4
    }
    case 'string':
      if (typeof value !== 'string') throw new TypeError(`${name} must be a string`)
      return value === '' ? at : putString(at, name, spec.code, value, spec.max)
    case 'bytes':
      if (!(value instanceof Uint8Array)) throw new TypeError(`${name} must be bytes`)
      if (value.length < spec.min || value.length > spec.max) throw new RangeError(`${name} has the wrong length`)
      return putBytes(at, spec.code, value)
    case 'u64':
      return putNumber(at, name, spec.code, value as number)
    case 'changes':
      return putChanges(at, spec.code, value as readonly RowChange[])
  }
}

/** The asserted fields alone, as they travel on the sockets and stand in a record. Throws `RangeError` for a field longer than its `max`. */
export function encodeAsserted(asserted: Asserted): EncodedAsserted {
  const end = putAsserted(0, asserted)
  return Buffer.from(scratch.subarray(0, end)) as EncodedAsserted
}

/** Walks asserted fields without decoding them: known codes, rising, not empty, within `max`, UTF-8. Throws `FormatError`; returns the same bytes. */
export function checkAsserted(bytes: Buffer): EncodedAsserted {
  if (!isAscii(bytes)) {
    let last = 0
    const reader = new Reader(bytes)
    while (reader.left > 0) last = readAssertedField(reader, last, undefined)
    return bytes as EncodedAsserted
  }
  // Every request brings these, and nearly always in ASCII: then nothing needs to be cut out to be looked at.
  const end = bytes.length
  for (let at = 0, last = 0; at < end; ) {
    if (end - at < 3) throw new FormatError('asserted fields cut short')
    const code = bytes[at] as number
    const length = ((bytes[at + 1] as number) << 8) | (bytes[at + 2] as number)
    checkAssertedField(code, last, length)
    if (length > end - at - 3) throw new FormatError('asserted fields cut short')
    last = code
    at += 3 + length
  }
  return bytes as EncodedAsserted
}

/** Code and length of one field; returns what the tables say of it. */
function checkAssertedField(code: number, last: number, length: number): { name: AssertedField; max: number } {
  if (code <= last) throw new FormatError('fields out of order')
  const spec = assertedByCode[code]
  if (spec === undefined) throw new FormatError(`no asserted field has code ${code}`)
  if (length === 0 || length > spec.max) throw new FormatError(`${spec.name} has the wrong length`)
  return spec
}

export function decodeAsserted(bytes: Buffer): Asserted {
  const asserted: Record<string, string> = {}
  let last = 0
  const reader = new Reader(bytes)
  while (reader.left > 0) last = readAssertedField(reader, last, asserted)
  return asserted
}

function readAssertedField(reader: Reader, last: number, into: Record<string, string> | undefined): number {
  const code = reader.u8()
  const value = reader.short()
  const spec = checkAssertedField(code, last, value.length)
  if (!isUtf8(value)) throw new FormatError(`${spec.name} is not UTF-8`)
  if (into !== undefined) into[spec.name] = value.toString('utf8')
  return code
}

/**
 * The record's bytes. Fields that are undefined or empty strings are left out. Throws `RangeError` or `TypeError` for a value that its field does not allow;
 * what is no field of the tables is not looked at, so it cannot get in.
 */
export function encodeRecord(fields: RecordFields): Buffer {
  scratch[0] = RECORD_VERSION
  let at = 1
  const asserted = fields.asserted
  if (asserted instanceof Uint8Array) {
    scratch.set(asserted, at)
    at += asserted.length
  } else if (asserted !== undefined) {
    at = putAsserted(at, asserted)
  }
  for (let i = 0; i < ownList.length; i++) {
    const [name, spec] = ownList[i] as (typeof ownList)[number]
    const value = fields[name]
    if (value !== undefined) at = putOwn(at, name, spec, value)
  }
  if (at > MAX_RECORD_BYTES) throw new RangeError('a record is at most 65536 bytes')
  return Buffer.from(scratch.subarray(0, at))
}

/** Strict: refuses unknown fields, fields out of order, lengths out of bounds, and anything that `encodeRecord` would not have written. */
export function decodeRecord(bytes: Buffer): DecodedRecord {
  if (bytes.length > MAX_RECORD_BYTES) throw new FormatError('a record is at most 65536 bytes')
  const reader = new Reader(bytes)
  checkVersion('a record', reader.u8(), RECORD_VERSION)
  const asserted: Record<string, string> = {}
  const own: Record<string, unknown> = {}
  let last = 0
  while (reader.left > 0) {
    const code = bytes[reader.offset] as number
    if (code < FIRST_OWN) {
      last = readAssertedField(reader, last, asserted)
      continue
    }
    if (code <= last) throw new FormatError('fields out of order')
    const field = ownByCode.get(code)
    if (field === undefined) throw new FormatError(`no field has code ${code}`)
    reader.u8()
    own[field.name] = readOwn(field.name, field.spec, reader.short())
    last = code
  }
  return { asserted, ...own }
}

function readOwn(name: string, spec: OwnSpec, value: Buffer): unknown {
  const wrong = () => new FormatError(`${name} has the wrong length`)
  switch (spec.type) {
    case 'code': {
      if (value.length !== 1) throw wrong()
      const word = Object.entries(spec.codes).find(([, code]) => code === value[0])
      if (word === undefined) throw new FormatError(`${name} has no code ${value[0]}`)
      return word[0]
    }
    case 'string':
      if (value.length === 0 || value.length > spec.max) throw wrong()
      if (!isUtf8(value)) throw new FormatError(`${name} is not UTF-8`)
      return value.toString('utf8')
    case 'bytes':
      if (value.length < spec.min || value.length > spec.max) throw wrong()
      return value
    case 'u64':
      if (value.length !== 8) throw wrong()
      return new Reader(value).u64()
    case 'changes':
      return readChanges(value)
  }
}

function readChanges(value: Buffer): RowChange[] {
  const reader = new Reader(value)
  const count = reader.u16()
  const changes: RowChange[] = []
  for (let i = 0; i < count; i++) {
    const kind = kindByCode.get(reader.u8())
    if (kind === undefined) throw new FormatError('a change of no kind of row')
    const id = reader.short()
    if (id.length > 512 || !isUtf8(id)) throw new FormatError('the id of a change is no id')
    changes.push({ kind, id: id.toString('utf8'), revision: reader.u64() })
  }
  reader.end()
  return changes
}
