/**
 * The journal as its callers see it: the boundary's one append-only file, which is the truth of keys and log alike.
 *
 * Sequence numbers are the leaf indices of the Merkle tree, from 0. Write sets are numbered from 1 without gaps. Times are milliseconds since 1970 of
 * real time. Formats: docs/formats/journal.md.
 */
import type { KeyObject } from 'node:crypto'
import type { FormatError } from '../bytes.ts'
import type { Base } from '../root/rootfile.ts'
import type { Disk } from './disk.ts'
import type { GenerationKeys } from './keys.ts'

export type { Base }

/** A record is at most this many bytes; the longest that a u32 length and a reader's patience should have to allow. */
export const MAX_RECORD_BYTES = 65_536
/** The encoded rows of one write set are at most this many bytes. */
export const MAX_WRITE_SET_BYTES = 16 * 1024 * 1024

/** Where a frame stands: the segment, named by the sequence number of its first frame, and the byte offset in it. Stable for ever. */
export interface Location {
  readonly segment: number
  readonly offset: number
}

export interface Appended {
  readonly seq: number
  readonly time: number
  /** Number of the write set that went with the record; 0 where there was none. */
  readonly writeSet: number
  readonly location: Location
}

/** Where the last durable record ends. */
export interface Place {
  /** Of the last record, 0 for none. */
  readonly lastTime: number
  readonly lastWriteSet: number
  readonly segment: number
  readonly offset: number
  /** crc of the last record's frame, or of the segment's header where it has no frame yet. */
  readonly crc: number
}

/** Where the journal stood when a checkpoint was signed: nothing behind it is covered, everything before it is. */
export interface SignedPlace extends Place {
  readonly note: string
  readonly size: number
  readonly root: Buffer
}

/** A tree by size and root. */
export interface TreeHead {
  readonly size: number
  readonly root: Buffer
}

export interface OpenedWriteSet {
  readonly number: number
  /** The bytes given to `append`, decrypted. */
  readonly rows: Buffer
}

export interface ReplayedFrame {
  readonly seq: number
  readonly time: number
  /** A view that is valid only during the call: copy what is kept. */
  readonly record: Buffer
  /** Number of the write set that went with the record; 0 where there was none. */
  readonly writeSetNumber: number
  /** Undefined where there was none, or where its generation was destroyed. */
  readonly writeSet: OpenedWriteSet | undefined
  readonly location: Location
}

/** Where a generation of the root begins. */
export interface RekeyPoint {
  /** The first record whose write set is sealed under it. */
  readonly firstRecord: number
  /** The number of the first write set that is. */
  readonly firstWriteSet: number
}

/** A segment, by its first record, and the time of the last record before it. */
export interface SegmentStart {
  readonly firstSeq: number
  readonly timeBefore: number
}

