/**
 * The journal: opening, appending with group commit, rolling, reading back. Design: docs/formats/journal.md.
 *
 * One write and one fdatasync carry everything that waits; the next begins when the last has returned. After one failed write or fsync nothing is ever
 * written again: what the disk holds is then unknown, and retrying on the same file could report success for data that is lost.
 */
import path from 'node:path'
import { fillRandom } from '../crypto/random.ts'
import { CheckpointSigner } from './checkpoint.ts'
import { type Disk, type DiskFile, datasync, isCode, readWhole, replaceFile, writeNew } from './disk.ts'
import {
  encodeHeader,
  type FrameContext,
  frameBytes,
  HEADER_BYTES,
  openWriteSet,
  parseFrame,
  parseHeader,
  writeFrame,
} from './frame.ts'
import { type Frontier, leafHash } from './merkle.ts'
import { type Scanned, scan, segmentName } from './scan.ts'
import {
  type Appended,
  ClockBehind,
  type Journal,
  JournalDamage,
  JournalDead,
  type JournalOptions,
  type Location,
  MAX_RECORD_BYTES,
  MAX_WRITE_SET_BYTES,
  type OpenedWriteSet,
  type OpenJournal,
  type OpenReport,
} from './types.ts'

const MAX_CHECKPOINT_BYTES = 64 * 1024
/** Free space is asked of the file system at most this often. */
const SPACE_EVERY_MS = 1000

interface Waiting {
  readonly record: Buffer
  readonly rows: Buffer | undefined
  readonly seq: number
  readonly time: number
  readonly writeSet: number
  readonly resolve: (appended: Appended) => void
  readonly reject: (error: Error) => void
}

/** Numbers of write sets and where they stand; two flat arrays, because there can be millions. */
class WriteSetPlaces {
  readonly #segments: number[] = []
  readonly #offsets: number[] = []

  add({ segment, offset }: Location): void {
    this.#segments.push(segment)
    this.#offsets.push(offset)
  }

  /** `number` from 1. */
  at(number: number): Location | undefined {
    const segment = this.#segments[number - 1]
    const offset = this.#offsets[number - 1]
    return segment === undefined || offset === undefined ? undefined : { segment, offset }
  }
}

class SegmentedJournal implements Journal {
  readonly #options: JournalOptions
  readonly #disk: Disk
  readonly #folder: string
  readonly #signer: CheckpointSigner
  readonly #frontier: Frontier
  readonly #places: WriteSetPlaces
  readonly opened: OpenReport
  readonly #readers = new Map<number, { file: DiskFile; seed: number }>()

  #file: DiskFile | undefined
  #firstSeq = 0
  #end = 0
  #seed = 0
  #crc: number

  /** The next to give, as opposed to the last durable. */
  #nextSeq: number
  #nextWriteSet: number
  #lastGivenTime: number
  #size: number
  #lastWriteSet: number
  #lastTime: number

  #waiting: Waiting[] = []
  #busy = false
  #scheduled = false
  #dead: JournalDead | undefined
  #idle: (() => void)[] = []
  #low = false
  #spaceAskedAt = 0
  #checkpointAt = 0
  #checkpointSize = -1
  #checkpointTimer: NodeJS.Timeout | undefined
  #checkpointing: Promise<string> | undefined

  constructor(
    options: JournalOptions,
    scanned: Scanned,
    places: WriteSetPlaces,
    signer: CheckpointSigner,
    opened: OpenReport,
  ) {
    this.#options = options
    this.#disk = options.disk
    this.#folder = path.join(options.dir, 'journal')
    this.#signer = signer
    this.#frontier = scanned.frontier
    this.#places = places
    this.opened = opened
    this.#crc = scanned.last?.crc ?? 0
    this.#nextSeq = this.#size = scanned.size
    this.#nextWriteSet = scanned.lastWriteSet + 1
    this.#lastWriteSet = scanned.lastWriteSet
    this.#lastGivenTime = this.#lastTime = scanned.lastTime
  }

