/** Opening the journal: the newest usable snapshot, then every frame after it. See docs/formats/journal.md. */
import path from 'node:path'
import { Appender } from './appender.ts'
import { CheckpointSigner } from './checkpoint.ts'
import { isNoRoom } from './derived.ts'
import { readWhole } from './disk.ts'
import { JournalKeys } from './keys.ts'
import { Tree } from './merkle.ts'
import { WriteSetPlaces } from './places.ts'
import { type Chain, scan } from './scan.ts'
import { listSegments, type Segment, SegmentReaders } from './segments.ts'
import { listSnapshots, readSnapshot, removeUnfinishedSnapshots, type Snapshot } from './snapshot.ts'
import { firstMissingTile, TileWriter } from './tiles.ts'
import { ClockBehind, JournalDamage, type JournalOptions, type OpenJournal } from './types.ts'

const MAX_CHECKPOINT_BYTES = 64 * 1024

/** See `OpenJournal` in types.ts. */
export const openJournal: OpenJournal = async (options, replay) => {
  const { disk, dir } = options
  const folder = path.join(dir, 'journal')
  const snapshots = path.join(dir, 'snapshot')
  const made = [await disk.mkdir(folder), await disk.mkdir(snapshots)]
  if (made.includes(true)) await disk.syncDir(dir)
  await removeUnfinishedSnapshots(disk, snapshots)
  const signer = new CheckpointSigner(options.origin, options.signer)
  const checkpoint = await readCheckpoint(options, signer)
  const segments = await listSegments(disk, folder)
  const keys = new JournalKeys(options.keys)
  const chosen = await chooseSnapshot(options, keys, snapshots, segments)
  const { snapshot } = chosen
  const tiles = new TileWriter(disk, dir)
  const onFull = tiles.add.bind(tiles)
  const chain: Chain = {
    seq: snapshot?.tree.size ?? 0,
    time: snapshot?.lastTime ?? 0,
    writeSet: snapshot?.lastWriteSet ?? 0,
    crc: snapshot?.crc ?? 0,
    tree: snapshot === undefined ? new Tree(onFull) : Tree.from(snapshot.tree, onFull),
  }
  if (checkpoint?.size === chain.seq && !checkpoint.root.equals(chain.tree.root()))
    throw new JournalDamage(path.join(dir, 'checkpoint'), 0, chain.seq, 'checkpoint and snapshot do not agree')
  const readers = new SegmentReaders(disk, folder)
  const places = new WriteSetPlaces(options.boundaryId, keys, readers)
  const scanned = await scan(
    {
      disk,
      boundaryId: options.boundaryId,
      keys,
      segments,
      covered: { checkpoint, snapshot: chosen.newest },
      from: snapshot,
      onSegment: header => {
        places.segment(header.firstSeq, header.nextWriteSet)
        if (header.firstSeq === snapshot?.segment) places.continueAt(snapshot.lastWriteSet + 1)
      },
      afterSegment: () => flush(tiles),
    },
    chain,
    frame => {
      if (frame.writeSetNumber > 0) places.add(frame.location.offset)
      replay(frame)
    },
  )
  if (options.now() < chain.time && options.acceptClock !== chain.time) throw new ClockBehind(options.now(), chain.time)
  if (scanned.unused !== undefined) {
    await disk.unlink(scanned.unused)
    await disk.syncDir(folder)
  }
  const fromSnapshot = snapshot?.tree.size ?? 0
  const opened = {
    fromSnapshot,
    replayed: chain.seq - fromSnapshot,
    cutBytes: scanned.cutBytes,
    snapshotsRefused: chosen.refused,
  }
  const parts = { options, keys, chain, readers, places, tiles, signer, snapshotSize: fromSnapshot, opened }
  const journal = new Appender(parts)
  await journal.start(scanned.last, checkpoint !== undefined)
  return journal
}

async function readCheckpoint({ disk, dir }: JournalOptions, signer: CheckpointSigner) {
  const file = path.join(dir, 'checkpoint')
  const note = await readWhole(disk, file, MAX_CHECKPOINT_BYTES)
  if (note === undefined) return undefined
  const checkpoint = signer.open(note.toString())
  if (checkpoint === undefined)
    throw new JournalDamage(file, 0, 0, 'the checkpoint is not one that this boundary signed')
  return checkpoint
}

/** Tiles that there is no room for are kept for the first checkpoint that finds some. */
async function flush(tiles: TileWriter): Promise<void> {
  try {
    await tiles.flush([])
  } catch (error) {
    if (!isNoRoom(error)) throw error
  }
}

interface Chosen {
  readonly snapshot: Snapshot | undefined
  /** Size of the newest one that is authentic, used or not: the journal must reach it. */
  readonly newest: number
  readonly refused: readonly string[]
}

/** Gives the caller the state of the newest snapshot that can be used. Throws `JournalDamage` where an authentic one speaks of what is not there. */
async function chooseSnapshot(
  options: JournalOptions,
  keys: JournalKeys,
  folder: string,
  segments: readonly Segment[],
): Promise<Chosen> {
  const { disk, dir, boundaryId } = options
  const refused: string[] = []
  let newest = 0
  for (const name of await listSnapshots(disk, folder)) {
    const file = path.join(folder, name)
    const refuse = (reason: string) => refused.push(`${file}: ${reason}`)
    let snapshot: Snapshot
    try {
      snapshot = await readSnapshot(disk, folder, name, boundaryId, keys.snapshots)
    } catch (error) {
      refuse((error as Error).message)
      continue
    }
    newest = Math.max(newest, snapshot.tree.size)
    await checkPlace(options, file, snapshot, segments)
    const missing = await firstMissingTile(disk, dir, snapshot.tree.size)
    if (missing !== undefined) {
      refuse(`it relies on ${missing}, which is not there`)
      continue
    }
    try {
      if (options.restore(snapshot.state)) return { snapshot, newest, refused }
      refuse('its state has another form')
    } catch (error) {
      refuse(`its state cannot be read: ${(error as Error).message}`)
    }
  }
  return { snapshot: undefined, newest, refused }
}

/** The journal must hold the frame at which a snapshot was made, where it was made. */
async function checkPlace(
  { disk }: JournalOptions,
  file: string,
  { segment, offset, crc, tree }: Snapshot,
  segments: readonly Segment[],
): Promise<void> {
  const damage = (at: string, what: string) =>
    new JournalDamage(at, offset, tree.size, `${what}, and the snapshot ${path.basename(file)} covers it`)
  const found = segments.find(({ header }) => typeof header !== 'string' && header.firstSeq === segment)
  if (found === undefined) throw damage(file, `segment ${segment} is not there`)
  if (found.size < offset) throw damage(found.file, 'the journal ends')
  // A frame and a header alike end with their crc.
  const last = Buffer.alloc(4)
  const opened = await disk.open(found.file, 'read')
  try {
    await opened.read(last, offset - 4)
  } finally {
    await opened.close()
  }
  if (last.readUInt32BE(0) !== crc) throw damage(found.file, 'another record ends here')
}
