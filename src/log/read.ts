/**
 * The entries of a boundary's folder, from the bytes of its journal, while a service writes them or long after: one window of a segment is in memory at
 * a time. Nothing is trusted to be there: what does not parse is an entry's problem, with its place.
 */
import { watch } from 'node:fs'
import { type FileHandle, open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { FormatError } from '../boundary/bytes.ts'
import {
  FRAME_BYTES,
  type Frame,
  HEADER_BYTES,
  MAX_FRAME_BYTES,
  parseFrame,
  parseHeader,
  type SegmentHeader,
} from '../boundary/journal/frame.ts'
import { isSegmentName, segmentName } from '../boundary/journal/segments.ts'
import { archivedFile, readIndex } from './archive-index.ts'
import { openFolder } from './folder.ts'

const WINDOW_BYTES = 1024 * 1024
/** Where changes are not told by the file system, it is asked this often. */
const POLL_MS = 1000

/** One frame in its place. Its buffers are views, valid until the next one is asked for. */
export interface Entry extends Frame {
  readonly file: string
  readonly offset: number
}

/** The names of a journal's segments, oldest first. Throws the error of the operating system where there is no such folder. */
export async function segmentFiles(boundary: string): Promise<string[]> {
  const folder = join(boundary, 'journal')
  return (await readdir(folder))
    .filter(isSegmentName)
    .sort()
    .map(name => join(folder, name))
}

/** A file that is read from front to back. */
export class SegmentFile {
  readonly file: string
  readonly #handle: FileHandle
  #window = Buffer.alloc(0)
  /** Offset in the file at which the window begins. */
  #base = 0
  #at = 0
  header: SegmentHeader | undefined

  private constructor(file: string, handle: FileHandle) {
    this.file = file
    this.#handle = handle
  }

  static async open(file: string): Promise<SegmentFile> {
    return new SegmentFile(file, await open(file, 'r'))
  }

  get offset(): number {
    return this.#at
  }

  async size(): Promise<number> {
    return (await this.#handle.stat()).size
  }

  /** At least `bytes` from where it stands, where the file has them. */
  async #fill(bytes: number): Promise<Buffer> {
    const from = this.#at - this.#base
    if (this.#window.length - from >= bytes) return this.#window.subarray(from)
    const window = Buffer.allocUnsafe(Math.max(bytes, WINDOW_BYTES))
    let filled = 0
    while (filled < window.length) {
      const { bytesRead } = await this.#handle.read(window, filled, window.length - filled, this.#at + filled)
      if (bytesRead === 0) break
      filled += bytesRead
    }
    this.#window = window.subarray(0, filled)
    this.#base = this.#at
    return this.#window
  }

  /** Reads the header. Throws `FormatError`. */
  async readHeader(): Promise<SegmentHeader> {
    this.header = parseHeader((await this.#fill(HEADER_BYTES)).subarray(0, HEADER_BYTES))
    this.#at = HEADER_BYTES
    return this.header
  }

  /** The next frame; why there is none; or undefined at the end of the file. After a problem, and at the end, it can be asked again. */
  async next(): Promise<Entry | string | undefined> {
    const seed = this.header?.crc ?? 0
    const head = await this.#fill(FRAME_BYTES)
    if (head.length === 0) return undefined
    const length = head.length < FRAME_BYTES ? 0 : head.readUInt32BE(4)
    const bytes = length > FRAME_BYTES && length <= MAX_FRAME_BYTES ? await this.#fill(length) : head
    const frame = parseFrame(bytes, 0, seed)
    if (typeof frame === 'string') return frame
    const offset = this.#at
    this.#at += frame.length
    return { ...frame, file: this.file, offset }
  }

  /** Forgets what was read ahead, so that what has been written since is seen. */
  refresh(): void {
    this.#window = Buffer.alloc(0)
    this.#base = this.#at
  }

  async close(): Promise<void> {
    await this.#handle.close()
  }
}

export interface ReadOptions {
  /** An archive: entries that the journal no longer has are read there. */
  readonly archive?: string
  /** Told of entries from one on to before another, which are passed over: their records were erased. */
  readonly onErased?: (from: number, to: number) => void
  /** Goes on with what is appended, until `signal` says otherwise. */
  readonly follow?: boolean
  readonly signal?: AbortSignal
}

/**
 * Every entry of a boundary's folder in order. What stands behind the last whole frame (one that is just being written) ends it, or with `follow` is
 * waited for. Throws `FormatError` for a segment that is none or that does not follow the one before: `verify` says more.
 */
export async function* readLog(boundary: string, options: ReadOptions = {}): AsyncGenerator<Entry, void, undefined> {
  const { follow = false, signal } = options
  const { base } = await openFolder(boundary)
  yield* erasedEntries(base.seq, options)
  const changes = follow ? new Changes(join(boundary, 'journal'), signal) : undefined
  let next = base.seq
  try {
    for (;;) {
      const files = await segmentFiles(boundary)
      const file = files.find(each => each.endsWith(segmentName(next)))
      if (file === undefined) {
        if (changes === undefined || !(await changes.wait())) return
        continue
      }
      const segment = await SegmentFile.open(file)
      try {
        try {
          await segment.readHeader()
        } catch (error) {
          // The last one may be in the making, or was left so.
          if ((await segment.size()) > HEADER_BYTES || (await segmentFiles(boundary)).at(-1) !== file) throw error
          if (changes === undefined || !(await changes.wait())) return
          continue
        }
        for (;;) {
          const entry = await segment.next()
          if (typeof entry === 'object') {
            if (entry.seq !== next) throw new FormatError(`${file}: entry ${entry.seq} where ${next} should stand`)
            next++
            yield entry
            continue
          }
          if ((await segmentFiles(boundary)).at(-1) !== file) {
            // Another segment follows, so this one is complete; a frame may have come in the meantime.
            segment.refresh()
            const last = await segment.next()
            if (typeof last !== 'object') break
            next = last.seq + 1
            yield last
            continue
          }
          if (changes === undefined || !(await changes.wait())) return
          segment.refresh()
        }
      } finally {
        await segment.close()
      }
      if (!(await segmentFiles(boundary)).some(each => each.endsWith(segmentName(next))))
        throw new FormatError(`${file}: the segment that follows it does not begin with entry ${next}`)
    }
  } finally {
    changes?.close()
  }
}

/** Entries before `to`, as far as the archive has them. */
async function* erasedEntries(to: number, { archive, onErased }: ReadOptions): AsyncGenerator<Entry, void, undefined> {
  let next = 0
  for (const segment of archive === undefined ? [] : (await readIndex(archive)).segments) {
    if (segment.first >= to) break
    if (segment.first > next) onErased?.(next, segment.first)
    const file = await SegmentFile.open(archivedFile(archive ?? '', segment))
    try {
      await file.readHeader()
      for (next = segment.first; next < segment.first + segment.entries; next++) {
        const entry = await file.next()
        if (typeof entry !== 'object' || entry.seq !== next)
          throw new FormatError(`${file.file}: entry ${next} is not where it should stand`)
        yield entry
      }
    } finally {
      await file.close()
    }
  }
  if (next < to) onErased?.(next, to)
}

/** Waits for a folder to change: told by the file system, and asked now and then where it does not tell. */
class Changes {
  readonly #watcher: ReturnType<typeof watch> | undefined
  readonly #signal: AbortSignal | undefined
  #changed = false
  #wake: () => void = () => {}

  constructor(folder: string, signal: AbortSignal | undefined) {
    this.#signal = signal
    const changed = () => {
      this.#changed = true
      this.#wake()
    }
    try {
      this.#watcher = watch(folder, changed)
      this.#watcher.on('error', () => {})
    } catch {
      // Without a watch it is asked.
    }
    signal?.addEventListener('abort', changed)
  }

  /** Resolves when something may have changed; with false when it is over. */
  async wait(): Promise<boolean> {
    if (!this.#changed && this.#signal?.aborted !== true) {
      await new Promise<void>(resolve => {
        const timer = setTimeout(resolve, POLL_MS)
        this.#wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
    this.#changed = false
    return this.#signal?.aborted !== true
  }

  close(): void {
    this.#watcher?.close()
  }
}
