/** Erasing the oldest segments: what is left, what a start makes of it with and without snapshots, and a loss of power at every step of it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readWhole, replaceFile } from './disk.ts'
import { HEADER_BYTES, LEAF_BYTES, parseFrame, parseHeader } from './frame.ts'
import { leafHash, TILE_WIDTH, type Tile, Tree } from './merkle.ts'
import { leavesOf } from './regrow.ts'
import { segmentName } from './segments.ts'
import { PowerLost, SimDisk, type SyncSite } from './simdisk.ts'
import { Ledger } from './testing.ts'
import { tilePath } from './tiles.ts'
import { type Base, JournalDamage, JournalDead } from './types.ts'

const NAME = 'promise 7: the log only grows, and outsiders can check it'
const BASE_FILE = '/b/base'
/** A little over a bundle, so that the one which the beginning cuts is not full, and then the next is. */
const FIRST = 300
const LATER = 250

async function simulated(seed: number): Promise<SimDisk> {
  const disk = new SimDisk(seed)
  await disk.mkdir('/b')
  await disk.syncDir('/')
  return disk
}

const nameOf = (n: number): string => `record ${n}`.padEnd(24)
const rowsOf = (n: number): string | undefined => (n % 7 === 0 ? `rows ${n}` : undefined)

async function fill(ledger: Ledger, from: number, to: number, acknowledged: number[] = []): Promise<void> {
  // In large batches, each a segment of its own, up to the last records before the end of the first part.
  for (let n = from, batch = 0; n < to; n += batch) {
    batch = n >= 250 && n < FIRST ? 10 : Math.min(50, to - n)
    const names = Array.from({ length: batch }, (_, at) => n + at)
    await Promise.all(
      names.map(async name => {
        acknowledged.push((await ledger.append(nameOf(name), rowsOf(name))).seq)
      }),
    )
  }
}

/** As the root file of a boundary does. */
const keepBase =
  (disk: SimDisk) =>
  (base: Base): Promise<void> =>
    replaceFile(disk, BASE_FILE, Buffer.from(JSON.stringify({ ...base, root: base.root.toString('hex') })))

async function baseOn(disk: SimDisk): Promise<Base | undefined> {
  const bytes = await readWhole(disk, BASE_FILE, 4096)
  if (bytes === undefined) return undefined
  const { seq, writeSet, root } = JSON.parse(bytes.toString())
  return { seq, writeSet, root: Buffer.from(root, 'hex') }
}

async function open(disk: SimDisk): Promise<Ledger> {
  const base = await baseOn(disk)
  return Ledger.open(disk, '/b', { snapshotFrames: 100, segmentBytes: 1500, ...(base === undefined ? {} : { base }) })
}

const segments = async (disk: SimDisk): Promise<string[]> => disk.readdir('/b/journal')

/** The segment that begins nearest before record `seq`. */
const startBefore = (ledger: Ledger, seq: number): number =>
  ledger.journal
    .segments()
    .map(({ firstSeq }) => firstSeq)
    .filter(firstSeq => firstSeq <= seq)
    .at(-1) ?? 0

/** What is wrong with bundles and tiles up to the signed size, recomputed from the bundles alone, whose records may be gone. */
async function wrongTiles(disk: SimDisk, note: string): Promise<string | undefined> {
  const [, size = '', root = ''] = note.split('\n')
  const tiles = new Map<string, Buffer>()
  const tree = new Tree(({ level, index, width, bytes }: Tile) => tiles.set(tilePath(level, index, width), bytes))
  for (let index = 0; index * TILE_WIDTH < Number(size); index++) {
    const width = Math.min(TILE_WIDTH, Number(size) - index * TILE_WIDTH)
    const bundle = await readWhole(disk, `/b/${tilePath('entries', index, width)}`, 1 << 20)
    const leaves = bundle === undefined ? undefined : leavesOf(bundle, width)
    if (leaves === undefined) return `bundle ${index} is not there`
    for (let at = 0; at < leaves.length; at += LEAF_BYTES) {
      const leaf = leaves.subarray(at, at + LEAF_BYTES)
      tree.push(leaf, leafHash(leaf))
    }
  }
  if (tree.root().toString('base64') !== root) return 'the bundles do not make the signed root'
  for (const { level, index, width, bytes } of tree.partial()) tiles.set(tilePath(level, index, width), bytes)
  for (const [name, bytes] of tiles)
    if ((await readWhole(disk, `/b/${name}`, 1 << 20))?.equals(bytes) !== true) return `${name} is not right`
  return undefined
}

