/**
 * The journal while it is open: appending with group commit, rolling, and when what is derived from it is due. See docs/formats/journal.md.
 *
 * One write and one fdatasync carry everything that waits; the next begins when the last has returned. After one failed write or fsync nothing is ever
 * written again: what the disk holds is then unknown, and retrying on the same file could report success for data that is lost.
 */
import path from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { Batch, checkSizes, type Waiting } from './batch.ts'
import { eraseBefore } from './beginning.ts'
import type { CheckpointSigner } from './checkpoint.ts'
import { Derived } from './derived.ts'
import type { DiskFile } from './disk.ts'
import { Following } from './following.ts'
import type { GenerationKeys, JournalKeys } from './keys.ts'
import type { Tree } from './merkle.ts'
import type { AppenderParts } from './parts.ts'
import { Pauses } from './pauses.ts'
import type { WriteSetPlaces } from './places.ts'
import type { Scanned } from './scan.ts'
import type { SegmentReaders } from './segments.ts'
import { Space } from './space.ts'
import { Tail } from './tail.ts'
import {
  type Appended,
  type Base,
  type Journal,
  JournalDead,
  type JournalOptions,
  type Location,
  type OpenedWriteSet,
  type OpenReport,
  type Place,
  type RekeyPoint,
  type SegmentStart,
  type SignedPlace,
} from './types.ts'

const MIB = 1024 * 1024

export class Appender implements Journal {
  readonly #options: JournalOptions
  readonly #keys: JournalKeys
  readonly #signer: CheckpointSigner
  readonly #tree: Tree
  readonly #readers: SegmentReaders
  readonly #places: WriteSetPlaces
  readonly #derived: Derived
  readonly #following: Following
  readonly #space: Space
  readonly #tail: Tail
  readonly #segmentBytes: number
  readonly opened: OpenReport

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
  readonly #pauses = new Pauses()
  #closing = false
  #dead: JournalDead | undefined
  #idle: (() => void)[] = []

