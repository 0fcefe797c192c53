/** The root that a backup leaves out: a root kit of `holdfast root save` (docs/formats/root.md), or a root file by itself. */
import { readFile } from 'node:fs/promises'
import { FormatError } from '../boundary/bytes.ts'
import type { TreeHead } from '../boundary/journal/types.ts'
import { isKit, parseKit } from '../boundary/root/kit.ts'
import { parseRootFile, type RootFile } from '../boundary/root/rootfile.ts'
import { RootError } from '../boundary/root/types.ts'
import { NoteError, parseCheckpoint, parseNote, parseVerifier, verifyNote, vkeyOf } from '../log/note.ts'
import { BackupError } from './errors.ts'

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
  /** Its name, for messages. */
  readonly where: string
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
    if (!isKit(read)) return { bytes: read, file: parseRootFile(read), where: path, seen: undefined }
    const { rootFile: bytes, checkpoint } = parseKit(read)
    const file = parseRootFile(bytes)
    return { bytes, file, where: path, seen: seenIn(checkpoint, file.logPublicKey, path) }
  } catch (error) {
    if (!(error instanceof FormatError || error instanceof NoteError || error instanceof RootError)) throw error
    throw new BackupError('Refused', `${path} is neither a root kit nor a root file: ${error.message}`)
  }
}
