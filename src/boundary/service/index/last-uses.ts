/**
 * The last successful use of every key, in memory: 37 bytes for each key that was used or is in an external key store, and 4 for each row of the index.
 * It is made from the journal and from nothing else, so no use writes anything for it.
 */
import { FormatError, type Reader, type Writer } from '../../bytes.ts'
import { type Column, digit, grown, readColumn, writeColumn } from './columns.ts'
import { type RecordedUse, USE_OPERATIONS, type UseOperation, type UseStep } from './recorded-use.ts'

export interface LastUse {
  readonly operation: UseOperation
  /** Milliseconds since 1970, of lifecycle time. */
  readonly time: number
  /** Sequence number of the record. */
  readonly seq: number
  /** UUID in lower case; empty where the request's id was none. */
  readonly requestId: string
}

const operationNames: UseOperation[] = []
for (const [name, code] of Object.entries(USE_OPERATIONS)) operationNames[code] = name as UseOperation

const EXTERNAL = 1
const ID_BYTES = 16

const UUID_LENGTH = 36

/** The bytes of a UUID in lower case that stands in `text`, into `into`; zeros for any other text. */
function putUuid(text: Buffer, from: number, length: number, into: Uint8Array, at: number): void {
  let byte = at
  let good = length === UUID_LENGTH
  for (let i = 0; good && i < UUID_LENGTH; i++) {
    const code = text[from + i] ?? 0
    if (i === 8 || i === 13 || i === 18 || i === 23) {
      good = code === 0x2d
      continue
    }
    const high = digit(code)
    const low = digit(text[from + ++i] ?? 0)
    good = high < 16 && low < 16
    into[byte++] = (high << 4) | low
  }
  if (!good) into.fill(0, at, at + ID_BYTES)
}

/** The text of a UUID's bytes; empty for zeros. */
export function uuidText(bytes: Uint8Array): string {
  const hex = Buffer.from(bytes).toString('hex')
  if (/^0+$/.test(hex)) return ''
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}

export class LastUses {
  #count = 0
  /** By the row's place in the index: the place here, plus one. */
  #placeOfRow = new Uint32Array(512)
  #row = new Uint32Array(64)
  #flags = new Uint8Array(64)
  #operation = new Uint8Array(64)
  #time = new Float64Array(64)
  #seq = new Float64Array(64)
  #requestId = new Uint8Array(64 * ID_BYTES)

  /** The key is in an external key store: what is begun with it is used when the owner has answered. `row`: the place of its row in the index. */
  external(row: number): void {
    const at = this.#place(row)
    this.#flags[at] = (this.#flags[at] ?? 0) | EXTERNAL
  }

  /** Takes what a record says of a key; it is newer than all before. */
  take(row: number, step: UseStep, use: RecordedUse, record: Buffer, time: number, seq: number): void {
    const known = (this.#placeOfRow[row] ?? 0) - 1
    const external = known >= 0 && ((this.#flags[known] ?? 0) & EXTERNAL) !== 0
    if (step !== 'done' && external !== (step === 'answered')) return
    const at = known >= 0 ? known : this.#place(row)
    this.#operation[at] = use.operation
    this.#time[at] = time
    this.#seq[at] = seq
    putUuid(record, use.requestId.from, use.requestId.length, this.#requestId, at * ID_BYTES)
  }

  /** The key is gone. One that is made anew under its id was never used. */
  forget(row: number): void {
    const at = (this.#placeOfRow[row] ?? 0) - 1
    if (at < 0) return
    this.#flags[at] = 0
    this.#operation[at] = 0
  }

  get(row: number): LastUse | undefined {
    const at = (this.#placeOfRow[row] ?? 0) - 1
    const operation = at < 0 ? undefined : operationNames[this.#operation[at] ?? 0]
    if (operation === undefined) return undefined
    const requestId = uuidText(this.#requestId.subarray(at * ID_BYTES, (at + 1) * ID_BYTES))
    return { operation, time: this.#time[at] ?? 0, seq: this.#seq[at] ?? 0, requestId }
  }

  #place(row: number): number {
    const known = (this.#placeOfRow[row] ?? 0) - 1
    if (known >= 0) return known
    if (row >= this.#placeOfRow.length) this.#placeOfRow = grown(this.#placeOfRow, Math.max(row + 1, row * 2))
    if (this.#count === this.#row.length) this.#grow(this.#count * 2)
    const at = this.#count++
    this.#row[at] = row
    this.#placeOfRow[row] = at + 1
    return at
  }

  #grow(length: number): void {
    this.#row = grown(this.#row, length)
    this.#flags = grown(this.#flags, length)
    this.#operation = grown(this.#operation, length)
    this.#time = grown(this.#time, length)
    this.#seq = grown(this.#seq, length)
    this.#requestId = grown(this.#requestId, length * ID_BYTES)
  }

  /** Every column with the elements that one key takes, in the order of the snapshot. */
  #columns(): { column: Column; width: number }[] {
    return [
      { column: this.#row, width: 1 },
      { column: this.#flags, width: 1 },
      { column: this.#operation, width: 1 },
      { column: this.#time, width: 1 },
      { column: this.#seq, width: 1 },
      { column: this.#requestId, width: ID_BYTES },
    ]
  }

  /** Bytes that `write` writes. */
  get bytes(): number {
    return (
      4 + this.#count * this.#columns().reduce((sum, { column, width }) => sum + column.BYTES_PER_ELEMENT * width, 0)
    )
  }

  write(writer: Writer): void {
    writer.u32(this.#count)
    for (const { column, width } of this.#columns()) writeColumn(writer, column, this.#count * width)
  }

  /** From the bytes of a snapshot, which the journal has authenticated. `rows`: how many the index has. Throws `FormatError` for what does not fit. */
  static read(reader: Reader, rows: number): LastUses {
    const uses = new LastUses()
    const count = reader.u32()
    if (count > rows) throw new FormatError('uses of more rows than there are')
    uses.#grow(Math.max(64, count))
    for (const { column, width } of uses.#columns()) readColumn(reader, column, count * width)
    uses.#count = count
    uses.#placeOfRow = new Uint32Array(Math.max(512, rows))
    for (let at = 0; at < count; at++) {
      const row = uses.#row[at] ?? 0
      if (row >= rows || uses.#placeOfRow[row] !== 0) throw new FormatError('a use of no row, or two of one')
      uses.#placeOfRow[row] = at + 1
    }
    return uses
  }
}
