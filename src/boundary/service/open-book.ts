/** Opening a journal into a book: with the keys of the generations that the root file holds, from where the journal begins. */
import type { BoundaryConfig } from '../config.ts'
import { type Disk, realDisk } from '../journal/disk.ts'
import { openJournal } from '../journal/journal.ts'
import { type Journal, JournalDamage, OlderState, type TreeHead } from '../journal/types.ts'
import type { OpenedRoot } from '../root/rootfile.ts'
import { beginningOf, beginThere } from './beginning.ts'
import type { Book } from './book.ts'
import type { FolderFiles } from './folder.ts'
import type { Log } from './log.ts'

export interface Opening {
  readonly config: BoundaryConfig
  readonly files: FolderFiles
  readonly disk?: Disk
  readonly now: () => number
  readonly log: Log
  readonly onFatal: (error: Error) => void
}

/** The journal, and the root as it is then: its file may have named another beginning. `givingUp`: the newer state that is not gone back to. */
export async function openBook(
  opening: Opening,
  before: OpenedRoot,
  book: Book,
  givingUp?: TreeHead,
): Promise<{ readonly journal: Journal; readonly root: OpenedRoot }> {
  const { config, files, disk = realDisk, now, log, onFatal } = opening
  const { file, keyring } = before
  const base = await beginningOf({ disk, dir: config.folder, root: before, origin: config.logOrigin })
  const limits = config.limits ?? {}
  const options = {
    dir: config.folder,
    disk,
    boundaryId: file.boundaryId,
    keys: file.generations.map(({ generation, firstRecord }) => ({
      firstRecord,
      writeSet: keyring.key('write-set', generation),
      snapshot: keyring.key('snapshot', generation),
    })),
    signer: before.logKey,
    origin: config.logOrigin,
    now,
    base,
    ...(config.acceptClock === undefined ? {} : { acceptClock: config.acceptClock }),
    ...(limits.segmentBytes === undefined ? {} : { segmentBytes: limits.segmentBytes }),
    ...(limits.floorBytes === undefined ? {} : { floorBytes: limits.floorBytes }),
    ...(limits.reserveBytes === undefined ? {} : { reserveBytes: limits.reserveBytes }),
    onFatal,
    state: () => book.state(),
    restore: (state: Buffer) => book.restore(state),
  }
  // An older state than the newest generation of the root is of no use: nothing opens what it holds. Known before anything is given up for it.
  const reaches = (size: number): void => {
    const { firstRecord = 0, generation = 0 } = file.generations.at(-1) ?? {}
    if (size >= Math.max(firstRecord, file.wholeAt)) return
    const what =
      size < firstRecord
        ? `generation ${generation} of the root begins with record ${firstRecord}: the journal is older than the root file, and they do not belong together`
        : `all was sealed anew under generation ${generation} of the root by record ${file.wholeAt}, and the generation before is destroyed: what this journal holds of it opens no more`
    throw new JournalDamage(files.journal, 0, size, what)
  }
  const journal = await openJournal({ ...options, ...(givingUp && { givingUp }) }, book.replay.bind(book)).catch(
    (error: unknown) => {
      if (error instanceof OlderState) reaches(error.held.size)
      throw error
    },
  )
  let root: OpenedRoot
  try {
    reaches(journal.size)
    root = await beginThere(before, files.root, base)
  } catch (error) {
    await journal.abandon()
    throw error
  }
  if (root !== before)
    log('warn', `the journal begins with record ${base.seq}, and so does the root file now: it said ${file.base.seq}`)
  book.attach(journal)
  return { journal, root }
}
