/**
 * The journal while it is open: appending with group commit, rolling, and when what is derived from it is due. See docs/formats/journal.md.
 *
 * One write and one fdatasync carry everything that waits; the next begins when the last has returned. After one failed write or fsync nothing is ever
 * written again: what the disk holds is then unknown, and retrying on the same file could report success for data that is lost.
 */
import path from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { fillRandom } from '../crypto/random.ts'
import { Batch, type Waiting } from './batch.ts'
import type { CheckpointSigner } from './checkpoint.ts'
import { Derived, isNoRoom } from './derived.ts'
import { type Disk, type DiskFile, datasync, writeNew } from './disk.ts'
import { encodeHeader, type FrameContext, HEADER_BYTES } from './frame.ts'
import type { Tree } from './merkle.ts'
import type { WriteSetPlaces } from './places.ts'
import type { Chain, Scanned } from './scan.ts'
import { type SegmentReaders, segmentName } from './segments.ts'
import { Space } from './space.ts'
import type { TileWriter } from './tiles.ts'
import {
  type Appended,
  type Journal,
  JournalDead,
  type JournalOptions,
  type Location,
  MAX_RECORD_BYTES,
  MAX_WRITE_SET_BYTES,
  type OpenedWriteSet,
  type OpenReport,
  type SignedPlace,
} from './types.ts'

const MIB = 1024 * 1024

export interface AppenderParts {
  readonly options: JournalOptions
  readonly chain: Chain
  readonly readers: SegmentReaders
  readonly places: WriteSetPlaces
  readonly tiles: TileWriter
  readonly signer: CheckpointSigner
  /** Size of the newest usable snapshot, 0 for none. */
  readonly snapshotSize: number
  readonly opened: OpenReport
}

export class Appender implements Journal {
  readonly #options: JournalOptions
  readonly #disk: Disk
  readonly #folder: string
  readonly #signer: CheckpointSigner
  readonly #tree: Tree
  readonly #readers: SegmentReaders
  readonly #places: WriteSetPlaces
  readonly #derived: Derived
  readonly #space: Space
  readonly #segmentBytes: number
  readonly #snapshotFrames: number
  readonly opened: OpenReport

  #file: DiskFile | undefined
  #firstSeq = 0
  #end = 0
  #context: FrameContext
  #crc: number

  /** The next to give, as opposed to the last durable. */
  #nextSeq: number
  #nextWriteSet: number
  #lastGivenTime: number
  #lastWriteSet: number
  #lastTime: number

  /** Frames gather in one while the other is being written. */
  #filling = new Batch()
  #spare = new Batch()
  #busy = false
  #scheduled = false
  #snapshotDue = false
  #closing = false
  #dead: JournalDead | undefined
  #idle: (() => void)[] = []
  #checkpointAt = performance.now()
  #checkpointTimer: NodeJS.Timeout | undefined

  constructor({ options, chain, readers, places, tiles, signer, snapshotSize, opened }: AppenderParts) {
    const { disk, dir, boundaryId, writeSetKey } = options
    this.#options = options
    this.#disk = disk
    this.#folder = path.join(dir, 'journal')
    this.#signer = signer
    this.#tree = chain.tree
    this.#readers = readers
    this.#places = places
    this.#derived = new Derived({ options, tree: chain.tree, tiles, signer, snapshotSize })
    this.#space = new Space(disk, dir, options.floorBytes ?? 64 * MIB, options.reserveBytes ?? 8 * MIB)
    this.#segmentBytes = options.segmentBytes ?? 64 * MIB
    this.#snapshotFrames = options.snapshotFrames ?? 250_000
    this.opened = opened
    this.#context = { boundaryId, writeSetKey, seed: 0 }
    this.#crc = chain.crc
    this.#nextSeq = chain.seq
    this.#nextWriteSet = chain.writeSet + 1
    this.#lastWriteSet = chain.writeSet
    this.#lastGivenTime = this.#lastTime = chain.time
  }

