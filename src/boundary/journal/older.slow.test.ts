/** An older state that is accepted: what is left is exactly what the records make, as if the others had never been. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readWhole } from './disk.ts'
import { SimDisk } from './simdisk.ts'
import { Ledger, tilesOf } from './testing.ts'
import { JournalDamage, OlderState } from './types.ts'

/** A journal of `later` records whose files are put back to what they were at `older`, under what was derived since. */
async function putBack(older: number, later: number): Promise<SimDisk> {
  const disk = new SimDisk(11)
  await disk.mkdir('/b')
  await disk.syncDir('/')
  const first = await Ledger.open(disk, '/b', { segmentBytes: 20_000 })
  for (let n = 0; n < older; n++) await first.append(`record ${n}`, n % 5 === 0 ? `rows ${n}` : undefined)
  await first.journal.checkpoint()
  const kept = new Map<string, Buffer>()
  for (const name of await disk.readdir('/b/journal')) kept.set(name, Buffer.from(disk.contents(`/b/journal/${name}`)))
  for (let n = older; n < later; n++) await first.append(`other ${n}`)
  await first.journal.close()
  for (const name of await disk.readdir('/b/journal')) {
    const bytes = kept.get(name)
    if (bytes === undefined) await disk.unlink(`/b/journal/${name}`)
    else {
      const file = await disk.open(`/b/journal/${name}`, 'write')
      await file.truncate(bytes.length)
      await file.close()
    }
  }
  return disk
}

for (const [older, later] of [
  [10, 40],
  [255, 300],
  [256, 700],
  [300, 1100],
  [700, 701],
] as const)
  test(`from ${later} records back to ${older}: refused, then accepted by its name, and the tree grows on from there`, async () => {
    const disk = await putBack(older, later)
    const seen = await Ledger.open(disk).then(
      () => assert.fail('an older state was taken'),
      error => {
        assert.ok(error instanceof OlderState && error instanceof JournalDamage, String(error))
        return error
      },
    )
    assert.deepEqual([seen.seen.size, seen.held.size], [later, older])
    await assert.rejects(Ledger.open(disk, '/b', { givingUp: { ...seen.seen, size: later + 1 } }), OlderState)
    await assert.rejects(Ledger.open(disk, '/b', { givingUp: seen.held }), OlderState)
    const before = await readWhole(disk, '/b/checkpoint', 1000)
    const again = await Ledger.open(disk, '/b', { givingUp: seen.seen })
    assert.equal(again.journal.size, older)
    assert.deepEqual(await readWhole(disk, '/b/checkpoint', 1000), before, 'nothing is signed before the record of it')
    for (let n = 0; n < 300; n++) await again.append(`new ${n}`)
    await again.journal.checkpoint()
    await again.journal.close()
    const third = await Ledger.open(disk)
    assert.equal(third.seen.length, older + 300)
    await third.journal.close()
    for (const [name, bytes] of await tilesOf(disk, '/b'))
      assert.deepEqual(await readWhole(disk, `/b/${name}`, 100_000), bytes, name)
  })

test('a journal that is gone altogether, under a checkpoint, is an older state too: none', async () => {
  const disk = await putBack(10, 40)
  for (const name of await disk.readdir('/b/journal')) await disk.unlink(`/b/journal/${name}`)
  await assert.rejects(Ledger.open(disk), (error: unknown) => error instanceof OlderState && error.held.size === 0)
})