export interface JournalOptions {
  /** The boundary's folder: `journal/`, `snapshot/`, `tile/`, `checkpoint` and `reserve` are made in it. It must exist. */
  readonly dir: string
  readonly disk: Disk
  /** 16 bytes, for ever the same for this folder. */
  readonly boundaryId: Buffer
  /** Of every generation of the root that is held, oldest first. What is written takes the newest. */
  readonly keys: readonly GenerationKeys[]
  /** Ed25519 private key: signs checkpoints. */
  readonly signer: KeyObject
  /** First line of checkpoints and the signer's name: no spaces, no `+`, no control characters. */
  readonly origin: string
  /** Real time in milliseconds since 1970. */
  readonly now: () => number
  /** Where it begins, as the caller knows from elsewhere than the journal. Segments before it are what an erasure left, and are removed. Default: at record 0. */
  readonly base?: Base
  /** The clock may be behind a last record of exactly this time: the records that follow keep it until the clock has come there. */
  readonly acceptClock?: number
  /** A segment that has reached this many bytes is followed by a new one. Default 64 MiB. */
  readonly segmentBytes?: number
  /** A snapshot is made after this many frames, besides at rolls and at close. Default 250,000. */
  readonly snapshotFrames?: number
  /** At most one checkpoint in this time while records arrive. Default 1000 ms. */
  readonly checkpointEveryMs?: number
  /** Below this many bytes of free space `lowOnSpace` is true. Default 64 MiB. */
  readonly floorBytes?: number
  /** Size of the file that is given back to the file system when space runs low. Default 8 MiB. */
  readonly reserveBytes?: number
  /**
   * Called once, when a write or an fsync has failed: the journal is dead, everything waiting has been rejected, and the process must exit without
   * answering anything as done.
   */
  readonly onFatal: (error: Error) => void
  /**
   * Makes the caller's state for a snapshot: what replaying every record so far would give. It is called when the promises of all appends that are in
   * the snapshot have been resolved and their continuations (microtasks) have run, and before any later one is written: a caller that changes its
   * state only in direct continuation of `append` is always exact.
   */
  readonly state: () => Buffer
  /**
   * Takes the state of a snapshot; called at most once with success, before any `replay`. False, with nothing changed, where it cannot be used (an
   * older form, say): then an older snapshot or a full replay follows.
   */
  readonly restore: (state: Buffer) => boolean
  /**
   * The newest state that is known to have been there, and is given up: the journal opens though it ends before. Nothing is signed until the caller has
   * appended what says so. Where it is not this state that was seen, the open rejects as without it.
   */
  readonly givingUp?: TreeHead
}

export interface Journal {
  /**
   * Appends one record (1 to `MAX_RECORD_BYTES` bytes), with the encoded rows of a write set where it is a transition. Both are copied before it
   * returns. Sequence, time and write-set number are given in the order of the calls. Resolves when the frame is durable; rejects with `JournalDead`
   * when it may not be. Throws RangeError on a wrong size.
   */
  append(record: Buffer, writeSetRows?: Buffer): Promise<Appended>
  /** Decrypts the write set at a location that `append` or `replay` gave. Rejects with `JournalDamage`, and with `WriteSetGone` where its generation was destroyed. */
  readWriteSet(location: Location): Promise<OpenedWriteSet>
  /** Write sets numbered above `after`, oldest first, at most `max`, durable ones only. Rejects as `readWriteSet`. */
  writeSetsAfter(after: number, max: number): Promise<readonly OpenedWriteSet[]>
  /** Signs a checkpoint of all that is durable now, and writes it and the tiles that it needs. Resolves with the signed note. */
  checkpoint(): Promise<string>
  /**
   * Seals under another generation from a record on. `change` is called between two turns of the event loop: what is appended from that call on stands at
   * `at` or behind it, and waits; `durable` resolves when everything before is durable. What it resolves with are the keys of the new generation, which the
   * root file must name durably by then. Where it rejects, the journal is dead.
   */
  rekey(change: (at: RekeyPoint, durable: Promise<void>) => Promise<Omit<GenerationKeys, 'firstRecord'>>): Promise<void>
  /** The first record of the oldest segment that begins at this record or behind it; where there is none, one is begun. */
  segmentFrom(seq: number): Promise<number>
  /** Leaves one snapshot alone, of all that is durable now, under the newest key. Rejects where it cannot be made. */
  snapshotAlone(): Promise<void>
  /** Forgets the keys of all generations but the newest. */
  forgetOldKeys(): void
  /** Where it begins. */
  readonly base: Base
  /** Every segment, oldest first. The last one is being written. */
  segments(): readonly SegmentStart[]
  /**
   * Erases every segment that stands before the one which begins with record `seq`. When all that the tree needs of them is durable, and a snapshot of
   * what is there, calls `begin`, which must make durable that the journal begins there: from then on they are gone, whatever happens. Throws RangeError
   * for what is no segment's first record.
   */
  erase(seq: number, begin: (base: Base) => Promise<void>): Promise<void>
  /** The same, with the place that it was signed at. */
  signedPlace(): Promise<SignedPlace>
  /** Number of durable records: the size of the tree. */
  readonly size: number
  /** Number of the newest durable write set; 0 for none. */
  readonly lastWriteSet: number
  /** Time of the newest record, 0 for none. No later record has an earlier one. */
  readonly lastTime: number
  /** Free space is below the floor: refuse uses; transitions still fit into what the reserve gave back. */
  readonly lowOnSpace: boolean
  /** The verifier key of the checkpoints, `<origin>+<hash>+<base64>` (C2SP signed-note). */
  readonly vkey: string
  /** How it was opened, for the operator's log. */
  readonly opened: OpenReport
  /** Waits for what was appended, writes a last checkpoint and snapshot, and closes. Appends from now on reject. Rejects where a write failed, then or before. */
  close(): Promise<void>
  /** Lets go of it as it is: nothing more is written. For a start that is refused. */
  abandon(): Promise<void>
}