  /**
   * Takes the last segment over, or makes the first. `checkpointed`: there is a checkpoint; else it is made now, so that a folder always has one. Giving up
   * a newer state, nothing is signed before the record of that.
   */
  async start(last: Scanned['last'], checkpointed: boolean, isGivingUp: boolean): Promise<void> {
    if (last === undefined) {
      await this.#newSegment()
    } else {
      this.#file = await this.#disk.open(last.file, 'write')
      this.#firstSeq = last.firstSeq
      this.#end = last.end
      this.#context = { ...this.#context, seed: last.seed }
      if ((await this.#file.size()) !== last.end) await this.#file.truncate(last.end)
      // What an earlier process wrote and did not sync was read all the same, and could still vanish.
      await datasync(this.#file)
      await this.#disk.syncDir(this.#folder)
    }
    await this.#space.ask()
    if (isGivingUp) return
    if (checkpointed) this.#checkpointSoon()
    else await this.#derived.checkpoint().catch(error => this.#derivedFailed(error))
    this.#snapshotDue = this.#tree.size - this.#derived.snapshotSize >= this.#snapshotFrames
  }

  get size(): number {
    return this.#tree.size
  }

  get lastWriteSet(): number {
    return this.#lastWriteSet
  }

  get lastTime(): number {
    return this.#lastTime
  }

  get lowOnSpace(): boolean {
    return this.#space.low
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
    if (this.#closing) return Promise.reject(new JournalDead('the journal is closed'))
    const time = Math.max(this.#lastGivenTime, this.#options.now())
    this.#lastGivenTime = time
    const seq = this.#nextSeq++
    const writeSet = writeSetRows === undefined ? 0 : this.#nextWriteSet++
    const batch = this.#filling
    const at = batch.lay(seq, time, record, writeSet, writeSetRows)
    return new Promise((resolve, reject) => {
      batch.waiting.push({ seq, time, writeSet, at, resolve, reject })
      this.#schedule()
    })
  }

  /** After this turn of the event loop, so that everything asked in one tick is one commit. */
  #schedule(): void {
    if (this.#busy || this.#scheduled || (this.#filling.waiting.length === 0 && !this.#snapshotDue)) return
    this.#scheduled = true
    setImmediate(this.#turn)
  }

  /** Nothing is being written, and the continuations of everything that was written have run. */
  readonly #turn = (): void => {
    this.#scheduled = false
    if (this.#busy || this.#dead) return
    if (this.#snapshotDue && !this.#derived.snapshotting) this.#snapshot()
    if (this.#filling.waiting.length === 0) return
    this.#busy = true
    const batch = this.#filling
    this.#filling = this.#spare
    this.#spare = batch
    if (this.#end >= this.#segmentBytes && this.#end > HEADER_BYTES) {
      this.#newSegment().then(
        () => {
          this.#snapshot()
          this.#write(batch)
        },
        error => this.#die(error, batch.waiting),
      )
    } else this.#write(batch)
  }

  #write(batch: Batch): void {
    const file = this.#file as DiskFile
    const crc = batch.seal(this.#crc, this.#context)
    const { bytes, waiting } = batch
    try {
      file.write(bytes, this.#end)
    } catch (error) {
      this.#die(error as Error, waiting)
      return
    }
    file.datasync(error => {
      if (error !== null) {
        this.#die(error, waiting)
        return
      }
      const begin = this.#end
      this.#crc = crc
      this.#end += bytes.length
      batch.grow(this.#tree)
      this.#lastTime = (waiting.at(-1) as Waiting).time
      batch.clear()
      for (let index = 0; index < waiting.length; index++) {
        const { seq, time, writeSet, at, resolve } = waiting[index] as Waiting
        const offset = begin + at
        if (writeSet > 0) {
          this.#places.add(offset)
          this.#lastWriteSet = writeSet
        }
        resolve({ seq, time, writeSet, location: { segment: this.#firstSeq, offset } })
      }
      this.#busy = false
      this.#afterCommit()
    })
    batch.hash()
  }

  #afterCommit(): void {
    if (this.#tree.size - this.#derived.snapshotSize >= this.#snapshotFrames) this.#snapshotDue = true
    this.#schedule()
    if (this.#filling.waiting.length === 0) for (const wake of this.#idle.splice(0)) wake()
    if (this.#space.due(performance.now())) void this.#space.ask().catch(error => this.#die(error, []))
    this.#checkpointSoon()
  }

  #checkpointSoon(): void {
    if (this.#checkpointTimer !== undefined || this.#closing) return
    const every = this.#options.checkpointEveryMs ?? 1000
    const wait = Math.max(0, this.#checkpointAt + every - performance.now())
    this.#checkpointTimer = setTimeout(() => {
      this.#checkpointTimer = undefined
      if (this.#dead) return
      this.#checkpointAt = performance.now()
      this.#derived.checkpoint().catch(error => this.#derivedFailed(error))
    }, wait)
    this.#checkpointTimer.unref()
  }

  /** Takes the state now, and has it written. Not while space is low: it would eat what revoking needs. */
  #snapshot(): void {
    this.#snapshotDue = this.#derived.snapshotting
    if (this.#snapshotDue || this.#space.low || this.#tree.size === this.#derived.snapshotSize) return
    this.#takeSnapshot().then(
      () => this.#schedule(),
      error => this.#derivedFailed(error),
    )
  }

  async #takeSnapshot(): Promise<void> {
    await this.#derived.snapshot({ ...this.#place(), tree: this.#tree.state() }, this.#options.state())
  }

  /** Where the last durable record ends. */
  #place() {
    return {
      lastTime: this.#lastTime,
      lastWriteSet: this.#lastWriteSet,
      segment: this.#firstSeq,
      offset: this.#end,
      crc: this.#crc,
    }
  }

  #derivedFailed(error: unknown): void {
    if (isNoRoom(error)) this.#checkpointSoon()
    else this.#die(error, [])
  }

  #die(cause: unknown, batch: readonly Waiting[]): void {
    const error = cause as Error
    const first = this.#dead === undefined
    this.#dead ??= new JournalDead(`the journal cannot be written: ${error.message}`, error)
    for (const one of [...batch, ...this.#filling.waiting.splice(0)]) one.reject(this.#dead)
    for (const wake of this.#idle.splice(0)) wake()
    if (first) this.#options.onFatal(error)
  }

  async #newSegment(): Promise<void> {
    const salt = Buffer.alloc(16)
    fillRandom(salt, 0, 16)
    // Batches wait while a segment is made, so what is durable now is all that stands before it.
    const firstSeq = this.#tree.size
    const header = encodeHeader({
      boundaryId: this.#options.boundaryId,
      salt,
      firstSeq,
      nextWriteSet: this.#lastWriteSet + 1,
      lastTime: this.#lastTime,
      lastCrc: this.#crc,
      root: this.#tree.root(),
    })
    const file = path.join(this.#folder, segmentName(firstSeq))
    await writeNew(this.#disk, file, header.bytes, true)
    await this.#disk.syncDir(this.#folder)
    const opened = await this.#disk.open(file, 'write')
    await this.#file?.close()
    this.#file = opened
    this.#firstSeq = firstSeq
    this.#end = HEADER_BYTES
    this.#context = { ...this.#context, seed: header.crc }
    this.#crc = header.crc
    this.#places.segment(firstSeq, this.#lastWriteSet + 1)
  }

  readWriteSet(location: Location): Promise<OpenedWriteSet> {
    return this.#places.read(location)
  }

  async writeSetsAfter(after: number, max: number): Promise<readonly OpenedWriteSet[]> {
    const last = Math.min(this.#lastWriteSet, after + max)
    const sets: OpenedWriteSet[] = []
    for (let next = after + 1; next <= last; next = after + 1 + sets.length)
      sets.push(...(await this.#places.readFrom(next, last)))
    return sets
  }

  async signedPlace(): Promise<SignedPlace> {
    let signed: Omit<SignedPlace, 'note'> | undefined
    const note = await this.checkpoint(() => {
      signed = { size: this.#tree.size, root: this.#tree.root(), ...this.#place() }
    })
    return { note, ...(signed as Omit<SignedPlace, 'note'>) }
  }

  async checkpoint(onSign?: () => void): Promise<string> {
    try {
      return await this.#derived.checkpoint(onSign)
    } catch (error) {
      this.#derivedFailed(error)
      throw error
    }
  }

  async close(): Promise<void> {
    this.#closing = true
    clearTimeout(this.#checkpointTimer)
    if (!this.#dead && (this.#busy || this.#filling.waiting.length > 0))
      await new Promise<void>(resolve => this.#idle.push(resolve))
    // What waited for the last commit does its own first: the snapshot is of the state after that.
    await nextTurn()
    try {
      if (this.#dead) throw this.#dead
      await this.#lastWork()
    } finally {
      this.#dead ??= new JournalDead('the journal is closed')
      await this.#file?.close()
      await this.#readers.close()
    }
  }

  /** The last checkpoint and snapshot. Without room for them the next start does what they would have spared it. */
  async #lastWork(): Promise<void> {
    try {
      await this.#derived.checkpoint()
      await this.#derived.settled()
      if (this.#dead) throw this.#dead
      if (this.#tree.size !== this.#derived.snapshotSize && !this.#space.low) await this.#takeSnapshot()
    } catch (error) {
      if (isNoRoom(error)) return
      this.#die(error, [])
      throw error
    }
  }
}
