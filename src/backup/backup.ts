/** One backup into a folder, as the next file of its chain, or as a full one into a stream. */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Writable } from 'node:stream'
import type { Encrypter } from 'age-encryption'
import { isCode } from '../boundary/journal/disk.ts'
import { BackupError } from './errors.ts'
import {
  type BackupIndex,
  chainFiles,
  fileName,
  fromIndexPlace,
  hashOf,
  type IndexEntry,
  newIndex,
  readIndex,
  removeLeftOvers,
  takeFolder,
  toIndexPlace,
  writeIndex,
  writeWhole,
} from './folder.ts'
import type { BackupKind, Place } from './format.ts'
import { JournalSource } from './journal.ts'
import { type Live, openLive } from './live.ts'
import { Content, type ContentEnd, fullSource } from './make.ts'

export interface BackupOptions {
  /** Data folder of the service. */
  readonly data: string
  readonly encrypter: Encrypter
  /** A full one, whatever the folder has. */
  readonly full: boolean
  readonly config: string | undefined
  readonly onProgress: (done: { readonly what: string; readonly bytes: number }) => void
}

export interface BackupResult {
  /** Undefined for a stream. */
  readonly file: string | undefined
  readonly kind: BackupKind
  readonly number: number
  /** Why it is a full one where an increment could have been expected. */
  readonly reason: string
  readonly bytes: number
  readonly sha256: string
  readonly boundaryId: string
  readonly logKey: string
  readonly records: { readonly from: number; readonly to: number }
  readonly root: string
  readonly lastWriteSet: number
  /** Rows of the store, and up to which write set; none in an increment. */
  readonly rows: number
  readonly storeUpTo: number | undefined
  /** Everything that was acknowledged before is in it. */
  readonly until: string
  readonly online: boolean
}

interface Next {
  readonly kind: BackupKind
  readonly number: number
  readonly reason: string
  readonly previous: string
  readonly from: Place
  readonly source: JournalSource
}

const NO_FILE = '0'.repeat(64)

function resultOf(
  live: Live,
  next: Next,
  end: ContentEnd,
  written: { bytes: number; sha256: Buffer },
  file?: string,
): BackupResult {
  return {
    file,
    kind: next.kind,
    number: next.number,
    reason: next.reason,
    bytes: written.bytes,
    sha256: written.sha256.toString('hex'),
    boundaryId: live.root.boundaryId.toString('hex'),
    logKey: end.logKey,
    records: { from: next.from.size, to: end.to.size },
    root: end.to.root.toString('hex'),
    lastWriteSet: end.to.lastWriteSet,
    rows: end.rows,
    storeUpTo: end.storeUpTo,
    until: new Date(end.until).toISOString(),
    online: live.isRunning,
  }
}

const contentOf = (options: BackupOptions, live: Live, next: Next): Content =>
  new Content({ ...options, ...next, live, previous: Buffer.from(next.previous, 'hex') })

const endOf = (content: Content): ContentEnd => {
  if (content.end === undefined) throw new Error('a backup without an end')
  return content.end
}

/** Rejects with BackupError. */
export async function backUpTo(folder: string, options: BackupOptions): Promise<BackupResult> {
  const live = await openLive(options.data)
  try {
    return await written(folder, async () => {
      const release = await takeFolder(folder)
      try {
        return await addTo(folder, options, live)
      } finally {
        release()
      }
    })
  } finally {
    live.close()
  }
}

