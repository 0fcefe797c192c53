/** Which files of a folder make a backup that can be put back: a full one, and the increments that follow it without a gap. */
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { BackupError } from './errors.ts'
import { type BackupIndex, type ChainFile, chainFiles, readIndex } from './folder.ts'

export interface ChainInput {
  /** As it is named in messages. */
  readonly name: string
  /** What the file's name says; undefined for a file or a stream by itself. */
  readonly file: ChainFile | undefined
  open(): AsyncIterable<Uint8Array>
}

const READ_BYTES = 1024 * 1024

const inputOf = (path: string, file?: ChainFile): ChainInput => ({
  name: file?.name ?? basename(path),
  file,
  open: () => createReadStream(path, { highWaterMark: READ_BYTES }) as AsyncIterable<Buffer>,
})

/** Every chain of a folder, oldest first; of a file or of standard input (`-`), that one. Rejects with BackupError. */
export async function chainsOf(path: string): Promise<ChainInput[][]> {
  if (path === '-')
    return [[{ name: 'standard input', file: undefined, open: () => process.stdin as AsyncIterable<Buffer> }]]
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    throw new BackupError('Refused', `${path} cannot be read (${error.code})`)
  })
  if (!found.isDirectory()) return [[inputOf(path)]]
  const chains: ChainInput[][] = []
  let before: ChainFile | undefined
  for (const file of await chainFiles(path)) {
    const input = inputOf(join(path, file.name), file)
    if (file.kind === 'full') chains.push([input])
    else if (before === undefined || file.number !== before.number + 1)
      throw new BackupError('Missing', gap(path, file, before))
    else chains.at(-1)?.push(input)
    before = file
  }
  if (chains.length === 0) throw new BackupError('Refused', `${path} has no backup`)
  return chains
}

function gap(folder: string, file: ChainFile, before: ChainFile | undefined): string {
  const after = before === undefined ? '' : ` --at ${before.number} puts back what there is before the gap.`
  return `${folder}: ${file.name} is an increment, and file ${file.number - 1}, which it goes on from, is missing.${after}`
}

/** The chain to put back: the newest, or that of file `at` up to it. Rejects with BackupError. */
export async function chainTo(path: string, at: number | undefined): Promise<ChainInput[]> {
  const isFolder = path !== '-' && (await stat(path).catch(() => undefined))?.isDirectory() === true
  if (!isFolder) {
    if (at !== undefined) throw new BackupError('Refused', '--at names a file of a folder of backups')
    return (await chainsOf(path))[0] ?? []
  }
  const files = await chainFiles(path)
  const last = at ?? files.at(-1)?.number ?? 0
  const wanted = files.filter(({ number }) => number <= last)
  if (wanted.at(-1)?.number !== last) throw new BackupError('Missing', `${path} has no file ${last}`)
  if (at === undefined) allThere(path, await readIndex(path), files)
  const from = wanted.findLastIndex(({ kind }) => kind === 'full')
  const first = wanted[from]
  if (first === undefined)
    throw new BackupError(
      'Missing',
      `${path}: ${wanted[0]?.name ?? ''} is an increment, and the full backup before it is missing`,
    )
  const chain = wanted.slice(from)
  for (const [index, file] of chain.entries())
    if (file.number !== first.number + index) throw new BackupError('Missing', gap(path, file, chain[index - 1]))
  return chain.map(file => inputOf(join(path, file.name), file))
}

/** What the index has last must be there: else something older would be put back in silence. */
function allThere(folder: string, index: BackupIndex | undefined, files: readonly ChainFile[]): void {
  const newest = index?.files.at(-1)
  if (newest === undefined || files.some(({ name }) => name === newest.name)) return
  const last = files.at(-1)?.number
  const hint = last === undefined ? '' : ` --at ${last} puts back what there is before it.`
  throw new BackupError('Missing', `${folder}: the index ends with ${newest.name}, and that file is missing.${hint}`)
}
