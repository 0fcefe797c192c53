/** Many byte strings, one behind the other. None is taken out; another of the same length may be put in its place. In snapshots they lie as in memory. */
import { FormatError, type Reader, type Writer } from '../../bytes.ts'
import { digit, sameBytes } from './columns.ts'

const FIRST_BYTES = 1 << 16
const MAX_BYTES = 0xffff_ffff

export class Arena {
  #bytes = Buffer.allocUnsafeSlow(FIRST_BYTES)
  #used = 0

  get used(): number {
    return this.#used
  }

  /** Room for `length` bytes more; answers their place. Throws RangeError where there is none. */
  #take(length: number): number {
    const needed = this.#used + length
    if (needed > MAX_BYTES) throw new RangeError('the index holds 4 GiB of ids')
    if (needed > this.#bytes.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(needed, Math.ceil(this.#bytes.length * 1.5)))
      this.#bytes.copy(larger, 0, 0, this.#used)
      this.#bytes = larger
    }
    const at = this.#used
    this.#used = needed
    return at
  }

  /** A copy of the bytes, where it can be in the place of what is no longer needed; answers its place. */
  keep(bytes: Buffer, at = this.#take(bytes.length)): number {
    bytes.copy(this.#bytes, at)
    return at
  }

  /** The same of `digits` hexadecimal digits in lower case, from `begin` of `text`, as half as many bytes. */
  keepDigits(text: Buffer, begin: number, digits: number, at = this.#take(digits / 2)): number {
    for (let i = 0; i < digits; i += 2)
      this.#bytes[at + i / 2] = (digit(text[begin + i] ?? 0) << 4) | digit(text[begin + i + 1] ?? 0)
    return at
  }

  same(at: number, bytes: Buffer, begin: number, length: number): boolean {
    return sameBytes(this.#bytes, at, bytes, begin, length)
  }

  /** Whether what `keepDigits` kept is these digits. */
  sameDigits(at: number, text: Buffer, begin: number, digits: number): boolean {
    for (let i = 0; i < digits; i += 2) {
      const high = digit(text[begin + i] ?? 0)
      const low = digit(text[begin + i + 1] ?? 0)
      if (high > 15 || low > 15 || this.#bytes[at + i / 2] !== ((high << 4) | low)) return false
    }
    return true
  }

  /** A view, valid until something is kept. */
  view(at: number, length: number): Buffer {
    return this.#bytes.subarray(at, at + length)
  }

  /** The bytes without their number, which is `used`. */
  write(writer: Writer): void {
    writer.raw(this.#bytes.subarray(0, this.#used))
  }

  static read(reader: Reader, used: number): Arena {
    if (used > reader.left) throw new FormatError('an arena that is cut short')
    const arena = new Arena()
    arena.#used = used
    arena.#bytes = Buffer.allocUnsafeSlow(Math.max(FIRST_BYTES, used))
    reader.raw(used).copy(arena.#bytes)
    return arena
  }
}
