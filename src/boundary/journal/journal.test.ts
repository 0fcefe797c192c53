import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { type Disk, realDisk } from './disk.ts'
import { SimDisk } from './simdisk.ts'
import { Ledger } from './testing.ts'
import { ClockBehind, JournalDamage, JournalDead, type JournalOptions } from './types.ts'

async function open(disk: Disk, dir = '/b', over: Partial<JournalOptions> = {}) {
  const { journal, seen } = await Ledger.open(disk, dir, { restore: () => false, ...over })
  return { journal, seen }
}

async function simulated(seed: number): Promise<SimDisk> {
  const disk = new SimDisk(seed)
  await disk.mkdir('/b')
  await disk.syncDir('/')
  return disk
}

test('what was appended is there after reopening, over several segments, on a real disk', async () => {
  const dir = await mkdtemp(path.join(tmpdir(), 'holdfast-journal-'))
  try {
    const first = await open(realDisk, dir)
    const appended = await Promise.all(
      Array.from({ length: 40 }, (_, n) =>
        first.journal.append(Buffer.from(`r${n}`), n % 3 === 0 ? Buffer.from(`w${n}`) : undefined),
      ),
    )
    assert.deepEqual(appended.map(one => one.seq), appended.map((_, n) => n)) // biome-ignore format: one line says it
    const second = await first.journal.append(Buffer.from('last'), Buffer.from('rows'))
    assert.equal(second.writeSet, 15)
    assert.equal((await first.journal.readWriteSet(second.location)).rows.toString(), 'rows')
    assert.deepEqual((await first.journal.writeSetsAfter(13, 9)).map(set => set.number), [14, 15]) // biome-ignore format: one line says it
    await first.journal.close()
    await assert.rejects(first.journal.append(Buffer.from('x')), JournalDead)
    const { journal, seen } = await open(realDisk, dir)
    assert.equal(seen.length, 41)
    assert.deepEqual(seen[39], { record: 'r39', rows: 'w39' })
    assert.equal((await journal.append(Buffer.from('next'))).seq, 41)
    assert.match(await journal.checkpoint(), /^test\.example\/log\n42\n/)
    await journal.close()
    await assert.rejects(open(realDisk, dir, { now: () => 1_600_000_000_000 }), ClockBehind)
    await assert.rejects(open(realDisk, dir, { boundaryId: Buffer.alloc(16, 9) }), JournalDamage)
  } finally {
    await rm(dir, { recursive: true })
  }
})

test('a failed write or fsync is the end: everything waiting rejects, and it is said once', async () => {
  const disk = await simulated(3)
  const fatal: Error[] = []
  const { journal } = await open(disk, '/b', { onFatal: error => fatal.push(error) })
  await journal.append(Buffer.from('a'))
  disk.lossAt = disk.calls + 2
  const results = await Promise.allSettled([journal.append(Buffer.from('b')), journal.append(Buffer.from('c'))])
  assert.ok(results.every(result => result.status === 'rejected'))
  await assert.rejects(journal.append(Buffer.from('d')), JournalDead)
  assert.equal(fatal.length, 1)
})
