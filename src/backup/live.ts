/** What a backup is made from: a service that is running, which signs a checkpoint whenever it is asked, or the folder of one that is stopped. */
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { connectControl } from '../boundary/client/control.ts'
import { parseRootFile, type RootFile } from '../boundary/root/rootfile.ts'
import { lockFolder, StartRefused } from '../boundary/service/lock.ts'
import { BoundaryError } from '../boundary/words.ts'
import { segmentFiles } from '../log/read.ts'
import { verifyFolder } from '../log/verify.ts'
import { BackupError } from './errors.ts'

/** Where the journal ends, and a checkpoint that covers it up to there or, in a folder whose service was killed, up to a little before. */
export interface Signed {
  readonly note: string
  /** Records that the note covers. */
  readonly covers: number
  /** Records up to the place. */
  readonly size: number
  readonly segment: number
  readonly offset: number
}

export interface Live {
  readonly isRunning: boolean
  readonly root: RootFile
  /** Everything that was acknowledged before this is called stands before the place. Rejects with BackupError. */
  signed(): Promise<Signed>
  close(): void
}

const boundaryOf = (data: string): string => join(data, 'boundary')

async function readRoot(data: string): Promise<RootFile> {
  const file = join(boundaryOf(data), 'root')
  let bytes: Buffer
  try {
    bytes = await readFile(file)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const why = code === 'ENOENT' ? 'there is no service on this folder' : `run this as the boundary’s user or as root`
    throw new BackupError('Refused', `${file} cannot be read (${code}): ${why}`)
  }
  try {
    return parseRootFile(bytes)
  } catch (error) {
    throw new BackupError('Damaged', `${file}: ${(error as Error).message}`)
  }
}

/** Rejects with BackupError `Refused` where there is no service on the folder, and `Unavailable` where it is locked. */
export async function openLive(data: string): Promise<Live> {
  const root = await readRoot(data)
  const control = connectControl({ socket: join(boundaryOf(data), 'control.sock') })
  try {
    if ((await control.status()).locked)
      throw new BackupError(
        'Unavailable',
        `the service on ${data} is locked: unlock it, or stop it, and run the backup again`,
      )
  } catch (error) {
    control.close()
    if (!(error instanceof BoundaryError && error.code === 'Unavailable')) throw error
    return openStopped(data, root)
  }
  return {
    isRunning: true,
    root,
    async signed() {
      try {
        const { note, size, segment, offset } = await control.checkpoint()
        return { note, covers: size, size, segment, offset }
      } catch (error) {
        if (!(error instanceof BoundaryError)) throw error
        throw new BackupError(
          'Unavailable',
          `the service on ${data} did not sign a checkpoint (${error.message}): run the backup again`,
        )
      }
    },
    close: () => control.close(),
  }
}

async function openStopped(data: string, root: RootFile): Promise<Live> {
  const boundary = boundaryOf(data)
  let unlock: () => void
  try {
    unlock = lockFolder(boundary, { inUse: 75, refused: 64 })
  } catch (error) {
    if (!(error instanceof StartRefused)) throw error
    throw new BackupError('Unavailable', `the service on ${data} is starting or stopping: run the backup again`)
  }
  return { isRunning: false, root, signed: () => endOf(boundary), close: unlock }
}

/** The end of a journal that nobody writes, which is verified whole. */
async function endOf(boundary: string): Promise<Signed> {
  const report = await verifyFolder(boundary)
  if (report.bad !== undefined) throw report.bad
  if (report.checkpoint === undefined || report.signature === undefined)
    throw new BackupError('Refused', `${boundary} has no checkpoint that could be backed up: start the service once`)
  const note = await readFile(join(boundary, 'checkpoint'), 'utf8')
  let unfinished = report.unfinishedBytes
  const files = await segmentFiles(boundary)
  for (;;) {
    const last = files.pop() ?? ''
    const size = (await stat(last)).size
    // A last segment without a whole header was never used.
    if (size > unfinished || files.length === 0) {
      const segment = Number.parseInt(last.slice(-'00000000000000000000.seg'.length), 10)
      return { note, covers: report.checkpoint.size, size: report.entries, segment, offset: size - unfinished }
    }
    unfinished = 0
  }
}
