import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Disk, readWhole, replaceFile } from './disk.ts'
import { PowerLost, SimDisk } from './simdisk.ts'
import { keysOf, Ledger } from './testing.ts'
import { JournalDamage, JournalDead, WriteSetGone } from './types.ts'

/** What the root file says of the generations, oldest first: a file of its own here. */
interface Root {
  readonly generations: readonly { readonly generation: number; readonly firstRecord: number }[]
}
const ROOT = '/b/root'

async function readRoot(disk: Disk): Promise<Root> {
  const bytes = await readWhole(disk, ROOT, 10_000)
  return bytes === undefined ? { generations: [{ generation: 1, firstRecord: 0 }] } : JSON.parse(bytes.toString())
}
const writeRoot = (disk: Disk, root: Root) => replaceFile(disk, ROOT, Buffer.from(JSON.stringify(root)))
const keysOfRoot = ({ generations }: Root) =>
  generations.map(({ generation, firstRecord }) => keysOf(generation, firstRecord))

async function simulated(seed: number): Promise<SimDisk> {
  const disk = new SimDisk(seed)
  await disk.mkdir('/b')
  await disk.syncDir('/')
  return disk
}

interface Work {
  readonly acknowledged: { name: string; rows: string | undefined }[]
  rotated: number
  closed: boolean
}

/** A life with two whole rotations of the root, while appends go on; it ends when power is lost. */
async function life(disk: SimDisk): Promise<Work> {
  const work: Work = { acknowledged: [], rotated: 0, closed: false }
  let next = 0
  try {
    const ledger = await Ledger.open(disk, '/b', { snapshotFrames: 5, keys: keysOfRoot(await readRoot(disk)) })
    const { journal } = ledger
    const append = async (rows: boolean): Promise<void> => {
      const name = `r${next++}`
      const set = rows ? `w ${name}` : undefined
      const { seq } = await ledger.append(name, set)
      work.acknowledged[seq] = { name, rows: set }
    }
    const several = (count: number) => Promise.all(Array.from({ length: count }, (_, n) => append(n % 2 === 0)))
    await several(5)
    for (const generation of [2, 3]) {
      const { generations } = await readRoot(disk)
      const during = several(3)
      await Promise.all([
        journal.rekey(async ({ firstRecord }, durable) => {
          await durable
          await writeRoot(disk, { generations: [...generations, { generation, firstRecord }] })
          const { writeSet, snapshot } = keysOf(generation, firstRecord)
          return { writeSet, snapshot }
        }),
        several(4),
        during,
      ])
      await several(3)
      await journal.snapshotAlone()
      const newest = (await readRoot(disk)).generations.at(-1)
      assert.ok(newest)
      await writeRoot(disk, { generations: [newest] })
      journal.forgetOldKeys()
      work.rotated = generation
      await several(3)
    }
    await journal.close()
    work.closed = true
  } catch (error) {
    if (!(error instanceof PowerLost || error instanceof JournalDead)) throw error
  }
  return work
}

/** What is wrong afterwards, or undefined. `restore`: whether snapshots are used. */
async function verdict(before: SimDisk, { acknowledged, rotated, closed }: Work, restore: boolean) {
  const disk = before.reboot()
  const root = await readRoot(disk)
  const oldest = root.generations[0]
  if (oldest === undefined) return 'no generation'
  if (oldest.generation < rotated) return `generation ${oldest.generation} is back, and ${rotated} was the only one`
  const over = restore ? {} : { restore: () => false }
  const { journal, seen } = await Ledger.open(disk, '/b', { keys: keysOfRoot(root), ...over })
  for (const [seq, { name, rows }] of acknowledged.entries()) {
    const found = seen[seq]
    if (found?.record !== name) return `record ${seq} was acknowledged and is ${found?.record ?? 'gone'}`
    if (found.rows === (rows ?? null)) continue
    if (restore || seq >= oldest.firstRecord) return `the write set of record ${seq} is not what was acknowledged`
    if (found.rows !== null) return `the write set of record ${seq} is another one`
  }
  const sets = acknowledged.filter(({ rows }) => rows !== undefined).length
  if (closed && journal.lastWriteSet !== sets) return `${journal.lastWriteSet} write sets of ${sets}`
  await journal.append(Buffer.from('goes on'), Buffer.from('with a write set'))
  const [last] = await journal.writeSetsAfter(journal.lastWriteSet - 1, 1)
  if (last?.rows.toString() !== 'with a write set') return 'what is appended next cannot be read'
  await journal.close()
  return undefined
}

test('promise 4: power is lost at any moment of a rotation of the root: every record is there, and every write set whose generation is', async () => {
  const whole = await simulated(1)
  const work = await life(whole)
  assert.deepEqual([work.closed, work.rotated, whole.calls > 100], [true, 3, true], `${whole.calls} calls`)
  for (let at = 3; at <= whole.calls + 1; at++) {
    const disk = await simulated(1000 + at)
    disk.lossAt = at
    const done = await life(disk)
    for (const restore of [true, false]) {
      const problem = await verdict(disk, done, restore).catch(error => (error as Error).message)
      assert.equal(problem, undefined, `power lost at call ${at}, snapshots ${restore ? 'used' : 'not used'}`)
    }
  }
})

test('write sets of a destroyed generation are refused as such, those of others are read, and a key that is missing without its generation being gone is damage', async () => {
  const disk = await simulated(1)
  await life(disk)
  const root = await readRoot(disk)
  const [{ firstRecord = 0 } = {}] = root.generations
  const { journal, seen } = await Ledger.open(disk, '/b', { keys: keysOfRoot(root), restore: () => false })
  const readable = seen.filter(({ rows }) => rows !== null).length
  assert.ok(readable > 0 && firstRecord > 10)
  await assert.rejects(journal.writeSetsAfter(0, 1), WriteSetGone)
  const first = journal.lastWriteSet - readable
  const sets = await journal.writeSetsAfter(first, 1000)
  assert.deepEqual(
    sets.map(({ rows }) => rows.toString()),
    seen.flatMap(({ rows }) => (rows === null ? [] : [rows])),
  )
  await journal.close()
  // The same bytes with a root file that says that the newest generation began earlier: nothing passes for what it is not.
  const wrong = { keys: [keysOf(3, firstRecord - 5)], restore: () => false }
  await assert.rejects(Ledger.open(disk, '/b', wrong), JournalDamage)
})
