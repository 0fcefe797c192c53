/** Opening the journal: the newest usable snapshot, then every frame after it. See docs/formats/journal.md. */
import path from 'node:path'
import { Appender } from './appender.ts'
import { chainAt, headerAt, WHOLE } from './beginning.ts'
import { CheckpointSigner } from './checkpoint.ts'
import { isNoRoom } from './derived.ts'
import { readWhole } from './disk.ts'
import { JournalKeys } from './keys.ts'
import { Tree } from './merkle.ts'
import { discardBeyond } from './older.ts'
import { WriteSetPlaces } from './places.ts'
import { type Chain, scan } from './scan.ts'
import { listSegments, removeSegmentsBefore, type Segment, SegmentReaders } from './segments.ts'
import { listSnapshots, readSnapshot, removeUnfinishedSnapshots, type Snapshot, snapshotName } from './snapshot.ts'
import { firstMissingTile, TileWriter } from './tiles.ts'
import {
  ClockBehind,
  JournalDamage,
  type JournalOptions,
  OlderState,
  type OpenJournal,
  type TreeHead,
} from './types.ts'

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
  const base = options.base ?? WHOLE
  const segments = await listSegments(disk, folder, base.seq)
  const first = headerAt(folder, base, segments)
  const keys = new JournalKeys(options.keys)
  const chosen = await chooseSnapshot(options, keys, snapshots, segments)
  const { snapshot } = chosen
  const tiles = new TileWriter(disk, dir)
  tiles.keep(base.seq)
  const onFull = tiles.add.bind(tiles)
  const chain: Chain =
    snapshot === undefined
      ? await chainAt(options, base, first, onFull)
      : {
          seq: snapshot.tree.size,
          time: snapshot.lastTime,
          writeSet: snapshot.lastWriteSet,
          crc: snapshot.crc,
          tree: Tree.from(snapshot.tree, onFull),
        }
  if (checkpoint?.size === chain.seq && !checkpoint.root.equals(chain.tree.root()))
    throw new JournalDamage(path.join(dir, 'checkpoint'), 0, chain.seq, 'checkpoint and snapshot do not agree')
  const readers = new SegmentReaders(disk, folder)
  const places = new WriteSetPlaces(options.boundaryId, keys, readers, base)
  const scanned = await scan(
    {
      disk,
      boundaryId: options.boundaryId,
      keys,
      segments,
      covered: { checkpoint, snapshot: chosen.newest?.size ?? 0 },
      from: snapshot,
      onSegment: header => {
        places.segment(header.firstSeq, header.nextWriteSet, header.lastTime)
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
  const seen = newestOf(checkpoint, chosen.newest)
  const isOlder = seen !== undefined && seen.size > chain.seq
  if (isOlder) {
    const { givingUp } = options
    const { last } = scanned
    const held = { size: chain.seq, root: chain.tree.root(), lastTime: chain.time }
    if (givingUp?.size !== seen.size || !givingUp.root.equals(seen.root))
      throw new OlderState(last?.file ?? folder, last?.end ?? 0, seen, held)
    await discardBeyond(disk, dir, chain.seq)
  }
  if (options.now() < chain.time && options.acceptClock !== chain.time) throw new ClockBehind(options.now(), chain.time)
  if (scanned.unused !== undefined) {
    await disk.unlink(scanned.unused)
    await disk.syncDir(folder)
  }
  await removeSegmentsBefore(disk, folder, base.seq)
  const fromSnapshot = snapshot?.tree.size ?? 0
  const opened = {
    fromSnapshot,
    replayed: chain.seq - (snapshot?.tree.size ?? base.seq),
    cutBytes: scanned.cutBytes,
    snapshotsRefused: chosen.refused,
  }
  const parts = { options, keys, chain, readers, places, tiles, signer, snapshotSize: fromSnapshot, opened }
  const journal = new Appender(parts)
  try {
    await journal.start(scanned.last, checkpoint !== undefined, isOlder)
  } catch (error) {
    await journal.abandon()
    throw error
  }
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

function newestOf(checkpoint: TreeHead | undefined, snapshot: TreeHead | undefined): TreeHead | undefined {
  return checkpoint === undefined || (snapshot !== undefined && snapshot.size > checkpoint.size) ? snapshot : checkpoint
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
  /** The newest one that is authentic, used or not: the journal must reach it. */
  readonly newest: TreeHead | undefined
  readonly refused: readonly string[]
}

/** Gives the caller the state of the newest snapshot that can be used. Throws `JournalDamage` where an authentic one speaks of what is not there. */
async function chooseSnapshot(
  options: JournalOptions,
  keys: JournalKeys,
  folder: string,
  segments: readonly Segment[],
): Promise<Chosen> {
  const { disk, dir, boundaryId, base = WHOLE } = options
  const refused: string[] = []
  let newest: TreeHead | undefined
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
    if (newest === undefined || snapshot.tree.size > newest.size)
      newest = { size: snapshot.tree.size, root: Tree.from(snapshot.tree, () => {}).root() }
    if (snapshot.segment < base.seq) {
      refuse('it stands for records that were erased')
      continue
    }
    if (!(await checkPlace(options, snapshot, segments))) {
      refuse('it covers more than the journal holds')
      continue
    }
    const missing = await firstMissingTile(disk, dir, snapshot.tree.size, base.seq)
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

/** Whether the journal reaches the frame at which a snapshot was made. Throws `JournalDamage` where it reaches there, and another record ends at that place. */
async function checkPlace(
  { disk }: JournalOptions,
  { segment, offset, crc, tree }: Snapshot,
  segments: readonly Segment[],
): Promise<boolean> {
  const found = segments.find(({ header }) => typeof header !== 'string' && header.firstSeq === segment)
  if (found === undefined || found.size < offset) return false
  // A frame and a header alike end with their crc.
  const last = Buffer.alloc(4)
  const opened = await disk.open(found.file, 'read')
  try {
    await opened.read(last, offset - 4)
  } finally {
    await opened.close()
  }
  if (last.readUInt32BE(0) === crc) return true
  const what = `another record ends here, and the snapshot ${snapshotName(tree.size)} covers it`
  throw new JournalDamage(found.file, offset, tree.size, what)
}