/** How the journal was opened: for the operator's log. */
export interface OpenReport {
  /** Records that came out of a snapshot instead of a replay; 0 for a full replay. */
  readonly fromSnapshot: number
  readonly replayed: number
  /** Bytes of a torn last batch that were cut off. Nothing in them was ever acknowledged. */
  readonly cutBytes: number
  /** Snapshot files that could not be used, each with the reason. */
  readonly snapshotsRefused: readonly string[]
}

/**
 * `openJournal` in journal.ts: takes the newest usable snapshot (`options.restore`), then calls `replay` for every frame after it, in order and
 * synchronously. Rejects with `JournalDamage` (`OlderState` among them), `ClockBehind`, or the error of the operating system.
 */
export type OpenJournal = (options: JournalOptions, replay: (frame: ReplayedFrame) => void) => Promise<Journal>

/** The bytes on disk are not what was written. Names the first place; the open stops. */
export class JournalDamage extends Error {
  readonly file: string
  readonly offset: number
  /** The sequence number that is, or should be, at that place. */
  readonly seq: number
  readonly what: string
  constructor(file: string, offset: number, seq: number, problem: string | FormatError) {
    const what = typeof problem === 'string' ? problem : problem.message
    super(`${file}: ${what}, at byte ${offset}, record ${seq}`, typeof problem === 'string' ? {} : { cause: problem })
    this.name = 'JournalDamage'
    this.file = file
    this.offset = offset
    this.seq = seq
    this.what = what
  }
}

/** The write set was erased, or sealed under a generation of the root that was destroyed: nobody can read it any more. */
export class WriteSetGone extends Error {
  constructor(message = 'the write set was sealed under a generation of the root that was destroyed') {
    super(message)
    this.name = 'WriteSetGone'
  }
}

/** Every byte is as it was written, and the journal ends before what this boundary is known to have had: it was put back, or its end was lost. */
export class OlderState extends JournalDamage {
  /** What the newest checkpoint or snapshot says. */
  readonly seen: TreeHead
  /** What the journal holds, and the time of its last record. */
  readonly held: TreeHead & { readonly lastTime: number }
  constructor(file: string, offset: number, seen: TreeHead, held: TreeHead & { readonly lastTime: number }) {
    super(file, offset, held.size, `the journal ends, and this boundary has had ${seen.size} records`)
    this.name = 'OlderState'
    this.seen = seen
    this.held = held
  }
}

/** The wall clock is earlier than the last record: the open stops until the clock is right. */
export class ClockBehind extends Error {
  readonly now: number
  readonly lastTime: number
  constructor(now: number, lastTime: number) {
    const last = new Date(lastTime).toISOString()
    super(
      `the clock says ${new Date(now).toISOString()}, earlier than the last record of ${last}: set the clock and start again; where it is right and was ahead before, wait until then, or start with --accept-clock ${last}`,
    )
    this.name = 'ClockBehind'
    this.now = now
    this.lastTime = lastTime
  }
}

/** A write or fsync failed earlier, or the journal is closed: nothing can be appended any more. */
export class JournalDead extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = 'JournalDead'
  }
}