test(`${NAME} — erased segments are gone, their leaves are not, and a start needs no snapshot`, async () => {
  const disk = await simulated(1)
  const ledger = await open(disk)
  await fill(ledger, 0, FIRST)
  for (const wanted of [100, 200, 283]) {
    const seq = startBefore(ledger, wanted)
    const before = await segments(disk)
    const root = parseHeader(disk.contents(`/b/journal/${segmentName(seq)}`)).root
    await ledger.journal.erase(seq, keepBase(disk))
    assert.deepEqual(await segments(disk), before.filter(name => name >= segmentName(seq))) // biome-ignore format: one line says it
    assert.deepEqual(ledger.journal.base, await baseOn(disk))
    assert.deepEqual(ledger.journal.base.root, root)
    const sets = Math.ceil(seq / 7)
    assert.equal(ledger.journal.base.writeSet, sets)
    assert.equal((await ledger.journal.writeSetsAfter(sets, 1000)).length, Math.ceil(FIRST / 7) - sets)
    await assert.rejects(ledger.journal.writeSetsAfter(sets - 1, 1), /erased/)
    for (const none of [seq, seq + 1, 0, FIRST]) await assert.rejects(ledger.journal.erase(none, keepBase(disk)), RangeError) // biome-ignore format: one line says it
    // As after kill -9: from the snapshot that the erasing made, and from nothing but what is left.
    for (const without of [false, true]) {
      const copy = disk.reboot()
      if (without) for (const name of await copy.readdir('/b/snapshot')) await copy.unlink(`/b/snapshot/${name}`)
      const again = await open(copy)
      assert.equal(again.restored > seq, !without)
      assert.equal(again.seen.length, without ? FIRST - seq : FIRST)
      assert.equal(again.seen.at(-1)?.record, nameOf(FIRST - 1))
      assert.equal(again.journal.lastWriteSet, Math.ceil(FIRST / 7))
      await fill(again, FIRST, FIRST + LATER)
      const note = await again.journal.checkpoint()
      await again.journal.close()
      assert.equal(await wrongTiles(copy, note), undefined)
    }
  }
  await ledger.journal.close()
})

test(`${NAME} — what the root file names as the beginning must be there, with the tree that it names`, async () => {
  const disk = await simulated(2)
  const ledger = await open(disk)
  await fill(ledger, 0, FIRST)
  const seq = startBefore(ledger, 283)
  await ledger.journal.erase(seq, keepBase(disk))
  await ledger.journal.close()
  for (const name of await disk.readdir('/b/snapshot')) await disk.unlink(`/b/snapshot/${name}`)
  const base = (await baseOn(disk)) as Base
  const opening = (over: Base) => Ledger.open(disk, '/b', { base: over })
  await assert.rejects(opening({ ...base, root: Buffer.alloc(32, 7) }), JournalDamage)
  await assert.rejects(opening({ ...base, writeSet: base.writeSet + 1 }), JournalDamage)
  await assert.rejects(opening({ ...base, seq: base.seq - 1 }), /not there/)
  await assert.rejects(Ledger.open(disk), JournalDamage)
  const bundle = (await disk.readdir('/b/tile/entries/001.p')).map(name => `/b/tile/entries/001.p/${name}`)
  for (const file of bundle) disk.flip(file, 60)
  await assert.rejects(opening(base), /tiles of the erased records/)
  for (const file of bundle) disk.flip(file, 60)
  const first = `/b/journal/${segmentName(seq)}`
  const frame = parseFrame(disk.contents(first), HEADER_BYTES, parseHeader(disk.contents(first)).crc)
  assert.ok(typeof frame === 'object' && frame.seq === seq)
  disk.flip(first, HEADER_BYTES + 70)
  await assert.rejects(opening(base), JournalDamage)
})

interface Work {
  readonly acknowledged: number[]
  /** Record at which the journal was to begin, once it was asked for. */
  asked: number
  /** Calls of the disk before that. */
  calls: number
  erased: boolean
}

