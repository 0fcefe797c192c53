/** What is expected to go wrong when a log is read: said in a line, with exit code 1. */
import { FormatError } from '../boundary/bytes.ts'
import { Bad } from '../log/bad.ts'
import { NoteError } from '../log/note.ts'

const BAD = 1

export async function guarded(act: () => Promise<void>): Promise<void> {
  try {
    await act()
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    const known =
      error instanceof NoteError || error instanceof FormatError || error instanceof Bad || typeof code === 'string'
    if (!known) throw error
    // Whoever read our output has seen enough.
    if (code === 'EPIPE') return
    process.stderr.write(`holdfast: ${(error as Error).message}\n`)
    process.exitCode = BAD
  }
}