async function addTo(folder: string, options: BackupOptions, live: Live): Promise<BackupResult> {
  const index = await readIndex(folder)
  const boundaryId = live.root.boundaryId.toString('hex')
  if (index !== undefined && index.boundaryId !== boundaryId)
    throw new BackupError(
      'Refused',
      `${folder} has backups of another boundary (${index.boundaryId}): choose another folder`,
    )
  await removeLeftOvers(folder, index)
  const next = await nextOf(folder, index, options, live)
  const content = contentOf(options, live, next)
  const name = fileName(next.number, next.kind)
  const file = join(folder, name)
  const done = await writeWhole(folder, name, content.encrypted(options.encrypter))
  const end = endOf(content)
  let read = 0
  const there = await hashOf(file, bytes => {
    read += bytes
    options.onProgress({ what: 'read back', bytes: read })
  })
  if (!there.equals(done.sha256))
    throw new BackupError(
      'NotWritten',
      `${file} does not read back as it was written: its disk is failing. It is not in the index`,
    )
  const entry: IndexEntry = {
    number: next.number,
    kind: next.kind,
    name,
    bytes: done.bytes,
    sha256: done.sha256.toString('hex'),
    previous: next.kind === 'full' ? '' : next.previous,
    from: toIndexPlace(next.from),
    to: toIndexPlace(end.to),
    createdAt: new Date().toISOString(),
    until: new Date(end.until).toISOString(),
  }
  const before = index ?? newIndex({ boundaryId, service: live.root.service, logKey: end.logKey })
  await writeIndex(folder, { ...before, files: [...before.files, entry] })
  return resultOf(live, next, end, done, file)
}

/** An increment of the last file where there is one that can be gone on from; else a full backup, and why. */
async function nextOf(
  folder: string,
  index: BackupIndex | undefined,
  options: BackupOptions,
  live: Live,
): Promise<Next> {
  const { boundaryId } = live.root
  const boundary = join(options.data, 'boundary')
  const last = index?.files.at(-1)
  const number = Math.max(0, last?.number ?? 0, ...(await chainFiles(folder)).map(each => each.number)) + 1
  const full = async (reason: string): Promise<Next> => ({
    kind: 'full',
    number,
    reason,
    previous: NO_FILE,
    ...(await fullSource(boundary, boundaryId)),
  })
  if (last === undefined) return full('it is the first in its folder')
  if (options.full) return full('it was asked for')
  const there = await stat(join(folder, last.name)).catch(() => undefined)
  if (there?.size !== last.bytes) return full(`${last.name} is not there as it was written`)
  const from = fromIndexPlace(last.to)
  try {
    const source = await JournalSource.open(boundary, boundaryId, from)
    return { kind: 'increment', number, reason: '', previous: last.sha256, from, source }
  } catch (error) {
    if (
      error instanceof RangeError ||
      isCode(error, 'ENOENT') ||
      (error instanceof BackupError && error.code === 'Missing')
    )
      return full(
        `the journal does not go on from where ${last.name} ends: segments were erased, or an older state was put back`,
      )
    throw error
  }
}

/** Rejects with BackupError. The stream is not ended. */
export async function backUpInto(out: Writable, options: BackupOptions): Promise<BackupResult> {
  const live = await openLive(options.data)
  try {
    const hash = createHash('sha256')
    let bytes = 0
    const next: Next = {
      kind: 'full',
      number: 1,
      reason: '',
      previous: NO_FILE,
      ...(await fullSource(join(options.data, 'boundary'), live.root.boundaryId)),
    }
    const content = contentOf(options, live, next)
    await written('standard output', async () => {
      const failed = new Promise<never>((_, reject) => out.once('error', reject))
      failed.catch(() => {})
      for await (const chunk of content.encrypted(options.encrypter)) {
        hash.update(chunk)
        bytes += chunk.length
        if (!out.write(chunk)) await Promise.race([once(out, 'drain'), failed])
      }
    })
    return resultOf(live, next, endOf(content), { bytes, sha256: hash.digest() })
  } finally {
    live.close()
  }
}

/** What the operating system says of the place that is written to, as what there is to do. */
async function written<T>(where: string, write: () => Promise<T>): Promise<T> {
  try {
    return await write()
  } catch (error) {
    const { code, syscall } = error as NodeJS.ErrnoException
    if (error instanceof BackupError || code === undefined || syscall === undefined) throw error
    const what = code === 'ENOSPC' || code === 'EDQUOT' ? 'is full' : `cannot be written or read (${code})`
    throw new BackupError('NotWritten', `${where} ${what}: nothing was added to it. ${(error as Error).message}`)
  }
}
