/** Frames and segment headers, byte by byte, and the sealing of write sets. See docs/formats/journal.md. */
import { createCipheriv, createDecipheriv, hash, type KeyObject } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { checkVersion, FormatError, Reader, Writer } from '../bytes.ts'
import { fillRandom } from '../crypto/random.ts'
import { MAX_RECORD_BYTES, MAX_WRITE_SET_BYTES, type OpenedWriteSet } from './types.ts'

export const HEADER_BYTES = 108
export const LEAF_BYTES = 48
export const SALT_BYTES = 16
const FILE_MAGIC = Buffer.from('HOLDFJNL')
export const FRAME_MAGIC = Buffer.from('HFR1')
const VERSION = 1
/** What a frame is besides its record and its write set. */
export const FRAME_BYTES = 64
const FRAME_HEAD = 60
/** Number 8, nonce 12, tag 16. */
const SEAL_BYTES = 36
export const MAX_FRAME_BYTES = FRAME_BYTES + MAX_RECORD_BYTES + SEAL_BYTES + MAX_WRITE_SET_BYTES

export interface SegmentHeader {
  readonly boundaryId: Buffer
  readonly salt: Buffer
  readonly firstSeq: number
  readonly nextWriteSet: number
  readonly lastTime: number
  readonly lastCrc: number
  readonly root: Buffer
  readonly crc: number
}

export function encodeHeader(header: Omit<SegmentHeader, 'crc'>): { bytes: Buffer; crc: number } {
  const head = new Writer(HEADER_BYTES)
    .raw(FILE_MAGIC)
    .u16(VERSION)
    .u16(HEADER_BYTES)
    .raw(header.boundaryId)
    .raw(header.salt)
    .u64(header.firstSeq)
    .u64(header.nextWriteSet)
    .u64(header.lastTime)
    .u32(header.lastCrc)
    .raw(header.root)
  const crc = crc32(head.done())
  return { bytes: head.u32(crc).done(), crc }
}

/** Throws `FormatError`. */
export function parseHeader(bytes: Buffer): SegmentHeader {
  const reader = new Reader(bytes, 0, Math.min(HEADER_BYTES, bytes.length))
  if (!reader.raw(8).equals(FILE_MAGIC)) throw new FormatError('this is no segment of a journal')
  const version = reader.u16()
  checkVersion('the segment', version, VERSION)
  if (reader.u16() !== HEADER_BYTES) throw new FormatError('a header of another length')
  const header = {
    boundaryId: reader.raw(16),
    salt: reader.raw(16),
    firstSeq: reader.u64(),
    nextWriteSet: reader.u64(),
    lastTime: reader.u64(),
    lastCrc: reader.u32(),
    root: reader.raw(32),
    crc: reader.u32(),
  }
  if (crc32(bytes.subarray(0, HEADER_BYTES - 4)) !== header.crc) throw new FormatError('the header was changed')
  return header
}

export interface FrameInput {
  readonly seq: number
  readonly time: number
  readonly record: Buffer
  readonly writeSet: OpenedWriteSet | undefined
}

export interface Frame {
  readonly length: number
  readonly previousCrc: number
  readonly batch: number
  readonly seq: number
  readonly time: number
  /** 16 bytes of salt, then the record. */
  readonly salted: Buffer
  readonly record: Buffer
  /** Sealed; undefined for none. */
  readonly sealed: Buffer | undefined
  readonly crc: number
}

export function frameBytes(record: number, rows: number | undefined): number {
  return FRAME_BYTES + record + (rows === undefined ? 0 : SEAL_BYTES + rows)
}

/** What binds a write set to its place: boundary id, sequence number, number. */
function writeSetAad(boundaryId: Buffer, seq: number, number: number): Buffer {
  const aad = Buffer.allocUnsafe(32)
  aad.set(boundaryId)
  putU64(aad, 16, seq)
  putU64(aad, 24, number)
  return aad
}

function putU64(into: Buffer, at: number, value: number): void {
  into.writeUInt32BE(Math.floor(value / 0x1_0000_0000), at)
  into.writeUInt32BE(value >>> 0, at + 4)
}

/** What all frames of a segment share. */
export interface FrameContext {
  readonly boundaryId: Buffer
  readonly writeSetKey: KeyObject
  /** crc of the segment's header, from which every frame's crc starts. */
  readonly seed: number
}

/**
 * Lays one frame into `into` at `at`, all but what only its commit knows: `sealFrame` does the rest. Rows stand in it as they are until then.
 * Returns the frame's length, which `frameBytes` says beforehand.
 */
export function layFrame(into: Buffer, at: number, frame: FrameInput, batch: number): number {
  const { seq, time, record, writeSet } = frame
  const length = frameBytes(record.length, writeSet?.rows.length)
  into.set(FRAME_MAGIC, at)
  into.writeUInt32BE(length, at + 4)
  putU64(into, at + 12, batch)
  into.writeUInt32BE(record.length, at + 20)
  into.writeUInt32BE(writeSet === undefined ? 0 : SEAL_BYTES + writeSet.rows.length, at + 24)
  putU64(into, at + 28, seq)
  putU64(into, at + 36, time)
  fillRandom(into, at + 44, 16)
  into.set(record, at + FRAME_HEAD)
  if (writeSet !== undefined) {
    const end = at + FRAME_HEAD + record.length
    putU64(into, end, writeSet.number)
    fillRandom(into, end + 8, 12)
    into.set(writeSet.rows, end + 20)
  }
  return length
}

