/**
 * A folder of backups: a chain of files, each a full one or an increment of the one before, and an index in the clear that says where the next one goes
 * on. The index is no secret and is not trusted when something is put back: what stands in the files is.
 */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, open, readdir, readFile, rename, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { lockFolder, StartRefused } from '../boundary/service/lock.ts'
import { BackupError } from './errors.ts'
import type { BackupKind, Place } from './format.ts'

const INDEX = 'index.json'
const FORMAT = 'holdfast-backups'
const VERSION = 1
const NAME = /^(\d{6})-(full|increment)\.age$/
const MAX_INDEX_BYTES = 64 * 1024 * 1024

export const fileName = (number: number, kind: BackupKind): string => `${String(number).padStart(6, '0')}-${kind}.age`

export interface ChainFile {
  readonly number: number
  readonly kind: BackupKind
  readonly name: string
}

/** A place in JSON: its root in hex. */
export type IndexPlace = Omit<Place, 'root'> & { readonly root: string }

export interface IndexEntry extends ChainFile {
  readonly bytes: number
  readonly sha256: string
  /** Of the file before; empty for a full one. */
  readonly previous: string
  readonly from: IndexPlace
  readonly to: IndexPlace
  /** Times in RFC 3339. */
  readonly createdAt: string
  readonly until: string
}

export interface BackupIndex {
  readonly format: typeof FORMAT
  readonly version: typeof VERSION
  readonly boundaryId: string
  readonly service: 'kms' | 'ekm'
  /** The log's verifier key. */
  readonly logKey: string
  readonly files: readonly IndexEntry[]
}

export const toIndexPlace = (place: Place): IndexPlace => ({ ...place, root: place.root.toString('hex') })
export const fromIndexPlace = (place: IndexPlace): Place => ({ ...place, root: Buffer.from(place.root, 'hex') })

/** The files of a folder's chain, by number. */
export async function chainFiles(folder: string): Promise<ChainFile[]> {
  const names = await readdir(folder)
  return names
    .flatMap((name): ChainFile[] => {
      const [, number, kind] = NAME.exec(name) ?? []
      return number === undefined ? [] : [{ number: Number(number), kind: kind as BackupKind, name }]
    })
    .sort((a, b) => a.number - b.number)
}

/** Undefined where there is none. Throws BackupError `Refused` for one that this program cannot go on from. */
export async function readIndex(folder: string): Promise<BackupIndex | undefined> {
  const file = join(folder, INDEX)
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  const refused = (what: string) =>
    new BackupError('Refused', `${file} ${what}: move it away, and the next backup in this folder is a full one`)
  if (text.length > MAX_INDEX_BYTES) throw refused('is too long for an index')
  let index: BackupIndex
  try {
    index = JSON.parse(text) as BackupIndex
  } catch {
    throw refused('is not JSON')
  }
  if (index.format !== FORMAT) throw refused('is no index of backups')
  if (index.version !== VERSION)
    throw refused(`has version ${String(index.version)}, and this program knows version ${VERSION}`)
  if (!Array.isArray(index.files) || !index.files.every(isEntry)) throw refused('is not whole')
  return index
}

function isEntry(entry: IndexEntry): boolean {
  const isNumber = (value: unknown) => Number.isSafeInteger(value) && Number(value) >= 0
  const isPlace = (place: IndexPlace | undefined) =>
    place !== undefined &&
    [place.size, place.lastTime, place.lastWriteSet, place.segment, place.offset, place.crc].every(isNumber) &&
    /^[0-9a-f]{64}$/.test(place.root)
  return (
    isNumber(entry.number) &&
    fileName(entry.number, entry.kind) === entry.name &&
    isNumber(entry.bytes) &&
    /^[0-9a-f]{64}$/.test(entry.sha256) &&
    isPlace(entry.from) &&
    isPlace(entry.to)
  )
}

export const newIndex = (of: Pick<BackupIndex, 'boundaryId' | 'service' | 'logKey'>): BackupIndex => ({
  format: FORMAT,
  version: VERSION,
  ...of,
  files: [],
})

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Writes a new file under a temporary name, syncs it, and gives it its name: it is there whole, or not at all. Rejects with the error of the operating system. */
export async function writeWhole(
  folder: string,
  name: string,
  content: AsyncIterable<Uint8Array>,
): Promise<{ readonly bytes: number; readonly sha256: Buffer }> {
  const temporary = join(folder, `${name}.new`)
  await unlink(temporary).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error
  })
  const handle = await open(temporary, 'wx', 0o600)
  const hash = createHash('sha256')
  let bytes = 0
  try {
    try {
      for await (const chunk of content) {
        hash.update(chunk)
        bytes += chunk.length
        await handle.writeFile(chunk)
      }
      await handle.sync()
    } finally {
      await handle.close()
    }
    await rename(temporary, join(folder, name))
  } catch (error) {
    await unlink(temporary).catch(() => {})
    throw error
  }
  await syncFolder(folder)
  return { bytes, sha256: hash.digest() }
}

export async function writeIndex(folder: string, index: BackupIndex): Promise<void> {
  const text = Buffer.from(`${JSON.stringify(index, undefined, 2)}\n`)
  await writeWhole(
    folder,
    INDEX,
    (async function* () {
      yield text
    })(),
  )
}

/** SHA-256 of a file as it lies there. */
export async function hashOf(file: string, onBytes: (bytes: number) => void = () => {}): Promise<Buffer> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(file, { highWaterMark: 1024 * 1024 }) as AsyncIterable<Buffer>) {
    hash.update(chunk)
    onBytes(chunk.length)
  }
  return hash.digest()
}

/** Makes the folder where it is missing, and takes it for one backup at a time. Returns how to let go of it. */
export async function takeFolder(folder: string): Promise<() => void> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  try {
    return lockFolder(folder, { inUse: 75, refused: 64 })
  } catch (error) {
    if (!(error instanceof StartRefused)) throw error
    throw new BackupError(
      'Unavailable',
      `another backup is being written into ${folder}, or its file system has no flock`,
    )
  }
}

/** Removes what runs that were killed have left: unfinished files, and finished ones that the index does not know. */
export async function removeLeftOvers(folder: string, index: BackupIndex | undefined): Promise<void> {
  const known = new Set(index?.files.map(({ name }) => name))
  const next = Math.max(0, ...(index?.files.map(({ number }) => number) ?? [])) + 1
  for (const name of await readdir(folder)) {
    const [, number] = NAME.exec(name) ?? []
    const isUnknown = index !== undefined && Number(number) >= next && !known.has(name)
    if (/^(\d{6}-(full|increment)\.age|index\.json)\.new$/.test(name) || isUnknown) await unlink(join(folder, name))
  }
}
