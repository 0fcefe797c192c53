/**
 * Where the entries of a log are: the folder of a boundary has them from the one on with which its journal begins, an archive has those of the segments
 * that were copied into it. Both have the leaves and the tree of all, under one signed checkpoint.
 */
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { WHOLE } from '../boundary/journal/beginning.ts'
import { LEAF_BYTES } from '../boundary/journal/frame.ts'
import { ENTRY_BYTES, TILE_WIDTH } from '../boundary/journal/merkle.ts'
import { tilePath } from '../boundary/journal/tiles.ts'
import type { Base } from '../boundary/journal/types.ts'
import { parseRootFile, type RootFile } from '../boundary/root/rootfile.ts'
import { type ArchiveIndex, indexFile, readIndex } from './archive-index.ts'
import { Bad } from './bad.ts'
import type { LogChain } from './chain.ts'
import { NoteError } from './note.ts'
import { readTile } from './tiles.ts'

export interface LogFolder {
  readonly dir: string
  readonly base: Base
  /** Of a boundary, where its root file can be read. */
  readonly root: RootFile | undefined
  /** Of an archive. */
  readonly archive: ArchiveIndex | undefined
}

/** What a folder says it is. Throws `NoteError` for an archive whose index is none. */
export async function openFolder(dir: string): Promise<LogFolder> {
  if (existsSync(indexFile(dir))) {
    const archive = await readIndex(dir)
    return { dir, base: archive.base, root: undefined, archive }
  }
  const root = await readFile(join(dir, 'root')).then(parseRootFile, () => undefined)
  return { dir, base: root?.base ?? WHOLE, root, archive: undefined }
}

/** The folder that a command reads: of a service's data folder its boundary's, or an archive by itself. */
export const folderOf = (data: string | undefined, archive: string | undefined): string => {
  if (data !== undefined) return join(data, 'boundary')
  if (archive !== undefined) return archive
  throw new NoteError('name the data folder of the service, or --archive DIR')
}

/** Walks over the leaves of entries up to `to` in the bundles of a folder whose tree has `size` entries. Throws `Bad` where one is missing or wrong. */
export async function walkLeaves(
  dir: string,
  size: number,
  chain: LogChain,
  to: number,
  reached: () => Promise<void>,
): Promise<void> {
  while (chain.seq < to) {
    const index = Math.floor(chain.seq / TILE_WIDTH)
    const file = join(dir, tilePath('entries', index, Math.min(TILE_WIDTH, size - index * TILE_WIDTH)))
    const bundle = bundleOf(dir, index, size)
    if (bundle === undefined) throw new Bad(file, 0, chain.seq, 'the bundle of entries is missing')
    for (let at = chain.seq % TILE_WIDTH; at < TILE_WIDTH && chain.seq < to; at++) {
      const offset = at * ENTRY_BYTES
      const leaf = bundle.subarray(offset + 2, offset + ENTRY_BYTES)
      if (leaf.length !== LEAF_BYTES || bundle.readUInt16BE(offset) !== LEAF_BYTES)
        throw new Bad(file, Math.min(offset, bundle.length), chain.seq, 'the bundle has no such entry')
      chain.leaf(file, offset, leaf)
      await reached()
    }
  }
}

function bundleOf(dir: string, index: number, size: number): Buffer | undefined {
  try {
    return readTile(dir, 'entries', index, size)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    return undefined
  }
}