/** Puts a frame that was laid into the chain: seals its rows, and sets the crc before and its own, which is returned. */
export function sealFrame(bytes: Buffer, at: number, seq: number, previousCrc: number, context: FrameContext): number {
  const end = at + bytes.readUInt32BE(at + 4) - 4
  const sealedBytes = bytes.readUInt32BE(at + 24)
  bytes.writeUInt32BE(previousCrc, at + 8)
  if (sealedBytes > 0) {
    const from = end - sealedBytes
    const number = bytes.readUInt32BE(from) * 0x1_0000_0000 + bytes.readUInt32BE(from + 4)
    const cipher = createCipheriv('aes-256-gcm', context.writeSetKey, bytes.subarray(from + 8, from + 20), {
      authTagLength: 16,
    })
    cipher.setAAD(writeSetAad(context.boundaryId, seq, number))
    bytes.set(cipher.update(bytes.subarray(from + 20, end - 16)), from + 20)
    cipher.final()
    bytes.set(cipher.getAuthTag(), end - 16)
  }
  const crc = crc32(bytes.subarray(at, end), context.seed)
  bytes.writeUInt32BE(crc, end)
  return crc
}

/** Puts a leaf into `into` at `at`: seq ‖ time ‖ SHA-256(salt ‖ record). Salt and record stand together in a frame: `salted`. */
export function putLeaf(into: Buffer, at: number, seq: number, time: number, salted: Buffer): void {
  putU64(into, at, seq)
  putU64(into, at + 8, time)
  // As a string of bytes: that costs a quarter of what a Buffer from the hash costs.
  into.write(hash('sha256', salted, 'latin1'), at + 16, 32, 'latin1')
}

export function leafOf(seq: number, time: number, salted: Buffer): Buffer {
  const leaf = Buffer.allocUnsafe(LEAF_BYTES)
  putLeaf(leaf, 0, seq, time, salted)
  return leaf
}

/** Salt and record of the frame at `at`, which must be whole: a view. */
export function saltedOf(bytes: Buffer, at: number): Buffer {
  return bytes.subarray(at + 44, at + FRAME_HEAD + bytes.readUInt32BE(at + 20))
}

/** The frame at `at`, or why there is none. Its crc is checked; its place in the chain is the caller's to check. Views of the input. */
export function parseFrame(bytes: Buffer, at: number, seed: number): Frame | string {
  if (bytes.length - at < FRAME_BYTES) return 'a frame is cut short'
  if (!bytes.subarray(at, at + 4).equals(FRAME_MAGIC)) return 'no frame begins here'
  const length = bytes.readUInt32BE(at + 4)
  if (length < FRAME_BYTES || length > MAX_FRAME_BYTES) return 'a frame of impossible length'
  if (length > bytes.length - at) return 'a frame is cut short'
  const crc = bytes.readUInt32BE(at + length - 4)
  if (crc32(bytes.subarray(at, at + length - 4), seed) !== crc) return 'a frame was changed'
  const reader = new Reader(bytes, at + 8, at + length - 4)
  try {
    const previousCrc = reader.u32()
    const batch = reader.u64()
    const recordLength = reader.u32()
    const sealedLength = reader.u32()
    if (recordLength < 1 || recordLength > MAX_RECORD_BYTES) return 'a record of impossible length'
    const seq = reader.u64()
    const time = reader.u64()
    const salted = reader.raw(SALT_BYTES + recordLength)
    const record = salted.subarray(SALT_BYTES)
    const sealed = sealedLength === 0 ? undefined : reader.raw(sealedLength)
    reader.end()
    if (sealed !== undefined && sealed.length < SEAL_BYTES) return 'a write set of impossible length'
    return { length, previousCrc, batch, seq, time, salted, record, sealed, crc }
  } catch {
    return 'the lengths in a frame do not add up'
  }
}

/** The number of a sealed write set, which only its tag or the crc vouches for. */
export const sealedNumber = (sealed: Buffer): number => new Reader(sealed).u64()

/** Opens a frame's write set; undefined where it was not sealed for this place by this boundary. */
export function openWriteSet(
  frame: Frame,
  context: Pick<FrameContext, 'boundaryId' | 'writeSetKey'>,
): OpenedWriteSet | undefined {
  const sealed = frame.sealed
  if (sealed === undefined) return undefined
  try {
    const number = sealedNumber(sealed)
    const decipher = createDecipheriv('aes-256-gcm', context.writeSetKey, sealed.subarray(8, 20), { authTagLength: 16 })
    decipher.setAAD(writeSetAad(context.boundaryId, frame.seq, number))
    decipher.setAuthTag(sealed.subarray(sealed.length - 16))
    const rows = decipher.update(sealed.subarray(20, sealed.length - 16))
    decipher.final()
    return { number, rows }
  } catch {
    return undefined
  }
}
