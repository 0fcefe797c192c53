/**
 * Frames of both sockets: u32 length ‖ u32 request id ‖ u8 opcode ‖ body, where the length counts what follows it.
 * Lengths are checked before anything is kept, and whatever is written in one tick leaves in one write.
 */
import type { Socket } from 'node:net'
import { FormatError, Writer } from '../../bytes.ts'

export const PROTOCOL_VERSION = 3
/** The largest request, and the largest answer but for pages of rows: bytes, without the length field. */
export const MAX_REQUEST = 1 << 20
/** The largest frame that the boundary sends: a page of write sets or rows. */
export const MAX_ANSWER = 16 << 20
/** Rows and write sets are put into one page until it holds this many bytes. */
export const PAGE_BYTES = 4 << 20

/** Opcodes that are not operations. Requests have 1 to 111. */
export const CONTROL_CODES = {
  /** First frame of each side. */
  hello: 0,
  /** Client to boundary: every write set up to this number was handled. */
  delivered: 112,
  /** Boundary to client. */
  answer: 128,
  failure: 129,
  writeSet: 130,
} as const

const HEAD = 9

export type OnFrame = (requestId: number, opcode: number, frame: Buffer, bodyAt: number) => void

/**
 * Cuts a stream into frames. `push` calls back for each whole frame, synchronously, and throws `FormatError` when a length is out of bounds;
 * the connection is then to be closed. Never holds more than one frame of at most `max` bytes and one chunk.
 */
export class FrameSplitter {
  readonly #max: number
  readonly #onFrame: OnFrame
  #parts: Buffer[] = []
  #held = 0
  #needed = 4

  constructor(max: number, onFrame: OnFrame) {
    this.#max = max
    this.#onFrame = onFrame
  }

  push(chunk: Buffer): void {
    this.#parts.push(chunk)
    this.#held += chunk.length
    if (this.#held < this.#needed) return
    const all = this.#parts.length === 1 ? chunk : Buffer.concat(this.#parts, this.#held)
    let at = 0
    this.#needed = 4
    while (all.length - at >= 4) {
      const length = all.readUInt32BE(at)
      if (length < HEAD - 4 || length > this.#max) throw new FormatError(`a frame of ${length} bytes`)
      if (all.length - at - 4 < length) {
        this.#needed = 4 + length
        break
      }
      const frame = all.subarray(at + 4, at + 4 + length)
      at += 4 + length
      this.#onFrame(frame.readUInt32BE(0), frame.readUInt8(4), frame, 5)
    }
    this.#held = all.length - at
    this.#parts = this.#held === 0 ? [] : [all.subarray(at)]
  }
}

/** Gathers frames and writes them at once. */
export class FrameBatch {
  readonly #socket: Socket
  readonly #max: number
  readonly #schedule: (flush: () => void) => void
  #writer: Writer | undefined
  #size = 4096

  /**
   * `schedule` says when a batch leaves. The boundary's answers to one commit arise in one tick: `process.nextTick`. A front end's requests
   * arise in many callbacks of one turn of its event loop: `setImmediate`.
   */
  constructor(socket: Socket, max: number, schedule: (flush: () => void) => void) {
    this.#socket = socket
    this.#max = max
    this.#schedule = schedule
  }

  /** Appends one frame. Throws `RangeError`, leaving the batch as it was, when `write` does or the frame is larger than allowed. */
  add(requestId: number, opcode: number, write: (writer: Writer) => void): void {
    if (this.#writer === undefined) {
      this.#writer = new Writer(this.#size)
      this.#schedule(this.#flush)
    }
    const start = this.#writer.length
    try {
      this.#writer.u32(0).u32(requestId).u8(opcode)
      write(this.#writer)
      const length = this.#writer.length - start - 4
      if (length > this.#max) throw new RangeError(`a frame of ${length} bytes`)
      this.#writer.done().writeUInt32BE(length, start)
    } catch (error) {
      const kept = Buffer.from(this.#writer.done().subarray(0, start))
      this.#writer = new Writer(this.#size).raw(kept)
      throw error
    }
  }

  readonly #flush = (): void => {
    const writer = this.#writer
    if (writer === undefined) return
    this.#writer = undefined
    this.#size = Math.min(Math.max(4096, writer.length), 1 << 18)
    if (writer.length > 0 && this.#socket.writable) this.#socket.write(writer.done())
  }

  /** Writes what is gathered now; for the last frame before a connection is closed. */
  flush(): void {
    this.#flush()
  }
}
