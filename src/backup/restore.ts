/**
 * Putting a backup back: decrypted, checked against the root and the checkpoints that the boundary has signed, and moved into its place when all of it
 * is right. Whether it is an older state than the boundary has had is for the start to refuse: the newest checkpoint that is known is put beside it.
 */
import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Decrypter } from 'age-encryption'
import { isSegmentName } from '../boundary/journal/segments.ts'
import { lockFolder, StartRefused } from '../boundary/service/lock.ts'
import { NoteError, vkeyOf } from '../log/note.ts'
import { verifyFolder } from '../log/verify.ts'
import { StoreError } from '../store/errors.ts'
import { copyStore } from '../store/sqlite/copy.ts'
import { chainTo } from './chain.ts'
import { BackupError } from './errors.ts'
import { mustFit } from './generations.ts'
import { type GivenRoot, readGivenRoot, type SeenCheckpoint, seenIn } from './kit.ts'
import { type ReadResult, readChain } from './read.ts'
import { STAGING, Staging } from './staging.ts'

export interface RestoreOptions {
  /** Folder of backups, a full backup's file, or `-`. */
  readonly from: string
  readonly at: number | undefined
  readonly decrypter: Decrypter
  /** Root kit or root file; may be left out beside a root that is there. */
  readonly root: string | undefined
  readonly data: string
  /** Into a data folder that is not empty, and whose boundary has no journal. */
  readonly intoExisting: boolean
  readonly onProgress: (done: { readonly what: string; readonly bytes: number }) => void
}

export interface RestoreResult {
  readonly data: string
  readonly service: 'kms' | 'ekm'
  readonly dev: boolean
  readonly boundaryId: string
  readonly logKey: string
  readonly rootKind: string
  readonly files: number
  readonly records: number
  readonly root: string
  readonly lastWriteSet: number
  readonly until: string
  readonly rows: number
  readonly storeUpTo: number | undefined
  /** A newer state that the boundary is known to have had: the start will be refused. */
  readonly newer: { readonly records: number; readonly root: string; readonly where: string } | undefined
  /** Write set of the store that lay here before, where that was ahead of the backup. */
  readonly storeWasAt: number | undefined
  readonly configuration: string | undefined
}

/** Rejects with BackupError. */
export async function restore(options: RestoreOptions): Promise<RestoreResult> {
  const { data, intoExisting } = options
  await mkdir(data, { recursive: true, mode: 0o700 })
  if (!intoExisting) {
    await mustBeEmpty(data)
    return restoreInto(options)
  }
  const release = await takeLost(data)
  try {
    return await restoreInto(options)
  } finally {
    release()
  }
}

async function mustBeEmpty(data: string): Promise<void> {
  const found = (await readdir(data)).filter(name => name !== 'lost+found' && name !== STAGING)
  if (found.length === 0) return
  throw new BackupError(
    'Refused',
    `${data} is not empty (${found.slice(0, 5).join(', ')}): nothing is put over what is there. Choose another folder; --into-existing is for a service that has lost its journal`,
  )
}

/** The folder of a boundary that has no journal and does not run; made where it is missing. */
async function takeLost(data: string): Promise<() => void> {
  const boundary = join(data, 'boundary')
  await mkdir(boundary, { recursive: true, mode: 0o700 })
  const segments = await readdir(join(boundary, 'journal')).catch(() => [])
  if (segments.some(isSegmentName))
    throw new BackupError(
      'Refused',
      `${join(boundary, 'journal')} holds a journal, and nothing is put over one: it is the truth. Move it away and keep it, where it is damaged`,
    )
  try {
    return lockFolder(boundary, { inUse: 75, refused: 64 })
  } catch (error) {
    if (!(error instanceof StartRefused)) throw error
    throw new BackupError('Unavailable', error.message)
  }
}