  /** Takes the last segment over, or makes the first. */
  async start(last: Scanned['last']): Promise<void> {
    if (last === undefined) {
      await this.#newSegment()
    } else {
      this.#file = await this.#disk.open(last.file, 'write')
      this.#firstSeq = last.firstSeq
      this.#end = last.end
      this.#seed = last.seed
      if ((await this.#file.size()) !== last.end) await this.#file.truncate(last.end)
      // What an earlier process wrote and did not sync was read all the same, and could still vanish.
      await datasync(this.#file)
      await this.#disk.syncDir(this.#folder)
    }
    await this.#askSpace()
  }

  get size(): number {
    return this.#size
  }

  get lastWriteSet(): number {
    return this.#lastWriteSet
  }

  get lastTime(): number {
    return this.#lastTime
  }

  get lowOnSpace(): boolean {
    return this.#low
  }

  get vkey(): string {
    return this.#signer.vkey
  }

  append(record: Buffer, writeSetRows?: Buffer): Promise<Appended> {
    if (record.length < 1 || record.length > MAX_RECORD_BYTES)
      throw new RangeError(`a record is 1 to ${MAX_RECORD_BYTES} bytes`)
    if (writeSetRows !== undefined && writeSetRows.length > MAX_WRITE_SET_BYTES)
      throw new RangeError(`a write set is at most ${MAX_WRITE_SET_BYTES} bytes`)
    if (this.#dead) return Promise.reject(this.#dead)
    this.#lastGivenTime = Math.max(this.#lastGivenTime, this.#options.now())
    return new Promise((resolve, reject) => {
      this.#waiting.push({
        record: Buffer.from(record),
        rows: writeSetRows === undefined ? undefined : Buffer.from(writeSetRows),
        seq: this.#nextSeq++,
        time: this.#lastGivenTime,
        writeSet: writeSetRows === undefined ? 0 : this.#nextWriteSet++,
        resolve,
        reject,
      })
      this.#schedule()
    })
  }

  /** After this turn of the event loop, so that everything asked in one tick is one commit. */
  #schedule(): void {
    if (this.#busy || this.#scheduled || this.#waiting.length === 0) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      if (this.#busy || this.#dead || this.#waiting.length === 0) return
      this.#busy = true
      const batch = this.#waiting
      this.#waiting = []
      this.#commit(batch)
    })
  }

