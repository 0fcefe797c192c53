/** What OpenSSL's parsers leave to their callers: DER read strictly, as far as keys need it. */
import { FormatError } from '../bytes.ts'

/** Universal tags that stand in keys. */
export const TAG = { integer: 0x02, bitString: 0x03, octetString: 0x04, oid: 0x06, sequence: 0x30 } as const

/** Elements one after the other. Contents are views of the input. Throws `FormatError` for lengths that are not the shortest or do not fit. */
export class DerReader {
  readonly #der: Buffer
  #at = 0

  constructor(der: Buffer) {
    this.#der = der
  }

  get ended(): boolean {
    return this.#at === this.#der.length
  }

  /** Tag of the next element, or -1 at the end. */
  get tag(): number {
    return this.#der[this.#at] ?? -1
  }

  /** The next element, which must have this tag. */
  take(tag: number): Buffer {
    if (this.tag !== tag) throw new FormatError('not the DER that belongs there')
    const { from, to } = this.#bounds()
    this.#at = to
    return this.#der.subarray(from, to)
  }

  /** Of the element at hand: where its content begins and ends. */
  #bounds(): { from: number; to: number } {
    const der = this.#der
    const first = der[this.#at + 1] ?? 0x80
    let from = this.#at + 2
    let length = first
    if (first >= 0x80) {
      const bytes = first & 0x7f
      if (bytes === 0 || bytes > 4 || from + bytes > der.length) throw new FormatError('a DER length')
      length = der.readUIntBE(from, bytes)
      from += bytes
      if (length < (bytes === 1 ? 0x80 : 2 ** (8 * (bytes - 1)))) throw new FormatError('a DER length')
    }
    if (from + length > der.length) throw new FormatError('DER cut short')
    return { from, to: from + length }
  }
}

/** The content of the one SEQUENCE that these bytes are, from the first to the last: OpenSSL does not look at what stands behind a key. */
export function onlySequence(der: Buffer): DerReader {
  const outer = new DerReader(der)
  const inside = outer.take(TAG.sequence)
  if (!outer.ended) throw new FormatError('bytes behind a DER value')
  return new DerReader(inside)
}

/** One element. */
export function element(tag: number, ...contents: readonly Uint8Array[]): Buffer {
  const length = contents.reduce((sum, each) => sum + each.length, 0)
  const head =
    length < 0x80 ? [tag, length] : length < 0x100 ? [tag, 0x81, length] : [tag, 0x82, length >> 8, length & 255]
  return Buffer.concat([Uint8Array.from(head), ...contents])
}