async function restoreInto(options: RestoreOptions): Promise<RestoreResult> {
  const { data, intoExisting, decrypter, onProgress } = options
  const there = intoExisting ? await rootThere(data) : undefined
  const given = options.root === undefined ? there : await readGivenRoot(options.root)
  if (given === undefined)
    throw new BackupError(
      'Refused',
      'a backup leaves the root out: give --root with the kit of holdfast root save, or with the root file',
    )
  if (there !== undefined && !there.file.boundaryId.equals(given.file.boundaryId))
    throw new BackupError('Refused', `${data} is of another boundary than --root`)
  // The living root is the newer one.
  const root = there ?? given
  const seen = newest([given.seen, there?.seen, intoExisting ? await checkpointThere(data, root) : undefined])
  const chain = await chainTo(options.from, options.at)
  const staging = await Staging.begin(data)
  let read: ReadResult
  try {
    read = await readChain(chain, {
      decrypter,
      target: staging,
      logPublicKey: root.file.logPublicKey,
      boundaryId: root.file.boundaryId,
      known: seen === undefined ? [] : [seen],
      onProgress,
    })
    mustFit(root, read)
    await staging.finish()
    await staging.name(read.header.origin)
    await staging.put('root', root.bytes)
    await verify(staging, read, root, onProgress)
    if (seen !== undefined && seen.size > read.end.to.size) await staging.put('checkpoint', Buffer.from(seen.note))
  } catch (error) {
    await staging.abandon()
    if (error instanceof StoreError)
      throw new BackupError('Damaged', `the store’s rows in the backup: ${error.message}`)
    if (error instanceof BackupError && seen !== undefined && /that was signed for/.test(error.message))
      throw new BackupError(
        'Damaged',
        `${error.message}. ${seen.where} names that root: it is of another history, from before an older state was accepted, or forged`,
      )
    throw error
  }
  const storeWasAt = intoExisting ? storeThere(data) : undefined
  await (intoExisting ? staging.moveBeside(data) : staging.moveInto(data))
  return resultOf(options, read, root, seen, storeWasAt)
}

const newest = (all: readonly (SeenCheckpoint | undefined)[]): SeenCheckpoint | undefined =>
  all.reduce(
    (best, each) => (each !== undefined && (best === undefined || each.size > best.size) ? each : best),
    undefined,
  )

async function rootThere(data: string): Promise<GivenRoot | undefined> {
  const file = join(data, 'boundary', 'root')
  return existsSync(file) ? readGivenRoot(file) : undefined
}

async function checkpointThere(data: string, root: GivenRoot): Promise<SeenCheckpoint | undefined> {
  const file = join(data, 'boundary', 'checkpoint')
  if (!existsSync(file)) return undefined
  try {
    return seenIn(await readFile(file), root.file.logPublicKey, file)
  } catch (error) {
    if (!(error instanceof NoteError)) throw error
    throw new BackupError('Damaged', `${file} is no checkpoint of this boundary (${error.message}): move it away`)
  }
}

/** Up to which write set the store is that lies in the folder; undefined where it cannot be read. */
function storeThere(data: string): number | undefined {
  const file = join(data, 'front-end', 'store.db')
  if (!existsSync(file)) return undefined
  try {
    const copy = copyStore(file)
    copy.close()
    return copy.appliedUpTo
  } catch (error) {
    if (!(error instanceof StoreError)) throw error
    return undefined
  }
}

/** Reads what was written back from the disk, and checks it whole. */
async function verify(
  staging: Staging,
  read: ReadResult,
  { file }: GivenRoot,
  onProgress: RestoreOptions['onProgress'],
): Promise<void> {
  const { size, lastWriteSet, root } = read.begins
  const report = await verifyFolder(staging.boundary, {
    base: { seq: size, writeSet: lastWriteSet, root },
    vkey: vkeyOf(read.header.origin, file.logPublicKey),
    onProgress: ({ bytes }) => onProgress({ what: 'verify', bytes }),
  })
  if (report.bad !== undefined)
    throw new BackupError('Damaged', `what was put back does not verify: ${report.bad.message}`)
  if (report.entries !== read.end.to.size)
    throw new BackupError('NotWritten', `${report.entries} records were put back of ${read.end.to.size}`)
}

function resultOf(
  { data }: RestoreOptions,
  { header, end, files, vkey, rows, storeUpTo, configuration }: ReadResult,
  root: GivenRoot,
  seen: SeenCheckpoint | undefined,
  storeWasAt: number | undefined,
): RestoreResult {
  const isOlder = seen !== undefined && seen.size > end.to.size
  return {
    data,
    service: header.service,
    dev: header.dev,
    boundaryId: header.boundaryId.toString('hex'),
    logKey: vkey,
    rootKind: root.file.kind,
    files,
    records: end.to.size,
    root: end.to.root.toString('hex'),
    lastWriteSet: end.to.lastWriteSet,
    until: new Date(end.until).toISOString(),
    rows,
    storeUpTo,
    newer: isOlder ? { records: seen.size, root: seen.root.toString('hex'), where: seen.where } : undefined,
    storeWasAt: storeWasAt !== undefined && storeWasAt > end.to.lastWriteSet ? storeWasAt : undefined,
    configuration: configuration === undefined ? undefined : join(data, `restored-${configuration}`),
  }
}
