/** The segments of a journal: their names and headers, and files of them that are open for reading, of which only so many are kept. */
import path from 'node:path'
import { type FormatError, UnknownVersion } from '../bytes.ts'
import type { Disk, DiskFile } from './disk.ts'
import { HEADER_BYTES, parseHeader, type SegmentHeader } from './frame.ts'
import { JournalDamage, WriteSetGone } from './types.ts'

const SEGMENT = /^(\d{20})\.seg$/
const OPEN_READERS = 32

export function segmentName(firstSeq: number): string {
  return `${String(firstSeq).padStart(20, '0')}.seg`
}

/** Whether a name in the folder is that of a segment. */
export function isSegmentName(name: string): boolean {
  return SEGMENT.test(name)
}

export interface Segment {
  readonly file: string
  readonly name: string
  readonly size: number
  /** Or why there is none: only of the last segment, which can be one that was never used. */
  readonly header: SegmentHeader | string
}

/** Names of the segments whose first record is before `seq`, oldest first. */
export async function segmentsBefore(disk: Disk, folder: string, seq: number): Promise<string[]> {
  return (await disk.readdir(folder)).filter(name => isSegmentName(name) && name < segmentName(seq))
}

/** Removes the segments whose first record is before `seq`, oldest first, so that those which are left follow each other. */
export async function removeSegmentsBefore(disk: Disk, folder: string, seq: number): Promise<void> {
  const names = await segmentsBefore(disk, folder, seq)
  for (const name of names) await disk.unlink(path.join(folder, name))
  if (names.length > 0) await disk.syncDir(folder)
}

/** Every segment from record `seq` on with its header, oldest first. Throws `JournalDamage` for a header that is none, except that of the last one. */
export async function listSegments(disk: Disk, folder: string, seq: number): Promise<Segment[]> {
  const names = (await disk.readdir(folder)).filter(name => isSegmentName(name) && name >= segmentName(seq))
  const segments: Segment[] = []
  for (const [index, name] of names.entries()) {
    const file = path.join(folder, name)
    const opened = await disk.open(file, 'read')
    try {
      const bytes = Buffer.alloc(HEADER_BYTES)
      const got = await opened.read(bytes, 0)
      const header = readHeader(bytes.subarray(0, got))
      // Never taken for one that was not used, however short it is.
      if (header instanceof UnknownVersion) throw new JournalDamage(file, 8, Number(name.slice(0, 20)), header)
      if (typeof header === 'string' && index < names.length - 1)
        throw new JournalDamage(file, 0, Number(name.slice(0, 20)), header)
      segments.push({ file, name, size: await opened.size(), header })
    } finally {
      await opened.close()
    }
  }
  return segments
}

function readHeader(bytes: Buffer): SegmentHeader | UnknownVersion | string {
  try {
    return parseHeader(bytes)
  } catch (error) {
    return error instanceof UnknownVersion ? error : (error as FormatError).message
  }
}

interface Reader {
  readonly file: DiskFile
  readonly seed: number
  uses: number
  /** What the last use does at its end: the segment was erased meanwhile. */
  last: (() => Promise<void>) | undefined
}

/** Files open for reading. The one that was not used for longest is closed when there are too many. */
export class SegmentReaders {
  readonly #disk: Disk
  readonly #folder: string
  readonly #readers = new Map<number, Promise<Reader>>()
  /** The first record that is there: what stands before was erased. */
  #begins = 0

  constructor(disk: Disk, folder: string) {
    this.#disk = disk
    this.#folder = folder
  }

  /** Calls with the open file of a segment and the crc of its header. */
  async use<T>(segment: number, act: (file: DiskFile, seed: number) => Promise<T>): Promise<T> {
    const opening = this.#readers.get(segment) ?? this.#open(segment)
    this.#readers.delete(segment)
    this.#readers.set(segment, opening)
    let reader: Reader
    try {
      reader = await opening
    } catch (error) {
      this.#readers.delete(segment)
      throw segment < this.#begins ? new WriteSetGone('the segment was erased') : error
    }
    reader.uses++
    try {
      return await act(reader.file, reader.seed)
    } finally {
      reader.uses--
      if (reader.uses === 0) await reader.last?.()
      await this.#trim()
    }
  }

  async #open(segment: number): Promise<Reader> {
    const file = await this.#disk.open(path.join(this.#folder, segmentName(segment)), 'read')
    const bytes = Buffer.alloc(HEADER_BYTES)
    const header = readHeader(bytes.subarray(0, await file.read(bytes, 0)))
    if (typeof header !== 'string' && !(header instanceof UnknownVersion))
      return { file, seed: header.crc, uses: 0, last: undefined }
    await file.close()
    throw new JournalDamage(file.path, 0, segment, header)
  }

  /** Closes what is open of the segments before `seq`, once it is not in use. */
  async forgetBefore(seq: number): Promise<void> {
    this.#begins = seq
    for (const [segment, opening] of this.#readers) {
      if (segment >= seq) continue
      this.#readers.delete(segment)
      const reader = await opening
      if (reader.uses > 0) reader.last = () => reader.file.close()
      else await reader.file.close()
    }
  }

  async #trim(): Promise<void> {
    for (const [segment, opening] of this.#readers) {
      if (this.#readers.size <= OPEN_READERS) return
      const reader = await opening
      if (reader.uses > 0 || this.#readers.get(segment) !== opening) continue
      this.#readers.delete(segment)
      await reader.file.close()
    }
  }

  async close(): Promise<void> {
    for (const opening of this.#readers.values()) await (await opening).file.close()
    this.#readers.clear()
  }
}
