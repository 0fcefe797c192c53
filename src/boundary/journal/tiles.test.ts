/** Partial tiles that were not written whole: nobody takes the part for the tile, or for damage. */
import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { type Disk, type DiskFile, realDisk } from './disk.ts'
import { Ledger } from './testing.ts'

let dir = ''
beforeEach(() => {
  dir = mkdtempSync(path.join(tmpdir(), 'holdfast-tiles-'))
})
afterEach(() => rmSync(dir, { recursive: true }))

const FOLDERS = ['tile/0/000.p', 'tile/entries/000.p']
const partial = (folder: string): Map<string, Buffer> =>
  new Map(readdirSync(path.join(dir, folder)).map(name => [name, readFileSync(path.join(dir, folder, name))]))

async function appended(ledger: Ledger, count: number): Promise<void> {
  for (let n = 0; n < count; n++) await ledger.append(`record ${n}`)
}

/** Each of these widths is there, none besides, and each is what the widest begins with. */
function assertWhole(widths: readonly string[]): void {
  for (const folder of FOLDERS) {
    const tiles = partial(folder)
    assert.deepEqual([...tiles.keys()].sort(), [...widths].sort())
    const widest = String(Math.max(...widths.map(Number)))
    const whole = tiles.get(widest) as Buffer
    for (const [width, bytes] of tiles) {
      const length = (whole.length / Number(widest)) * Number(width)
      assert.ok(bytes.equals(whole.subarray(0, length)), `${folder}/${width} has ${bytes.length} bytes of ${length}`)
    }
  }
}

test('what an earlier process left of a partial tile is made whole, and what no checkpoint names goes', async () => {
  const first = await Ledger.open(realDisk, dir)
  await appended(first, 10)
  await first.journal.checkpoint()
  await appended(first, 5)
  await first.journal.close()
  assertWhole(['10', '15'])
  for (const folder of FOLDERS) {
    truncateSync(path.join(dir, folder, '10'), 33)
    writeFileSync(path.join(dir, folder, '12'), '')
    writeFileSync(path.join(dir, folder, '10.new'), 'x')
    writeFileSync(path.join(dir, folder, '99'), 'x')
  }
  const second = await Ledger.open(realDisk, dir)
  await second.journal.checkpoint()
  assertWhole(['10', '12', '15'])
  await second.journal.close()
})

test('a partial tile for which there was no room is not there, and is once there is room', async () => {
  let full = false
  const disk: Disk = {
    ...realDisk,
    async open(file, mode) {
      const opened = await realDisk.open(file, mode)
      if (mode !== 'create' || !file.includes('/tile/')) return opened
      return new Proxy(opened, {
        get: (of, name) => {
          if (name === 'write' && full) {
            return (bytes: Uint8Array, at: number): void => {
              of.write(bytes.subarray(0, bytes.length >> 1), at)
              throw Object.assign(new Error('no room'), { code: 'ENOSPC' })
            }
          }
          const value: unknown = Reflect.get(of, name, of)
          return typeof value === 'function' ? value.bind(of) : value
        },
      }) satisfies DiskFile
    },
  }
  const { journal } = await Ledger.open(disk, dir)
  for (let n = 0; n < 10; n++) await journal.append(Buffer.from(`record ${n}`))
  full = true
  await assert.rejects(journal.checkpoint(), { code: 'ENOSPC' })
  assert.equal(partial('tile/entries/000.p').size, 0)
  full = false
  await journal.append(Buffer.from('another'))
  await journal.checkpoint()
  assertWhole(['11'])
  await journal.close()
})
