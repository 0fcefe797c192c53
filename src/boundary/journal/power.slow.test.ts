import assert from 'node:assert/strict'
import path from 'node:path'
import { test } from 'node:test'
import { readWhole } from './disk.ts'
import { PowerLost, SimDisk, type SyncSite } from './simdisk.ts'
import { Ledger, tilesOf } from './testing.ts'
import { JournalDamage, JournalDead } from './types.ts'

const ROUNDS = 5
/** So that tiles fill: the first round alone is more than one. */
const FIRST = 258

async function simulated(seed: number): Promise<SimDisk> {
  const disk = new SimDisk(seed)
  await disk.mkdir('/b')
  await disk.syncDir('/')
  return disk
}

interface Work {
  /** What was acknowledged, by number of record. */
  readonly acknowledged: string[]
  closed: boolean
}

const rowsOf = (name: string): string | undefined => (name.endsWith('1') ? `rows ${name}` : undefined)

/** Appends until done or until power is lost. */
async function workload(disk: SimDisk): Promise<Work> {
  const work: Work = { acknowledged: [], closed: false }
  try {
    const ledger = await Ledger.open(disk, '/b', { snapshotFrames: 4 })
    for (let round = 0; round < ROUNDS; round++) {
      const names = Array.from({ length: round === 0 ? FIRST : 3 }, (_, n) => `${round}.${n}`)
      await Promise.all(
        names.map(async name => {
          const { seq } = await ledger.append(name.padEnd(30), rowsOf(name))
          work.acknowledged[seq] = name
        }),
      )
      if (round % 2 === 1) await ledger.journal.checkpoint()
    }
    await ledger.journal.close()
    work.closed = true
  } catch (error) {
    if (!(error instanceof PowerLost || error instanceof JournalDead)) throw error
  }
  return work
}

/** What is wrong after a loss of power, or undefined. */
async function verdict(before: SimDisk, { acknowledged, closed }: Work): Promise<string | undefined> {
  try {
    const disk = before.reboot()
    const { journal, seen, restored } = await Ledger.open(disk)
    for (const [seq, name] of acknowledged.entries()) {
      if (seen[seq]?.record.trim() !== name)
        return `record ${seq} was acknowledged and is ${seen[seq]?.record ?? 'gone'}`
      if (seen[seq]?.rows !== (rowsOf(name) ?? null))
        return `the write set of record ${seq} is not what was acknowledged`
    }
    if (closed && restored !== seen.length) return 'after a clean close the snapshot is not of everything'
    const tiles = await tilesOf(disk, '/b')
    for (const [name, bytes] of tiles) {
      const index = Number(name.split('/').at(-1))
      if (name.includes('.p/') || (index + 1) * 256 > restored) continue
      const there = await readWhole(disk, path.join('/b', name), 100_000)
      if (there?.equals(bytes) !== true) return `a snapshot relied on ${name}, which is not right`
    }
    const sets = await journal.writeSetsAfter(0, 1000)
    if (sets.length !== seen.filter(one => one.rows !== null).length) return 'write sets are missing'
    await journal.append(Buffer.from('goes on'))
    await journal.close()
    for (const [name, bytes] of await tilesOf(disk, '/b')) {
      const there = await readWhole(disk, path.join('/b', name), 100_000)
      if (there?.equals(bytes) !== true) return `${name} is not right after the next close`
    }
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}

test('promise 4: acknowledged means durable — power lost at every write, every sync and every change of a name', async () => {
  const whole = await simulated(1)
  const work = await workload(whole)
  assert.deepEqual([work.closed, whole.calls > 100], [true, true], `${whole.calls} calls`)
  for (let at = 3; at <= whole.calls + 1; at++) {
    for (const seed of [1, 2]) {
      const disk = await simulated(seed * 1000 + at)
      disk.lossAt = at
      const problem = await verdict(disk, await workload(disk))
      assert.equal(problem, undefined, `power lost at call ${at}, seed ${seed * 1000 + at}`)
    }
  }
})

test('promise 4: acknowledged means durable — leaving out any one kind of sync is noticed', async () => {
  const sites: [string, (site: SyncSite, of: string) => boolean][] = [
    ['fdatasync of segments', (site, of) => site === 'datasync' && of.endsWith('.seg')],
    ['fdatasync of the checkpoint', (site, of) => site === 'datasync' && of.includes('checkpoint')],
    ['fdatasync of snapshots', (site, of) => site === 'datasync' && of.includes('.snap')],
    ['fdatasync of tiles', (site, of) => site === 'datasync' && of.startsWith('/b/tile/0/')],
    ['fdatasync of bundles', (site, of) => site === 'datasync' && of.startsWith('/b/tile/entries/')],
    ['sync of the folder of segments', (site, of) => site === 'syncDir' && of === '/b/journal'],
    ['sync of the folder of snapshots', (site, of) => site === 'syncDir' && of === '/b/snapshot'],
    ['sync of the folder of tiles', (site, of) => site === 'syncDir' && of === '/b/tile'],
    ['sync of the folder of a level', (site, of) => site === 'syncDir' && of === '/b/tile/0'],
    ['sync of the folder of bundles', (site, of) => site === 'syncDir' && of === '/b/tile/entries'],
    ['sync of the boundary’s folder', (site, of) => site === 'syncDir' && of === '/b'],
  ]
  const { calls } = await simulated(1).then(async disk => {
    await workload(disk)
    return disk
  })
  for (const [name, ignore] of sites) {
    const problems: string[] = []
    // From the end: with everything done and closed, most that was left out shows at once.
    for (let at = calls + 1; at > 2 && problems.length === 0; at--) {
      for (const seed of [1, 2]) {
        const disk = await simulated(seed * 1000 + at)
        disk.ignore = ignore
        disk.lossAt = at
        const problem = await verdict(disk, await workload(disk))
        if (problem !== undefined) problems.push(problem)
      }
    }
    assert.ok(problems.length > 0, `without the ${name}, some loss of power must lose something`)
  }
})

test('promise 4: acknowledged means durable — damage that no loss of power can explain stops the start and is named', async () => {
  const disk = await simulated(7)
  const { acknowledged } = await workload(disk)
  for (const name of await disk.readdir('/b/snapshot')) await disk.unlink(`/b/snapshot/${name}`)
  const names = (await disk.readdir('/b/journal')).map(name => `/b/journal/${name}`)
  assert.ok(names.length > 1)
  for (const name of names) {
    for (let at = 0; at < disk.size(name); at += disk.size(name) > 5000 ? 997 : 7) {
      disk.flip(name, at)
      await assert.rejects(
        Ledger.open(disk),
        (error: unknown) => error instanceof JournalDamage && error.file.startsWith('/b/journal'),
        `${name} at ${at}`,
      )
      disk.flip(name, at)
    }
  }
  assert.equal((await Ledger.open(disk)).seen.length, acknowledged.length)
  disk.flip('/b/checkpoint', 30)
  await assert.rejects(Ledger.open(disk), JournalDamage)
})
