/**
 * Snapshots: the tree and the caller's state at one place of the journal, so that a start need not begin at record 0. Authenticated, and never the
 * truth: whatever is wrong with one, the journal is read from further back. See docs/formats/journal.md, "Snapshot".
 */
import { createHmac, type KeyObject, timingSafeEqual } from 'node:crypto'
import path from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { checkVersion, FormatError, Reader, Writer } from '../bytes.ts'
import { type Disk, datasync, isCode, readWhole } from './disk.ts'
import { LEAF_BYTES } from './frame.ts'
import { HASH_BYTES, type TreeState } from './merkle.ts'

const MAGIC = Buffer.from('HOLDFSNP')
const VERSION = 1
export const SNAPSHOT_MAC_BYTES = 32
const NAME = /^(\d{20})\.snap$/
const KEPT = 2
const MAX_SNAPSHOT_BYTES = 0xffff_ffff
/** Between two pieces of this size the event loop turns, so that no commit waits for a snapshot. */
const PIECE_BYTES = 256 * 1024

/** The place in the journal that a snapshot stands for. */
export interface SnapshotPoint {
  /** Time of the last record, 0 for none. */
  readonly lastTime: number
  readonly lastWriteSet: number
  /** Where the last record ends: segment by its first sequence number, and offset. */
  readonly segment: number
  readonly offset: number
  /** crc of the last record's frame, or of the segment's header where it has no frame yet. */
  readonly crc: number
  readonly tree: TreeState
}

export interface Snapshot extends SnapshotPoint {
  /** A view of the file's bytes. */
  readonly state: Buffer
}

export function snapshotName(size: number): string {
  return `${String(size).padStart(20, '0')}.snap`
}

/** Names of snapshots, newest first. */
export async function listSnapshots(disk: Disk, folder: string): Promise<string[]> {
  return (await disk.readdir(folder)).filter(name => NAME.test(name)).reverse()
}

/** All that stands before the caller's state of `stateBytes`. Nothing in it is secret: whoever has the journal can say what it must be. */
export function encodeSnapshotHead(boundaryId: Buffer, point: SnapshotPoint, stateBytes: number): Buffer {
  const { tree } = point
  const writer = new Writer(32 * 1024)
    .raw(MAGIC)
    .u16(VERSION)
    .raw(boundaryId)
    .u64(tree.size)
    .u64(point.lastTime)
    .u64(point.lastWriteSet)
    .u64(point.segment)
    .u64(point.offset)
    .u32(point.crc)
    .u8(tree.peaks.length)
  for (const peak of tree.peaks) writer.raw(peak)
  writer.u8(tree.levels.length)
  for (const hashes of tree.levels) writer.u8(hashes.length / HASH_BYTES).raw(hashes)
  return writer.raw(tree.leaves).u32(stateBytes).done()
}

/** What a snapshot says, without its MAC. Throws `FormatError`. */
export function parseSnapshot(bytes: Buffer): Snapshot & { readonly boundaryId: Buffer } {
  const reader = new Reader(bytes, 0, Math.max(0, bytes.length - SNAPSHOT_MAC_BYTES))
  if (!reader.raw(MAGIC.length).equals(MAGIC)) throw new FormatError('it does not begin as a snapshot')
  const version = reader.u16()
  checkVersion('it', version, VERSION)
  const boundaryId = reader.raw(16)
  const size = reader.u64()
  const lastTime = reader.u64()
  const lastWriteSet = reader.u64()
  const segment = reader.u64()
  const offset = reader.u64()
  const crc = reader.u32()
  const peaks: Buffer[] = []
  for (let left = reader.u8(); left > 0; left--) peaks.push(reader.raw(HASH_BYTES))
  const levels: Buffer[] = []
  for (let left = reader.u8(); left > 0; left--) levels.push(reader.raw(reader.u8() * HASH_BYTES))
  const leaves = reader.raw(((levels[0]?.length ?? 0) / HASH_BYTES) * LEAF_BYTES)
  const state = reader.long()
  reader.end()
  return { boundaryId, lastTime, lastWriteSet, segment, offset, crc, tree: { size, peaks, levels, leaves }, state }
}

/** Reads a snapshot that this boundary made, under one of these keys. Throws `FormatError` or `RangeError` with the reason why it is to be passed over. */
export async function readSnapshot(
  disk: Disk,
  folder: string,
  name: string,
  boundaryId: Buffer,
  keys: readonly KeyObject[],
): Promise<Snapshot> {
  const bytes = await readWhole(disk, path.join(folder, name), MAX_SNAPSHOT_BYTES)
  if (bytes === undefined || bytes.length < SNAPSHOT_MAC_BYTES) throw new FormatError('it is cut short')
  // Before the MAC: what that stands over may have another form.
  if (bytes.subarray(0, MAGIC.length).equals(MAGIC)) checkVersion('it', bytes.readUInt16BE(MAGIC.length), VERSION)
  const signed = bytes.subarray(0, bytes.length - SNAPSHOT_MAC_BYTES)
  const mac = bytes.subarray(signed.length)
  if (!keys.some(key => timingSafeEqual(createHmac('sha256', key).update(signed).digest(), mac)))
    throw new FormatError(
      'it was cut short or changed, or another boundary made it, or a generation of the root that was destroyed',
    )
  const snapshot = parseSnapshot(bytes)
  if (!snapshot.boundaryId.equals(boundaryId) || name !== snapshotName(snapshot.tree.size))
    throw new FormatError('its name or its boundary is another')
  return snapshot
}

/** Writes a snapshot atomically, in pieces between which the event loop turns, and removes all but the newest `kept`. The tiles are durable before. */
export async function writeSnapshot(
  disk: Disk,
  folder: string,
  boundaryId: Buffer,
  key: KeyObject,
  point: SnapshotPoint,
  state: Buffer,
  kept = KEPT,
): Promise<void> {
  const head = encodeSnapshotHead(boundaryId, point, state.length)
  const mac = createHmac('sha256', key)
  const file = path.join(folder, snapshotName(point.tree.size))
  const temporary = `${file}.new`
  await disk.unlink(temporary).catch((error: unknown) => {
    if (!isCode(error, 'ENOENT')) throw error
  })
  const opened = await disk.open(temporary, 'create')
  try {
    let at = 0
    for (const part of [head, state]) {
      for (let from = 0; from < part.length; from += PIECE_BYTES) {
        const piece = part.subarray(from, from + PIECE_BYTES)
        mac.update(piece)
        opened.write(piece, at)
        at += piece.length
        await nextTurn()
      }
    }
    opened.write(mac.digest(), at)
    await datasync(opened)
  } finally {
    await opened.close()
  }
  await disk.rename(temporary, file)
  await disk.syncDir(folder)
  for (const old of (await listSnapshots(disk, folder)).slice(kept)) await disk.unlink(path.join(folder, old))
  if (kept < KEPT) await disk.syncDir(folder)
}

/** Removes what an interrupted write left. */
export async function removeUnfinishedSnapshots(disk: Disk, folder: string): Promise<void> {
  for (const name of await disk.readdir(folder)) if (name.endsWith('.new')) await disk.unlink(path.join(folder, name))
}
