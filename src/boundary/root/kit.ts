/**
 * The root kit: a copy of the root file and the newest checkpoint, kept apart from backups, which leave the root out. Useless without the root of
 * trust. See docs/formats/root.md, "Root kit".
 */
import { FormatError, Reader, Writer } from '../bytes.ts'

export interface RootKit {
  readonly rootFile: Buffer
  /** The signed note: what the log was when the kit was made. */
  readonly checkpoint: Buffer
}

const MAGIC = Buffer.from('HOLDKIT1')
/** Of each of the two: as much as a start reads of a root file. */
const MAX_BYTES = 1 << 20

export function encodeKit({ rootFile, checkpoint }: RootKit): Buffer {
  const size = MAGIC.length + 8 + rootFile.length + checkpoint.length
  return new Writer(size).raw(MAGIC).long(rootFile).long(checkpoint).done()
}

/** Whether it begins as a kit, whatever follows. */
export const isKit = (bytes: Buffer): boolean => bytes.subarray(0, MAGIC.length).equals(MAGIC)

/** Throws `FormatError`. Views of the input. */
export function parseKit(bytes: Buffer): RootKit {
  const reader = new Reader(bytes)
  if (!reader.raw(MAGIC.length).equals(MAGIC)) throw new FormatError('it does not begin as a root kit')
  const kit = { rootFile: reader.long(MAX_BYTES), checkpoint: reader.long(MAX_BYTES) }
  reader.end()
  return kit
}
