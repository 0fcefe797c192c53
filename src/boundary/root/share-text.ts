/**
 * A share as its holder keeps it: one line, in letters that can be written down and typed again. Secret bytes become letters and the other way round without
 * a table, and never a string. See docs/formats/root.md, "Shares".
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import { Reader, Writer } from '../bytes.ts'
import { room } from './shamir.ts'
import { RootError } from './types.ts'

export const SET_ID_BYTES = 8
export const KEY_BYTES = 32

/** Which shares belong together. */
export interface ShareSet {
  /** 16 bytes. */
  readonly boundaryId: Buffer
  /** 8 random bytes. */
  readonly setId: Buffer
  /** So many of them open it. */
  readonly threshold: number
  /** So many of them there are. */
  readonly count: number
}

const LABEL = Buffer.from('holdfast-share-1')
const CHECKSUM_BYTES = 4
const SHARE_BYTES = 16 + SET_ID_BYTES + 2 + 1 + KEY_BYTES + CHECKSUM_BYTES
/** Five bits a letter. */
const LETTERS = Math.ceil((SHARE_BYTES * 8) / 5)
const GROUP = 6
/** More than a share with every letter apart. */
export const MAX_SHARE_TEXT = 512

const [SPACE, RETURN, TAB, HYPHEN] = [0x20, 0x0d, 0x09, 0x2d]

/** Against slips of the pen. It is in the share itself, so it tells nobody more. */
const checksumOf = (bytes: Buffer): Buffer =>
  createHash('sha256').update(LABEL).update(bytes).digest().subarray(0, CHECKSUM_BYTES)

/** The line of a raw share (its values, then its place). The caller wipes it. */
export function writeShare(set: ShareSet, raw: Buffer): Buffer {
  const writer = new Writer(SHARE_BYTES)
    .raw(set.boundaryId)
    .raw(set.setId)
    .u8(set.threshold)
    .u8(set.count)
    .raw(raw.subarray(KEY_BYTES))
    .raw(raw.subarray(0, KEY_BYTES))
  const bytes = writer.raw(checksumOf(writer.done())).done()
  const text = Buffer.alloc(LABEL.length + LETTERS + Math.ceil(LETTERS / GROUP))
  LABEL.copy(text)
  let [at, bits, held] = [LABEL.length, 0, 0]
  for (let letter = 0, from = 0; letter < LETTERS; letter++) {
    if (bits < 5) {
      held = (held << 8) | (bytes[from++] ?? 0)
      bits += 8
    }
    bits -= 5
    if (letter % GROUP === 0) text[at++] = letter === 0 ? SPACE : HYPHEN
    text[at++] = letterOf((held >> bits) & 31)
    held &= (1 << bits) - 1
  }
  bytes.fill(0)
  return text
}

/**
 * The raw share in a line, for a set. Small letters are as good as capitals, and hyphens, spaces and tabs between them are passed over. Throws `RootError` Refused: it is
 * none, or mistyped, or of other shares.
 */
export function readShare(set: ShareSet, text: Buffer): Buffer {
  const none = new RootError('Refused', 'that is no share, or a letter of it is wrong or missing')
  if (text.length > MAX_SHARE_TEXT || !text.subarray(0, LABEL.length).equals(LABEL)) throw none
  const bytes = room(SHARE_BYTES)
  let [to, bits, held, letters, wrong] = [0, 0, 0, 0, 0]
  for (const symbol of text.subarray(LABEL.length)) {
    if (symbol === SPACE || symbol === HYPHEN || symbol === RETURN || symbol === TAB) continue
    const value = numberOf(symbol)
    wrong |= value >> 8
    held = (held << 5) | (value & 31)
    bits += 5
    letters++
    if (bits < 8) continue
    bits -= 8
    if (to < SHARE_BYTES) bytes[to++] = held >> bits
    held &= (1 << bits) - 1
  }
  const [said, checksum] = [bytes.subarray(0, -CHECKSUM_BYTES), bytes.subarray(-CHECKSUM_BYTES)]
  const reader = new Reader(said)
  const boundaryId = reader.raw(16)
  const setId = reader.raw(SET_ID_BYTES)
  const [threshold, count, place] = [reader.u8(), reader.u8(), reader.u8()]
  const raw = room(KEY_BYTES + 1)
  reader.raw(KEY_BYTES).copy(raw)
  raw[KEY_BYTES] = place
  const whole =
    letters === LETTERS && (wrong | held) === 0 && place !== 0 && timingSafeEqual(checksumOf(said), checksum)
  const ours =
    boundaryId.equals(set.boundaryId) && setId.equals(set.setId) && threshold === set.threshold && count === set.count
  bytes.fill(0)
  if (whole && ours) return raw
  raw.fill(0)
  throw whole
    ? new RootError('Refused', 'that is a share of another boundary, or of shares that were made before')
    : none
}

/** A to Z, then 2 to 7 (RFC 4648): no digit that is taken for a letter. */
const letterOf = (value: number): number => 0x41 + value - (((25 - value) >> 8) & 41)

/** Below 32; negative where it is none of the letters. */
function numberOf(symbol: number): number {
  const [letter, digit] = [(symbol & 0xdf) - 0x41, symbol - 0x32 + 26]
  const isLetter = ~((letter | (25 - letter)) >> 8)
  const isDigit = ~(((digit - 26) | (31 - digit)) >> 8)
  return (letter & isLetter) | (digit & isDigit) | (~(isLetter | isDigit) & -256)
}