  #commit(batch: readonly Waiting[]): void {
    const segmentBytes = this.#options.segmentBytes ?? 64 * 1024 * 1024
    if (this.#end >= segmentBytes && this.#end > HEADER_BYTES) {
      this.#newSegment().then(
        () => this.#write(batch),
        error => this.#die(error, batch),
      )
    } else this.#write(batch)
  }

  #write(batch: readonly Waiting[]): void {
    const file = this.#file as DiskFile
    const context: FrameContext = {
      boundaryId: this.#options.boundaryId,
      writeSetKey: this.#options.writeSetKey,
      seed: this.#seed,
    }
    let total = 0
    for (const one of batch) total += frameBytes(one.record.length, one.rows?.length)
    const bytes = Buffer.allocUnsafe(total)
    const leaves: Buffer[] = []
    const offsets: number[] = []
    const first = batch[0]?.seq ?? 0
    let at = 0
    let crc = this.#crc
    for (const one of batch) {
      const writeSet = one.rows === undefined ? undefined : { number: one.writeSet, rows: one.rows }
      const written = writeFrame(
        bytes,
        at,
        { seq: one.seq, time: one.time, record: one.record, writeSet },
        first,
        crc,
        context,
      )
      crc = written.crc
      leaves.push(leafHash(written.leaf))
      offsets.push(this.#end + at)
      at += frameBytes(one.record.length, one.rows?.length)
    }
    try {
      file.write(bytes, this.#end)
    } catch (error) {
      this.#die(error as Error, batch)
      return
    }
    file.datasync(error => {
      if (error !== null) {
        this.#die(error, batch)
        return
      }
      this.#crc = crc
      this.#end += total
      for (const leaf of leaves) this.#frontier.push(leaf)
      for (const [index, one] of batch.entries()) {
        const location = { segment: this.#firstSeq, offset: offsets[index] as number }
        this.#size = one.seq + 1
        this.#lastTime = one.time
        if (one.writeSet > 0) {
          this.#places.add(location)
          this.#lastWriteSet = one.writeSet
        }
        one.resolve({ seq: one.seq, time: one.time, writeSet: one.writeSet, location })
      }
      this.#busy = false
      this.#schedule()
      this.#afterCommit()
    })
  }

  #afterCommit(): void {
    if (this.#waiting.length === 0 && !this.#busy) for (const wake of this.#idle.splice(0)) wake()
    const now = performance.now()
    if (now - this.#spaceAskedAt > SPACE_EVERY_MS) void this.#askSpace().catch(error => this.#die(error, []))
    if (this.#checkpointTimer !== undefined) return
    const every = this.#options.checkpointEveryMs ?? 1000
    this.#checkpointTimer = setTimeout(
      () => {
        this.#checkpointTimer = undefined
        if (!this.#dead) this.checkpoint().catch(error => this.#die(error, []))
      },
      Math.max(0, this.#checkpointAt + every - now),
    )
    this.#checkpointTimer.unref()
  }

  #die(cause: unknown, batch: readonly Waiting[]): void {
    const error = cause as Error
    const first = this.#dead === undefined
    this.#dead ??= new JournalDead(`the journal cannot be written: ${error.message}`, error)
    for (const one of [...batch, ...this.#waiting.splice(0)]) one.reject(this.#dead)
    for (const wake of this.#idle.splice(0)) wake()
    if (first) this.#options.onFatal(error)
  }

  async #newSegment(): Promise<void> {
    const salt = Buffer.alloc(16)
    fillRandom(salt, 0, 16)
    // Batches wait while a segment is made, so what is durable now is all that stands before it.
    const header = encodeHeader({
      boundaryId: this.#options.boundaryId,
      salt,
      firstSeq: this.#size,
      nextWriteSet: this.#lastWriteSet + 1,
      lastTime: this.#lastTime,
      lastCrc: this.#crc,
      root: this.#frontier.root(),
    })
    const file = path.join(this.#folder, segmentName(this.#size))
    await writeNew(this.#disk, file, header.bytes, true)
    await this.#disk.syncDir(this.#folder)
    const opened = await this.#disk.open(file, 'write')
    await this.#file?.close()
    this.#file = opened
    this.#firstSeq = this.#size
    this.#end = HEADER_BYTES
    this.#seed = this.#crc = header.crc
  }

  async #reader(segment: number): Promise<{ file: DiskFile; seed: number }> {
    const known = this.#readers.get(segment)
    if (known) return known
    const name = path.join(this.#folder, segmentName(segment))
    const file = await this.#disk.open(name, 'read')
    const head = Buffer.alloc(HEADER_BYTES)
    await file.read(head, 0)
    const reader = { file, seed: parseHeader(head).crc }
    const other = this.#readers.get(segment)
    if (other) {
      await file.close()
      return other
    }
    this.#readers.set(segment, reader)
    return reader
  }

  async readWriteSet(location: Location): Promise<OpenedWriteSet> {
    const { file, seed } = await this.#reader(location.segment)
    const head = Buffer.alloc(8)
    await file.read(head, location.offset)
    const length = head.readUInt32BE(4)
    const damage = (what: string): JournalDamage => new JournalDamage(file.path, location.offset, -1, what)
    if (length > MAX_WRITE_SET_BYTES + MAX_RECORD_BYTES + 128) throw damage('a frame of impossible length')
    const bytes = Buffer.allocUnsafe(length)
    const got = await file.read(bytes, location.offset)
    const frame = parseFrame(bytes.subarray(0, got), 0, seed)
    if (typeof frame === 'string') throw damage(frame)
    const opened = openWriteSet(frame, {
      boundaryId: this.#options.boundaryId,
      writeSetKey: this.#options.writeSetKey,
      seed,
    })
    if (opened === undefined) throw damage('a write set does not open')
    return opened
  }

  async writeSetsAfter(after: number, max: number): Promise<readonly OpenedWriteSet[]> {
    const sets: OpenedWriteSet[] = []
    for (let number = after + 1; number <= this.#lastWriteSet && sets.length < max; number++) {
      const place = this.#places.at(number)
      if (place !== undefined) sets.push(await this.readWriteSet(place))
    }
    return sets
  }

  checkpoint(): Promise<string> {
    // One at a time, and whoever asks while one is being written gets one that covers what is durable now.
    const after = this.#checkpointing?.catch(() => undefined) ?? Promise.resolve(undefined)
    const next = after.then(() => this.#writeCheckpoint())
    this.#checkpointing = next
    return next
  }

  async #writeCheckpoint(): Promise<string> {
    const note = this.#signer.sign({ size: this.#size, root: this.#frontier.root() })
    const size = this.#size
    if (size !== this.#checkpointSize)
      await replaceFile(this.#disk, path.join(this.#options.dir, 'checkpoint'), Buffer.from(note))
    this.#checkpointSize = size
    this.#checkpointAt = performance.now()
    return note
  }

  async #askSpace(): Promise<void> {
    this.#spaceAskedAt = performance.now()
    const reserve = path.join(this.#options.dir, 'reserve')
    const reserveBytes = this.#options.reserveBytes ?? 8 * 1024 * 1024
    const floor = this.#options.floorBytes ?? 64 * 1024 * 1024
    const low = (await this.#disk.freeSpace(this.#options.dir)) < floor
    if (low && !this.#low) {
      await this.#disk.unlink(reserve).catch((error: unknown) => {
        if (!isCode(error, 'ENOENT')) throw error
      })
    } else if (!low && (this.#low || this.#spaceAskedOnce === false)) {
      if ((await this.#disk.readdir(this.#options.dir)).includes('reserve') === false) {
        await writeNew(this.#disk, reserve, Buffer.alloc(reserveBytes), false)
      }
    }
    this.#spaceAskedOnce = true
    this.#low = low
  }
  #spaceAskedOnce = false

  async close(): Promise<void> {
    if (this.#dead === undefined) {
      if (this.#busy || this.#waiting.length > 0) await new Promise<void>(resolve => this.#idle.push(resolve))
    }
    clearTimeout(this.#checkpointTimer)
    if (this.#dead === undefined) await this.checkpoint()
    this.#dead ??= new JournalDead('the journal is closed')
    await this.#file?.close()
    for (const { file } of this.#readers.values()) await file.close()
    this.#readers.clear()
  }
}

/** See `OpenJournal` in types.ts. */
export const openJournal: OpenJournal = async (options, replay) => {
  const { disk, dir } = options
  const folder = path.join(dir, 'journal')
  if (await disk.mkdir(folder)) await disk.syncDir(dir)
  const signer = new CheckpointSigner(options.origin, options.signer)
  const file = path.join(dir, 'checkpoint')
  const note = await readWhole(disk, file, MAX_CHECKPOINT_BYTES)
  const covered = note === undefined ? undefined : signer.open(note.toString())
  if (note !== undefined && covered === undefined)
    throw new JournalDamage(file, 0, 0, 'the checkpoint is not one that this boundary signed')
  const places = new WriteSetPlaces()
  const scanned = await scan(
    { disk, boundaryId: options.boundaryId, writeSetKey: options.writeSetKey, folder, covered },
    frame => {
      if (frame.writeSet !== undefined) places.add(frame.location)
      replay(frame)
    },
  )
  if (options.now() < scanned.lastTime) throw new ClockBehind(options.now(), scanned.lastTime)
  if (scanned.unused !== undefined) {
    await disk.unlink(scanned.unused)
    await disk.syncDir(folder)
  }
  const opened: OpenReport = {
    fromSnapshot: 0,
    replayed: scanned.size,
    cutBytes: scanned.cutBytes,
    snapshotsRefused: [],
  }
  const journal = new SegmentedJournal(options, scanned, places, signer, opened)
  await journal.start(scanned.last)
  return journal
}
