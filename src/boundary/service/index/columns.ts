/** Typed columns: what the boundary keeps of very many things, outside the reach of the garbage collector. In snapshots they are little-endian. */
import { endianness } from 'node:os'
import type { Reader, Writer } from '../../bytes.ts'

export type Column = Uint8Array | Uint16Array | Uint32Array | Float64Array

const LITTLE = endianness() === 'LE'

/** The elements of a column with their bytes reversed. */
function swapped(bytes: Buffer, width: number): Buffer {
  const copy = Buffer.from(bytes)
  return width === 8 ? copy.swap64() : width === 4 ? copy.swap32() : width === 2 ? copy.swap16() : copy
}

/** The same elements with room for `length`. */
export function grown<A extends Column>(column: A, length: number): A {
  const larger = new (column.constructor as new (length: number) => A)(length)
  larger.set(column)
  return larger
}

/** Whether `length` bytes are the same, from one place each. For what is short: no call out of JavaScript. */
export function sameBytes(a: Uint8Array, fromA: number, b: Uint8Array, fromB: number, length: number): boolean {
  for (let i = 0; i < length; i++) if (a[fromA + i] !== b[fromB + i]) return false
  return true
}

/** The value of a hexadecimal digit in lower case; above 15 for any other byte. */
export function digit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30
  return byte >= 0x61 && byte <= 0x66 ? byte - 0x57 : 16
}

/** Writes the first `elements` of a column. */
export function writeColumn(writer: Writer, column: Column, elements: number): void {
  const bytes = Buffer.from(column.buffer, column.byteOffset, elements * column.BYTES_PER_ELEMENT)
  writer.raw(LITTLE ? bytes : swapped(bytes, column.BYTES_PER_ELEMENT))
}

/** Reads `elements` into the beginning of a column that has room for them. */
export function readColumn(reader: Reader, column: Column, elements: number): void {
  const bytes = reader.raw(elements * column.BYTES_PER_ELEMENT)
  const own = Buffer.from(column.buffer, column.byteOffset, column.byteLength)
  own.set(LITTLE ? bytes : swapped(bytes, column.BYTES_PER_ELEMENT))
}
