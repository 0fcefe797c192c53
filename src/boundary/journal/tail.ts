/** The segment that is being written: its file, where it ends, and the chain of crcs. See docs/formats/journal.md, "Segment header". */
import path from 'node:path'
import { fillRandom } from '../crypto/random.ts'
import { type Disk, type DiskFile, datasync, writeNew } from './disk.ts'
import { encodeHeader, type FrameContext, HEADER_BYTES } from './frame.ts'
import type { JournalKeys } from './keys.ts'
import type { Scanned } from './scan.ts'
import { segmentName } from './segments.ts'

/** What stands before a new segment. */
export interface Before {
  readonly size: number
  readonly lastWriteSet: number
  readonly lastTime: number
  /** RFC 6962. */
  readonly root: Buffer
}

export class Tail {
  readonly #disk: Disk
  readonly #folder: string
  file: DiskFile | undefined
  /** Sequence number of its first frame. */
  firstSeq = 0
  end = 0
  /** Of the last frame, or of the header. */
  crc: number
  context: FrameContext

  /** `crc`: of the last frame that there is. */
  constructor(disk: Disk, folder: string, boundaryId: Buffer, keys: JournalKeys, crc: number) {
    this.#disk = disk
    this.#folder = folder
    this.context = { boundaryId, writeSetKey: keys.newest.writeSet, seed: 0 }
    this.crc = crc
  }

  /** No frame stands in it. */
  get empty(): boolean {
    return this.end <= HEADER_BYTES
  }

  /** Takes the last segment over, and cuts off what is torn. */
  async takeOver(last: NonNullable<Scanned['last']>): Promise<void> {
    this.file = await this.#disk.open(last.file, 'write')
    this.firstSeq = last.firstSeq
    this.end = last.end
    this.context = { ...this.context, seed: last.seed }
    if ((await this.file.size()) !== last.end) await this.file.truncate(last.end)
    // What an earlier process wrote and did not sync was read all the same, and could still vanish.
    await datasync(this.file)
    await this.#disk.syncDir(this.#folder)
  }

  /** Batches wait while a segment is made, so what is durable now is all that stands before it. */
  async begin({ size, lastWriteSet, lastTime, root }: Before): Promise<void> {
    const salt = Buffer.alloc(16)
    fillRandom(salt, 0, 16)
    const header = encodeHeader({
      boundaryId: this.context.boundaryId,
      salt,
      firstSeq: size,
      nextWriteSet: lastWriteSet + 1,
      lastTime,
      lastCrc: this.crc,
      root,
    })
    const file = path.join(this.#folder, segmentName(size))
    await writeNew(this.#disk, file, [header.bytes], true)
    await this.#disk.syncDir(this.#folder)
    const opened = await this.#disk.open(file, 'write')
    await this.file?.close()
    this.file = opened
    this.firstSeq = size
    this.end = HEADER_BYTES
    this.context = { ...this.context, seed: header.crc }
    this.crc = header.crc
  }
}
