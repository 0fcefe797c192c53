/** What a log publishes, checked by a program in another language that knows the specifications only; and how a boundary starts from its snapshot. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { test } from 'node:test'
import { realDisk } from '../src/boundary/journal/disk.ts'
import { Ledger } from '../src/boundary/journal/testing.ts'
import { startBoundary } from '../src/boundary/service/start.ts'
import { headerOfRow, inProcess, keyId, newKey } from '../src/boundary/service/testing/in-process.ts'

const SCRIPT = resolve(import.meta.dirname, '..', 'scripts', 'check-log.py')

test('promise 7: the log only grows, and outsiders can check it — a monitor written from the C2SP texts alone finds checkpoint, tiles and bundles right', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'holdfast-layout-'))
  try {
    // The specification's own example of a size: two levels are full somewhere, and a third has begun.
    for (const until of [0, 1, 255, 256, 257, 70_000]) {
      const { journal } = await Ledger.open(realDisk, dir, { segmentBytes: 4_000_000, state: () => Buffer.alloc(0), restore: () => true }) // biome-ignore format: one line says it
      while (journal.size < until) {
        const count = Math.min(1000, until - journal.size)
        await Promise.all(Array.from({ length: count }, (_, n) => journal.append(Buffer.from(`entry ${n}`))))
      }
      await journal.close()
      const check = (vkey: string) => spawnSync('python3', [SCRIPT, dir, vkey], { encoding: 'utf8' })
      const { stdout, status } = check(journal.vkey)
      assert.deepEqual([status, stdout.split(' entries')[0]], [0, String(until)], stdout)
      if (until < 70_000) continue
      assert.match(stdout, /551 tiles and bundles: good/)
      for (const name of ['checkpoint', 'tile/0/100', 'tile/1/001.p/17', 'tile/2/000.p/1', 'tile/entries/273.p/112']) {
        const file = join(dir, name)
        const bytes = readFileSync(file)
        const changed = Buffer.from(bytes)
        changed[20] = (changed[20] ?? 0) ^ 1
        writeFileSync(file, changed)
        assert.equal(check(journal.vkey).status, 1, name)
        writeFileSync(file, bytes)
      }
    }
  } finally {
    rmSync(dir, { recursive: true })
  }
})

test('a boundary that was stopped starts from its snapshot: nothing is replayed, and every row is what it was', async () => {
  const first = await inProcess()
  const folder = join(first.running.useSocket, '..', '..')
  try {
    const rows = await Promise.all(Array.from({ length: 500 }, () => newKey(first.use)))
    const changed = rows[7]
    assert.ok(changed !== undefined)
    await first.stop()
    const lines: Record<string, unknown>[] = []
    const running = await startBoundary({
      config: {
        service: 'kms',
        folder: join(folder, 'b'),
        dev: true,
        root: { kind: 'keyfile', file: join(folder, 'root.key') },
        logOrigin: 'test.example/log',
      },
      warnings: [],
      log: (_level, message, more) => lines.push({ message, ...more }),
      onFatal: error => {
        throw error
      },
      onStop: () => {},
    })
    const opened = lines.find(({ message }) => message === 'the journal is open')
    assert.ok(Number(opened?.fromSnapshot) > 500)
    assert.equal(opened?.replayed, 0)
    assert.equal(running.boundary.status().keys, 500)
    await running.stop()
    const again = await inProcess({ folder })
    const row = await again.key(changed.id)
    assert.deepEqual([headerOfRow(row).id, row.body], [changed.id, changed.body])
    assert.ok((await newKey(again.use, { id: keyId(900_000) })).revision === 1)
    await again.stop()
  } finally {
    first.remove()
  }
})
