import assert from 'node:assert/strict'
import { createSecretKey, generateKeyPairSync, hash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { type Disk, realDisk } from './disk.ts'
import { openJournal } from './journal.ts'
import { EMPTY_ROOT, Frontier, leafHash, nodeHash } from './merkle.ts'
import { PowerLost, SimDisk, type SyncSite } from './simdisk.ts'
import { ClockBehind, type Journal, JournalDamage, JournalDead, type JournalOptions } from './types.ts'

const signer = generateKeyPairSync('ed25519').privateKey
const base: Omit<JournalOptions, 'dir' | 'disk' | 'onFatal'> = {
  boundaryId: Buffer.alloc(16, 1),
  writeSetKey: createSecretKey(Buffer.alloc(32, 2)),
  snapshotKey: createSecretKey(Buffer.alloc(32, 3)),
  signer,
  origin: 'test.example/log',
  now: () => 1_700_000_000_000,
  segmentBytes: 700,
  checkpointEveryMs: 3_600_000,
  reserveBytes: 16,
  state: () => Buffer.alloc(0),
  restore: () => false,
}

interface Seen {
  readonly record: string
  readonly rows: string | undefined
}

async function open(
  disk: Disk,
  dir = '/b',
  over: Partial<JournalOptions> = {},
): Promise<{ journal: Journal; seen: Seen[] }> {
  const seen: Seen[] = []
  const journal = await openJournal({ ...base, dir, disk, onFatal: () => {}, ...over }, frame => {
    seen.push({ record: frame.record.toString(), rows: frame.writeSet?.rows.toString() })
  })
  return { journal, seen }
}

async function simulated(seed: number): Promise<SimDisk> {
  const disk = new SimDisk(seed)
  await disk.mkdir('/b')
  await disk.syncDir('/')
  return disk
}

/** A recursive root by the words of RFC 6962 §2.1. */
function naiveRoot(leaves: readonly Buffer[]): Buffer {
  if (leaves.length === 0) return EMPTY_ROOT
  if (leaves.length === 1) return leafHash(leaves[0] as Buffer)
  let split = 1
  while (split * 2 < leaves.length) split *= 2
  return nodeHash(naiveRoot(leaves.slice(0, split)), naiveRoot(leaves.slice(split)))
}

test('promise 7: the log only grows — the tree is that of RFC 6962', () => {
  assert.equal(leafHash(Buffer.alloc(0)).toString('hex'), hash('sha256', Buffer.from([0])))
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 8 }), { maxLength: 70 }), data => {
      const leaves = data.map(bytes => Buffer.from(bytes))
      const frontier = new Frontier()
      for (const leaf of leaves) frontier.push(leafHash(leaf))
      assert.deepEqual(frontier.root(), naiveRoot(leaves))
    }),
  )
})

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

/** Appends until done or until power is lost; returns what was acknowledged, by number of record. */
async function workload(disk: SimDisk): Promise<string[]> {
  const acknowledged: string[] = []
  try {
    const { journal } = await open(disk)
    for (let round = 0; round < 6; round++) {
      const names = Array.from({ length: 3 }, (_, n) => `${round}.${n}`)
      await Promise.all(
        names.map(name =>
          journal
            .append(Buffer.from(name.padEnd(30)), name.endsWith('1') ? Buffer.from(`rows ${name}`) : undefined)
            .then(({ seq }) => {
              acknowledged[seq] = name
            }),
        ),
      )
      if (round % 2 === 1) await journal.checkpoint()
    }
    await journal.close()
  } catch (error) {
    if (!(error instanceof PowerLost || error instanceof JournalDead)) throw error
  }
  return acknowledged
}

/** What is wrong after a loss of power, or undefined. */
async function verdict(disk: SimDisk, acknowledged: readonly string[]): Promise<string | undefined> {
  try {
    const { journal, seen } = await open(disk.reboot())
    for (const [seq, name] of acknowledged.entries()) {
      if (seen[seq]?.record.trim() !== name)
        return `record ${seq} was acknowledged and is ${seen[seq]?.record ?? 'gone'}`
      if (name.endsWith('1') && seen[seq]?.rows !== `rows ${name}`)
        return `the write set of record ${seq} is not what was acknowledged`
    }
    await journal.append(Buffer.from('goes on'))
    await journal.close()
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}

test('promise 4: acknowledged means durable — power lost at every write and every sync', async () => {
  const whole = await simulated(1)
  await workload(whole)
  assert.ok(whole.calls > 40)
  for (let at = 3; at <= whole.calls; at++) {
    for (const seed of [1, 2, 3]) {
      const disk = await simulated(seed * 1000 + at)
      disk.lossAt = at
      assert.equal(
        await verdict(disk, await workload(disk)),
        undefined,
        `power lost at call ${at}, seed ${seed * 1000 + at}`,
      )
    }
  }
})

test('promise 4: leaving out any one kind of sync is noticed', async () => {
  const sites: [string, (site: SyncSite, of: string) => boolean][] = [
    ['fdatasync of segments', (site, of) => site === 'datasync' && of.endsWith('.seg')],
    ['fdatasync of the checkpoint', (site, of) => site === 'datasync' && of.includes('checkpoint')],
    ['sync of the folder of segments', (site, of) => site === 'syncDir' && of === '/b/journal'],
    ['sync of the boundary’s folder', (site, of) => site === 'syncDir' && of === '/b'],
  ]
  for (const [name, ignore] of sites) {
    const problems: string[] = []
    for (let at = 3; at < 90 && problems.length === 0; at++) {
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

test('promise 4: damage that no loss of power can explain stops the start and is named', async () => {
  const disk = await simulated(7)
  await workload(disk)
  const names = (await disk.readdir('/b/journal')).map(name => `/b/journal/${name}`)
  assert.ok(names.length > 1)
  for (const name of names) {
    for (let at = 0; at < disk.size(name); at += 5) {
      disk.flip(name, at)
      await assert.rejects(
        open(disk),
        (error: unknown) => error instanceof JournalDamage && error.file.startsWith('/b/journal'),
        `${name} at ${at}`,
      )
      disk.flip(name, at)
    }
  }
  assert.equal((await open(disk)).seen.length, 18)
  disk.flip('/b/checkpoint', 30)
  await assert.rejects(open(disk), JournalDamage)
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