async function workload(disk: SimDisk): Promise<Work> {
  const work: Work = { acknowledged: [], asked: 0, calls: 0, erased: false }
  try {
    const ledger = await open(disk)
    await fill(ledger, 0, FIRST, work.acknowledged)
    await ledger.journal.checkpoint()
    work.asked = startBefore(ledger, 283)
    work.calls = disk.calls
    await ledger.journal.erase(work.asked, keepBase(disk))
    work.erased = true
    // The bundle that the beginning cuts fills, and its partial ones go.
    await fill(ledger, FIRST, FIRST + LATER, work.acknowledged)
    await ledger.journal.checkpoint()
    await ledger.journal.close()
  } catch (error) {
    if (!(error instanceof PowerLost || error instanceof JournalDead)) throw error
  }
  return work
}

/** What is wrong after a loss of power, or undefined: with the snapshots that are there, and without any. */
async function verdict(
  before: SimDisk,
  { acknowledged, asked, erased }: Work,
  bare: boolean,
): Promise<string | undefined> {
  try {
    const disk = before.reboot()
    const base = (await baseOn(disk))?.seq ?? 0
    if (base !== 0 && base !== asked) return `the journal begins at ${base}`
    if (erased && base !== asked) return 'it was erased, and the beginning is not durable'
    if (bare) for (const name of await disk.readdir('/b/snapshot')) await disk.unlink(`/b/snapshot/${name}`)
    const { journal, seen, restored } = await open(disk)
    if ((await segments(disk))[0] !== segmentName(base)) return 'segments before the beginning are left'
    const from = restored > 0 ? 0 : base
    const last = Math.max(-1, ...acknowledged)
    if (journal.size <= last) return `record ${last} was acknowledged and is gone`
    for (const [at, { record, rows }] of seen.entries()) {
      const n = from + at
      if (record !== nameOf(n) || rows !== (rowsOf(n) ?? null)) return `record ${n} is ${record}`
    }
    if (seen.length !== journal.size - from) return 'records are missing'
    const sets = await journal.writeSetsAfter(journal.base.writeSet, 1000)
    if (sets.length !== journal.lastWriteSet - journal.base.writeSet) return 'write sets are missing'
    await journal.append(Buffer.from('goes on'))
    const note = await journal.checkpoint()
    await journal.close()
    return await wrongTiles(disk, note)
  } catch (error) {
    return (error as Error).message
  }
}

test('promise 4: acknowledged means durable — power lost at every step of an erasing, and while the cut bundle fills', async () => {
  const whole = await simulated(1)
  const work = await workload(whole)
  assert.ok(work.erased && work.asked % TILE_WIDTH > 0 && work.acknowledged.length === FIRST + LATER)
  const { calls } = whole
  for (let at = work.calls; at <= calls + 1; at++) {
    const disk = await simulated(1000 + at)
    disk.lossAt = at
    const done = await workload(disk)
    for (const bare of [false, true])
      assert.equal(await verdict(disk, done, bare), undefined, `power lost at call ${at} of ${calls}, without snapshots: ${bare}`) // biome-ignore format: one line says it
  }
})

test('promise 4: acknowledged means durable — an erasing that leaves out any one kind of sync is noticed', async () => {
  const whole = await simulated(1)
  const done = await workload(whole)
  const sites: [string, (site: SyncSite, of: string) => boolean][] = [
    ['fdatasync of bundles', (site, of) => site === 'datasync' && of.startsWith('/b/tile/entries/')],
    ['fdatasync of tiles', (site, of) => site === 'datasync' && of.startsWith('/b/tile/0/')],
    ['sync of the folder of the cut bundle', (site, of) => site === 'syncDir' && of === '/b/tile/entries/001.p'],
    ['sync of the folder of bundles', (site, of) => site === 'syncDir' && of === '/b/tile/entries'],
    ['sync of the folder of segments', (site, of) => site === 'syncDir' && of === '/b/journal'],
    ['sync of the boundary’s folder', (site, of) => site === 'syncDir' && of === '/b'],
  ]
  for (const [name, ignore] of sites) {
    let problem: string | undefined
    for (let at = whole.calls + 1; at > done.calls && problem === undefined; at--) {
      const disk = await simulated(2000 + at)
      disk.ignore = ignore
      disk.lossAt = at
      problem = await verdict(disk, await workload(disk), true)
    }
    assert.ok(problem !== undefined, `without the ${name}, some loss of power must lose something`)
  }
})
