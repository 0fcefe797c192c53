/** For tests: a disk that loses its power, and the folder of a boundary on it. */
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { SimDisk } from '../../journal/simdisk.ts'

/** The folder is a real one, for the sockets, and is on the disk too, durably, with the boundary's own in it. */
export async function diskWithFolder(seed: number): Promise<{ disk: SimDisk; folder: string }> {
  const disk = new SimDisk(seed)
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'holdfast-service-'))
  let parent = ''
  for (const part of path.join(folder, 'b').split('/').slice(1)) {
    parent += `/${part}`
    await disk.mkdir(parent)
    await disk.syncDir(path.dirname(parent))
  }
  return { disk, folder }
}
