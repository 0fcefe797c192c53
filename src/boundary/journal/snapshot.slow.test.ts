import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readWhole } from './disk.ts'
import { SimDisk } from './simdisk.ts'
import { keysOf, Ledger, tilesOf } from './testing.ts'
import { JournalDamage } from './types.ts'

const SNAPSHOTS = '/b/snapshot'

async function simulated(): Promise<SimDisk> {
  const disk = new SimDisk(1)
  await disk.mkdir('/b')
  await disk.syncDir('/')
  return disk
}

async function fill(ledger: Ledger, from: number, to: number): Promise<void> {
  for (let n = from; n < to; n += 10) {
    const names = Array.from({ length: Math.min(10, to - n) }, (_, at) => n + at)
    await Promise.all(names.map(name => ledger.append(`r${name}`, name % 3 === 0 ? `w${name}` : undefined)))
  }
}

const expected = (count: number) =>
  Array.from({ length: count }, (_, n) => ({ record: `r${n}`, rows: n % 3 === 0 ? `w${n}` : null }))

test('a start after a clean close replays nothing, and knows everything', async () => {
  const disk = await simulated()
  const first = await Ledger.open(disk)
  await fill(first, 0, 300)
  await first.journal.close()
  const second = await Ledger.open(disk)
  assert.deepEqual(second.seen, expected(300))
  assert.deepEqual({ ...second.journal.opened }, { fromSnapshot: 300, replayed: 0, cutBytes: 0, snapshotsRefused: [] })
  assert.equal(second.journal.lastWriteSet, 100)
  const sets = await second.journal.writeSetsAfter(0, 1000)
  assert.deepEqual(sets.map(set => [set.number, set.rows.toString()]), Array.from({ length: 100 }, (_, n) => [n + 1, `w${n * 3}`])) // biome-ignore format: one line says it
  await fill(second, 300, 310)
  assert.deepEqual(
    (await second.journal.writeSetsAfter(98, 3)).map(set => set.number),
    [99, 100, 101],
  )
  assert.deepEqual(await second.journal.writeSetsAfter(104, 3), [])
  assert.equal((await disk.readdir(SNAPSHOTS)).length, 2)
})

test('a snapshot is exact: the state of what stands before it in the journal, at whatever moment it is made', async () => {
  const disk = await simulated()
  const states: number[] = []
  const ledger: Ledger = await Ledger.open(disk, '/b', {
    snapshotFrames: 7,
    segmentBytes: 2000,
    state: () => {
      states.push(ledger.seen.length)
      assert.equal(ledger.seen.length, ledger.journal.size)
      return Buffer.from(JSON.stringify(ledger.seen))
    },
  })
  // Each continues on its own, so that batches of every size are under way when a snapshot is due.
  await Promise.all(
    Array.from({ length: 5 }, async (_, worker) => {
      for (let n = 0; n < 40; n++) await ledger.append(`${worker}.${n}`, n % 5 === worker ? 'rows' : undefined)
    }),
  )
  assert.ok(states.length > 10)
  // As after kill -9: everything is there, and the newest snapshot is of less.
  const again = await Ledger.open(disk, '/b', { segmentBytes: 2000 })
  assert.ok(again.restored > 0 && again.journal.opened.replayed === 200 - again.restored)
  assert.deepEqual(again.seen, ledger.seen)
})

test('a snapshot that is cut short, changed or not understood is passed over for the one before, and then for a full replay', async () => {
  const disk = await simulated()
  const first = await Ledger.open(disk)
  await fill(first, 0, 60)
  await first.journal.close()
  const [older, newer] = await disk.readdir(SNAPSHOTS)
  for (let at = 0; at < disk.size(`${SNAPSHOTS}/${newer}`); at += 3) {
    disk.flip(`${SNAPSHOTS}/${newer}`, at)
    const again = await Ledger.open(disk)
    assert.deepEqual(again.seen, expected(60), `changed at ${at}`)
    assert.equal(again.journal.opened.fromSnapshot, Number(older?.slice(0, 20)))
    assert.match(
      again.journal.opened.snapshotsRefused.join(),
      new RegExp(`${newer}: .*(?:changed|a newer holdfast made it)`),
    )
    disk.flip(`${SNAPSHOTS}/${newer}`, at)
  }
  const file = await disk.open(`${SNAPSHOTS}/${newer}`, 'write')
  await file.truncate(100)
  disk.flip(`${SNAPSHOTS}/${older}`, 40)
  const full = await Ledger.open(disk)
  assert.deepEqual(full.seen, expected(60))
  assert.deepEqual([full.journal.opened.fromSnapshot, full.journal.opened.replayed], [0, 60])
  assert.equal(full.journal.opened.snapshotsRefused.length, 2)
})

test('a state that its caller does not know is passed over', async () => {
  const disk = await simulated()
  const first = await Ledger.open(disk)
  await fill(first, 0, 20)
  await first.journal.close()
  for (const restore of [() => false, () => assert.fail('unreadable')]) {
    const again = await Ledger.open(disk, '/b', { restore })
    assert.deepEqual(again.seen, expected(20))
    assert.equal(again.journal.opened.fromSnapshot, 0)
  }
})

test('a snapshot of another boundary or under another key is passed over', async () => {
  const disk = await simulated()
  const first = await Ledger.open(disk)
  await fill(first, 0, 20)
  await first.journal.close()
  const again = await Ledger.open(disk, '/b', {
    keys: [{ ...keysOf(1, 0), snapshot: keysOf(2, 0).snapshot }],
  })
  assert.deepEqual([again.restored, again.seen.length], [0, 20])
})

test('promise 7: the log only grows, and outsiders can check it — a journal cut back behind a snapshot stops the start', async () => {
  const disk = await simulated()
  const first = await Ledger.open(disk)
  await fill(first, 0, 40)
  await first.journal.close()
  await disk.unlink('/b/checkpoint')
  const last = (await disk.readdir('/b/journal')).at(-1) as string
  const whole = disk.contents(`/b/journal/${last}`)
  for (const size of [whole.length - 1, whole.length - 60, 107, 50, 0]) {
    const file = await disk.open(`/b/journal/${last}`, 'write')
    await file.truncate(size)
    await assert.rejects(Ledger.open(disk), (error: unknown) => error instanceof JournalDamage && /snapshot/.test(error.message)) // biome-ignore format: one line says it
    file.write(whole, 0)
  }
  await disk.unlink(`/b/journal/${last}`)
  await assert.rejects(Ledger.open(disk), JournalDamage)
})

test('promise 7: the log only grows, and outsiders can check it — a tile that is missing at a start is written again', async () => {
  const disk = await simulated()
  const first = await Ledger.open(disk, '/b', { segmentBytes: 8000 })
  await fill(first, 0, 700)
  await first.journal.close()
  const tiles = await tilesOf(disk, '/b')
  assert.deepEqual([...tiles.keys()].sort(), [
    'tile/0/000',
    'tile/0/001',
    'tile/0/002.p/188',
    'tile/1/000.p/2',
    'tile/entries/000',
    'tile/entries/001',
    'tile/entries/002.p/188',
  ])
  for (const gone of ['tile/0/001', 'tile/entries/000']) {
    await disk.unlink(`/b/${gone}`)
    const again = await Ledger.open(disk)
    assert.match(again.journal.opened.snapshotsRefused.join(), new RegExp(`relies on ${gone}`))
    await again.journal.close()
    for (const [name, bytes] of tiles) assert.deepEqual(await readWhole(disk, `/b/${name}`, 100_000), bytes, name)
  }
})
