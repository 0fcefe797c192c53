/**
 * The two clocks. Real time serves records and signatures; lifecycle time serves what happens to keys, and is real time plus an offset that only
 * a service started with `--dev` can move (design, "Time").
 */
import { FormatError, Reader, Writer } from '../bytes.ts'

export interface Clocks {
  /** Milliseconds since 1970. */
  real(): number
  lifecycle(): number
}

/** Id of the one row of kind `clock`. Its body: u64, milliseconds. */
export const CLOCK_ROW = 'offset'
/** A hundred years: beyond it dates leave what clients can print. */
export const MAX_OFFSET = 100 * 365 * 86_400_000

export const encodeOffset = (offset: number): Buffer => new Writer(8).u64(offset).done()

export function decodeOffset(body: Buffer): number {
  const reader = new Reader(body)
  const offset = reader.u64()
  reader.end()
  if (offset > MAX_OFFSET) throw new FormatError('a clock offset out of range')
  return offset
}
