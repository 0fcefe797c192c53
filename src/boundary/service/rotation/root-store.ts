/**
 * The root file on disk while generations come and go: replaced so that a loss of power leaves the old one or the new one, whole. The bytes of the old one
 * are overwritten before their file is removed, as far as a file system lets us: with the root of trust they would open what was destroyed.
 */
import fs from 'node:fs/promises'
import path from 'node:path'
import { isCode, realDisk, replaceFile } from '../../journal/disk.ts'

const oldOf = (file: string): string => `${file}.old`
const newOf = (file: string): string => `${file}.new`

/** `wipeOld` was called since the last time. Durable when it resolves. The old bytes are still there, under a second name: `wipeOld` is to follow. */
export async function putRootFile(file: string, bytes: Buffer): Promise<void> {
  await fs.link(file, oldOf(file))
  await replaceFile(realDisk, file, bytes)
}

/** Overwrites what a replacement left behind, one that was interrupted included, before or after the new file stood in its place. */
export async function wipeOld(file: string): Promise<void> {
  // Until the new file stands in its place, the second name is that of the file itself.
  const [current, old] = await Promise.all([file, oldOf(file)].map(name => fs.stat(name).catch(nothing)))
  if (old !== undefined && old.ino === current?.ino) await fs.unlink(oldOf(file))
  else if (old !== undefined) await wipe(oldOf(file))
  await wipe(newOf(file))
  await realDisk.syncDir(path.dirname(file))
}

function nothing(error: unknown): undefined {
  if (!isCode(error, 'ENOENT')) throw error
  return undefined
}

/** Overwrites a file with zeros, durably, and removes it; none is there: nothing to do. */
async function wipe(file: string): Promise<void> {
  const opened = await fs.open(file, 'r+').catch(nothing)
  if (opened === undefined) return
  try {
    const { size } = await opened.stat()
    await opened.write(Buffer.alloc(size), 0, size, 0)
    await opened.sync()
  } finally {
    await opened.close()
  }
  await fs.unlink(file)
}
