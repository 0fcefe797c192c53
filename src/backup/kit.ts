/** The root that a backup leaves out: a root kit of `holdfast root save` (docs/formats/root.md), or a root file by itself. */
import { readFile } from 'node:fs/promises'
import { FormatError, Reader } from '../boundary/bytes.ts'
import type { TreeHead } from '../boundary/journal/types.ts'
import { parseRootFile, type RootFile } from '../boundary/root/rootfile.ts'
import { RootError } from '../boundary/root/types.ts'
import { NoteError, parseCheckpoint, parseNote, parseVerifier, verifyNote, vkeyOf } from '../log/note.ts'
import { BackupError } from './errors.ts'

const KIT = Buffer.from('HOLDKIT1')
const MAX_KIT_BYTES = 2 * 1024 * 1024

/** A checkpoint that this boundary has signed: what it is known to have had. */
export interface SeenCheckpoint extends TreeHead {
  readonly note: string
  /** Where it was found, for messages. */
  readonly where: string
}

export interface GivenRoot {
  readonly bytes: Buffer
  readonly file: RootFile
  /** The newest that was signed when the kit was saved; undefined for a root file. */
  readonly seen: SeenCheckpoint | undefined
}

/** What a note says, if the log with this key has signed it. Throws `NoteError`. */
export function seenIn(note: Buffer, logPublicKey: Buffer, where: string): SeenCheckpoint {
  const parsed = parseNote(note)
  const { origin, size, root } = parseCheckpoint(parsed.text)
  verifyNote(parsed, [parseVerifier(vkeyOf(origin, logPublicKey))])
  return { size, root, note: note.toString('utf8'), where }
}

/** Rejects with BackupError. */
export async function readGivenRoot(path: string): Promise<GivenRoot> {
  const read = await readFile(path).catch((error: NodeJS.ErrnoException) => {
    throw new BackupError('Refused', `${path} cannot be read (${error.code})`)
  })
  if (read.length > MAX_KIT_BYTES) throw new BackupError('Refused', `${path} is neither a root kit nor a root file`)
  try {
    if (!read.subarray(0, KIT.length).equals(KIT)) return { bytes: read, file: parseRootFile(read), seen: undefined }
    const reader = new Reader(read, KIT.length)
    const bytes = Buffer.from(reader.long())
    const note = Buffer.from(reader.long())
    reader.end()
    const file = parseRootFile(bytes)
    return { bytes, file, seen: seenIn(note, file.logPublicKey, path) }
  } catch (error) {
    if (!(error instanceof FormatError || error instanceof NoteError || error instanceof RootError)) throw error
    throw new BackupError('Refused', `${path} is neither a root kit nor a root file: ${error.message}`)
  }
}
