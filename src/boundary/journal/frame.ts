/** Frames and segment headers, byte by byte, and the sealing of write sets. See docs/formats/journal.md. */
import { createCipheriv, createDecipheriv, hash, type KeyObject } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { FormatError, Reader, Writer } from '../bytes.ts'
import { fillRandom } from '../crypto/random.ts'
import { MAX_RECORD_BYTES, MAX_WRITE_SET_BYTES, type OpenedWriteSet } from './types.ts'

export const HEADER_BYTES = 108
const FILE_MAGIC = Buffer.from('HOLDFJNL')
export const FRAME_MAGIC = Buffer.from('HFR1')
const VERSION = 1
/** What a frame is besides its record and its write set. */
const FRAME_BYTES = 64
const FRAME_HEAD = 60
/** Number 8, nonce 12, tag 16. */
const SEAL_BYTES = 36
const MAX_FRAME_BYTES = FRAME_BYTES + MAX_RECORD_BYTES + SEAL_BYTES + MAX_WRITE_SET_BYTES

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
  if (version !== VERSION)
    throw new FormatError(`a segment of version ${version}, and this program knows version ${VERSION}`)
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
  readonly salt: Buffer
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
  return new Writer(32).raw(boundaryId).u64(seq).u64(number).done()
}

/** What all frames of a segment share. */
export interface FrameContext {
  readonly boundaryId: Buffer
  readonly writeSetKey: KeyObject
  /** crc of the segment's header, from which every frame's crc starts. */
  readonly seed: number
}

/** Writes one frame into `into` at `at`; returns its crc and its leaf (48 bytes). */
export function writeFrame(
  into: Buffer,
  at: number,
  frame: FrameInput,
  batch: number,
  previousCrc: number,
  context: FrameContext,
): { crc: number; leaf: Buffer } {
  const { seq, time, record, writeSet } = frame
  const length = frameBytes(record.length, writeSet?.rows.length)
  const head = new Writer(FRAME_HEAD)
    .raw(FRAME_MAGIC)
    .u32(length)
    .u32(previousCrc)
    .u64(batch)
    .u32(record.length)
    .u32(writeSet === undefined ? 0 : SEAL_BYTES + writeSet.rows.length)
    .u64(seq)
    .u64(time)
  into.set(head.done(), at)
  const salt = into.subarray(at + 44, at + FRAME_HEAD)
  fillRandom(into, at + 44, 16)
  into.set(record, at + FRAME_HEAD)
  let end = at + FRAME_HEAD + record.length
  if (writeSet !== undefined) {
    const { number, rows } = writeSet
    into.set(new Writer(8).u64(number).done(), end)
    fillRandom(into, end + 8, 12)
    const cipher = createCipheriv('aes-256-gcm', context.writeSetKey, into.subarray(end + 8, end + 20), {
      authTagLength: 16,
    })
    cipher.setAAD(writeSetAad(context.boundaryId, seq, number))
    into.set(cipher.update(rows), end + 20)
    cipher.final()
    into.set(cipher.getAuthTag(), end + 20 + rows.length)
    end += SEAL_BYTES + rows.length
  }
  const crc = crc32(into.subarray(at, end), context.seed)
  into.writeUInt32BE(crc, end)
  return { crc, leaf: leafOf(seq, time, salt, record) }
}

/** seq ‖ time ‖ SHA-256(salt ‖ record). */
export function leafOf(seq: number, time: number, salt: Buffer, record: Buffer): Buffer {
  const digest = hash('sha256', Buffer.concat([salt, record]), 'buffer')
  return new Writer(48).u64(seq).u64(time).raw(digest).done()
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
    const salt = reader.raw(16)
    const record = reader.raw(recordLength)
    const sealed = sealedLength === 0 ? undefined : reader.raw(sealedLength)
    reader.end()
    if (sealed !== undefined && sealed.length < SEAL_BYTES) return 'a write set of impossible length'
    return { length, previousCrc, batch, seq, time, salt, record, sealed, crc }
  } catch {
    return 'the lengths in a frame do not add up'
  }
}

/** Opens a frame's write set; undefined where it was not sealed for this place by this boundary. */
export function openWriteSet(frame: Frame, context: FrameContext): OpenedWriteSet | undefined {
  const sealed = frame.sealed
  if (sealed === undefined) return undefined
  try {
    const number = new Reader(sealed).u64()
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