  constructor({ options, keys, chain, readers, places, tiles, signer, snapshotSize, opened }: AppenderParts) {
    const { disk, dir, boundaryId } = options
    this.#options = options
    this.#keys = keys
    this.#signer = signer
    this.#tree = chain.tree
    this.#readers = readers
    this.#places = places
    this.#derived = new Derived({ options, keys, tree: chain.tree, tiles, signer, snapshotSize })
    this.#space = new Space({
      disk,
      dir,
      floorBytes: options.floorBytes ?? 64 * MIB,
      reserveBytes: options.reserveBytes ?? 8 * MIB,
      onError: error => this.#die(error, []),
    })
    this.#following = new Following({
      derived: this.#derived,
      tree: chain.tree,
      space: this.#space,
      checkpointEveryMs: options.checkpointEveryMs ?? 1000,
      snapshotFrames: options.snapshotFrames ?? 250_000,
      state: () => options.state(),
      place: () => this.#place(),
      dead: () => this.#dead,
      die: error => this.#die(error, []),
      onSnapshot: () => this.#schedule(),
    })
    this.#segmentBytes = options.segmentBytes ?? 64 * MIB
    this.opened = opened
    this.#tail = new Tail(disk, path.join(dir, 'journal'), boundaryId, keys, chain.crc)
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
    if (last === undefined) await this.#newSegment()
    else await this.#tail.takeOver(last)
    await this.#space.ask()
    if (isGivingUp) return
    if (checkpointed) this.#following.checkpointSoon()
    else await this.#following.firstCheckpoint()
    this.#following.look()
  }

  get size(): number {
    return this.#tree.size
  }

  get base(): Base {
    return this.#places.base
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
    checkSizes(record, writeSetRows)
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
    if (this.#busy || this.#scheduled) return
    if (this.#filling.waiting.length === 0 && !this.#following.due && !this.#pauses.waiting) return
    this.#scheduled = true
    setImmediate(this.#turn)
  }

  /** Nothing is being written, and the continuations of everything that was written have run. */
  readonly #turn = (): void => {
    this.#scheduled = false
    if (this.#busy || this.#dead) return
    if (this.#following.due && !this.#following.snapshotting) this.#following.snapshot()
    this.#pauses.begin()
    if (this.#filling.waiting.length === 0) {
      if (this.#pauses.begun) this.#pause()
      return
    }
    this.#busy = true
    const batch = this.#filling
    this.#filling = this.#spare
    this.#spare = batch
    if (this.#tail.end >= this.#segmentBytes && !this.#tail.empty) {
      this.#newSegment().then(
        () => {
          this.#following.snapshot()
          this.#write(batch)
        },
        error => this.#die(error, batch.waiting),
      )
    } else this.#write(batch)
  }

  #write(batch: Batch): void {
    const tail = this.#tail
    const file = tail.file as DiskFile
    const crc = batch.seal(tail.crc, tail.context)
    const { bytes, waiting } = batch
    try {
      file.write(bytes, tail.end)
    } catch (error) {
      this.#die(error as Error, waiting)
      return
    }
    file.datasync(error => {
      if (error !== null) {
        this.#die(error, waiting)
        return
      }
      const begin = tail.end
      tail.crc = crc
      tail.end += bytes.length
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
        resolve({ seq, time, writeSet, location: { segment: tail.firstSeq, offset } })
      }
      this.#busy = false
      this.#afterCommit()
    })
    batch.hash()
  }

  #afterCommit(): void {
    this.#following.look()
    if (this.#pauses.begun) this.#pause()
    else this.#next()
  }

  #next(): void {
    this.#schedule()
    if (this.#filling.waiting.length === 0 && !this.#pauses.waiting) for (const wake of this.#idle.splice(0)) wake()
    this.#following.checkpointSoon()
  }

  /** Everything that was appended before it began is durable; what was appended since waits until it is done. */
  #pause(): void {
    this.#busy = true
    // What waited for the last commit does its own first.
    void nextTurn()
      .then(() => this.#pauses.run())
      .then(
        () => {
          this.#busy = false
          this.#next()
        },
        error => this.#die(error, []),
      )
  }

  #between<T>(begin: () => () => Promise<T>): Promise<T> {
    if (this.#dead) return Promise.reject(this.#dead)
    if (this.#closing) return Promise.reject(new JournalDead('the journal is closed'))
    const done = this.#pauses.ask(begin)
    this.#schedule()
    return done
  }

  rekey(
    change: (at: RekeyPoint, durable: Promise<void>) => Promise<Omit<GenerationKeys, 'firstRecord'>>,
  ): Promise<void> {
    return this.#between(() => {
      const at = { firstRecord: this.#nextSeq, firstWriteSet: this.#nextWriteSet }
      const before = Promise.withResolvers<void>()
      const changed = change(at, before.promise)
      changed.catch(() => {})
      return async () => {
        before.resolve()
        const keys = await changed
        this.#keys.add({ ...keys, firstRecord: at.firstRecord })
        this.#tail.context = { ...this.#tail.context, writeSetKey: keys.writeSet }
      }
    })
  }

  async segmentFrom(seq: number): Promise<number> {
    const there = this.#places.segmentFrom(seq)
    if (there !== undefined) return there
    return this.#between(() => async () => {
      await this.#roll()
      return this.#tail.firstSeq
    })
  }

  async snapshotAlone(): Promise<void> {
    // Only taking the state is between two batches: writing it can take seconds, and appends go on.
    const { written } = await this.#between(() => async () => {
      const snapshot = this.#following.takeSnapshot(1)
      snapshot.catch(error => this.#following.failed(error))
      return { written: snapshot }
    })
    await written
  }

  forgetOldKeys(): void {
    this.#keys.forgetOld()
  }

  /** Where the last durable record ends. */
  #place(): Place {
    return {
      lastTime: this.#lastTime,
      lastWriteSet: this.#lastWriteSet,
      segment: this.#tail.firstSeq,
      offset: this.#tail.end,
      crc: this.#tail.crc,
    }
  }

  #die(cause: unknown, batch: readonly Waiting[]): void {
    const error = cause as Error
    const first = this.#dead === undefined
    this.#dead ??= new JournalDead(`the journal cannot be written: ${error.message}`, error)
    for (const one of [...batch, ...this.#filling.waiting.splice(0)]) one.reject(this.#dead)
    this.#pauses.fail(this.#dead)
    for (const wake of this.#idle.splice(0)) wake()
    if (first) this.#options.onFatal(error)
  }

  /** A new segment, where the last one holds frames; a snapshot with it. */
  async #roll(): Promise<void> {
    if (this.#tail.empty) return
    await this.#newSegment()
    this.#following.snapshot()
  }

  async #newSegment(): Promise<void> {
    const { size } = this.#tree
    await this.#tail.begin({
      size,
      lastWriteSet: this.#lastWriteSet,
      lastTime: this.#lastTime,
      root: this.#tree.root(),
    })
    this.#places.segment(size, this.#lastWriteSet + 1, this.#lastTime)
  }

  readWriteSet(location: Location): Promise<OpenedWriteSet> {
    return this.#places.read(location)
  }

  writeSetsAfter(after: number, max: number): Promise<readonly OpenedWriteSet[]> {
    return this.#places.readAfter(after, Math.min(this.#lastWriteSet, after + max))
  }

  segments(): readonly SegmentStart[] {
    return this.#places.starts()
  }

  erase(seq: number, begin: (base: Base) => Promise<void>): Promise<void> {
    const erasing = { options: this.#options, derived: this.#derived, readers: this.#readers, places: this.#places }
    return this.#following.orFail(eraseBefore(erasing, seq, () => this.snapshotAlone(), begin))
  }

  checkpoint(onSign?: () => void): Promise<string> {
    return this.#following.checkpoint(onSign)
  }

  async signedPlace(): Promise<SignedPlace> {
    let signed: Omit<SignedPlace, 'note'> | undefined
    const note = await this.checkpoint(() => {
      signed = { size: this.#tree.size, root: this.#tree.root(), ...this.#place() }
    })
    return { note, ...(signed as Omit<SignedPlace, 'note'>) }
  }

  async close(): Promise<void> {
    this.#closing = true
    this.#following.end()
    this.#space.stop()
    if (!this.#dead && (this.#busy || this.#filling.waiting.length > 0 || this.#pauses.waiting))
      await new Promise<void>(resolve => this.#idle.push(resolve))
    // What waited for the last commit does its own first: the snapshot is of the state after that.
    await nextTurn()
    try {
      if (this.#dead) throw this.#dead
      await this.#following.last()
    } finally {
      this.#dead ??= new JournalDead('the journal is closed')
      await this.#tail.file?.close()
      await this.#readers.close()
    }
  }

  async abandon(): Promise<void> {
    this.#dead ??= new JournalDead('the journal is abandoned')
    await this.close().catch(() => {})
  }
}
