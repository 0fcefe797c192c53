import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { realDisk } from '../boundary/journal/disk.ts'
import { parseSnapshot } from '../boundary/journal/snapshot.ts'
import { base, Ledger } from '../boundary/journal/testing.ts'
import { NoteError, parseVerifier } from './note.ts'
import { checkProof, makeProof } from './proof-file.ts'
import { readLog } from './read.ts'
import { verifyFolder } from './verify.ts'

const NAME = 'promise 7: the log only grows, and outsiders can check it'

/** A folder made by a real journal: several segments, checkpoints on the way, tiles, snapshots. */
async function made(entries: number): Promise<{ dir: string; vkey: string }> {
  const dir = mkdtempSync(join(tmpdir(), 'holdfast-log-'))
  const { journal } = await Ledger.open(realDisk, dir, { segmentBytes: 20_000 })
  for (let n = 0; n < entries; n += 20) {
    await Promise.all(
      Array.from({ length: Math.min(20, entries - n) }, (_, at) =>
        journal.append(Buffer.from(`entry ${n + at}`), at % 7 === 0 ? Buffer.from('rows') : undefined),
      ),
    )
    if (n % 200 === 0) await journal.checkpoint()
  }
  await journal.close()
  return { dir, vkey: journal.vkey }
}

function filesOf(dir: string): string[] {
  return readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile() && entry.name !== 'reserve')
    .map(entry => join(entry.parentPath, entry.name))
}

test(`${NAME} — verify finds a real journal whole, and names every flipped bit of it`, async () => {
  const { dir, vkey } = await made(560)
  try {
    const whole = await verifyFolder(dir, { vkey })
    assert.equal(whole.bad?.message, undefined)
    assert.deepEqual([whole.entries, whole.checkpoint?.size, whole.writeSets, whole.snapshots, whole.unfinishedBytes], [560, 560, 84, 2, 0]) // biome-ignore format: one line says it
    assert.ok(whole.segments > 2 && whole.tiles > 6 && whole.signature?.pinned === true)
    assert.deepEqual(whole.root, whole.checkpoint?.root)
    for (const file of filesOf(dir)) {
      const bytes = readFileSync(file)
      // What follows the head of a snapshot only the boundary's key can check, and its starts do.
      const end = file.endsWith('.snap') ? bytes.length - 32 - parseSnapshot(bytes).state.length : bytes.length
      const step = file.endsWith('.seg') ? 223 : file.endsWith('checkpoint') ? 1 : 991
      for (let at = 0; at < end; at += step) {
        const copy = Buffer.from(bytes)
        copy[at] = (copy[at] ?? 0) ^ (1 << (at % 8))
        writeFileSync(file, copy)
        const { bad } = await verifyFolder(dir, { vkey })
        assert.equal(bad?.file, file, `${file} at ${at}: ${bad?.message}`)
        if (/\.seg$|tile/.test(file)) assert.ok((bad?.offset ?? at + 1) <= at && (bad?.seq ?? -1) >= 0)
        if (file.includes('/tile/')) assert.equal(bad?.offset, at)
      }
      writeFileSync(file, bytes)
    }
    for (const file of filesOf(dir)) {
      if (file.endsWith('.snap') || file.endsWith('checkpoint')) continue
      const bytes = readFileSync(file)
      truncateSync(file, bytes.length - 1)
      assert.equal((await verifyFolder(dir, { vkey })).bad?.file, file)
      writeFileSync(file, bytes)
      if (file.includes('.p/') && !/\.p\/(48|2)$/.test(file)) continue
      rmSync(file)
      assert.notEqual((await verifyFolder(dir, { vkey })).bad, undefined, `without ${file}`)
      writeFileSync(file, bytes)
    }
    assert.equal((await verifyFolder(dir, { vkey })).bad, undefined)
  } finally {
    rmSync(dir, { recursive: true })
  }
})

test(`${NAME} — verify in pieces: an unfinished batch is none of its business, a rewritten history is`, async () => {
  const { dir, vkey } = await made(100)
  const other = await made(100)
  try {
    const last = filesOf(join(dir, 'journal')).sort().at(-1) ?? ''
    const size = statSync(last).size
    writeFileSync(last, Buffer.concat([readFileSync(last), Buffer.from('HFR1 of a batch that was cut')]))
    const torn = await verifyFolder(dir, { vkey })
    assert.deepEqual([torn.bad, torn.unfinishedBytes], [undefined, 28])
    truncateSync(last, size)
    // The same records under other salts, and with every crc right: a history that was written anew.
    for (const name of readdirSync(join(other.dir, 'journal')))
      writeFileSync(join(dir, 'journal', name), readFileSync(join(other.dir, 'journal', name)))
    const rewritten = await verifyFolder(dir, { vkey })
    assert.match(rewritten.bad?.message ?? '', /do not make the root of the checkpoint|not follow|tile|snapshot/)
    const elsewhere = await verifyFolder(dir, { vkey: `${base.origin}+00000000+AA==` })
    assert.match(elsewhere.bad?.message ?? '', /checkpoint/)
  } finally {
    rmSync(dir, { recursive: true })
    rmSync(other.dir, { recursive: true })
  }
})

test(`${NAME} — a proof leaves the house, and proves its entry to whoever has the verifier key`, async () => {
  const { dir, vkey } = await made(300)
  try {
    const verifier = parseVerifier(vkey)
    for (const seq of [0, 1, 255, 256, 299]) {
      const text = await makeProof(dir, seq, true)
      const checked = checkProof(Buffer.from(text), [verifier])
      assert.deepEqual([checked.index, checked.record?.toString(), checked.checkpoint.size], [seq, `entry ${seq}`, 300])
      assert.equal(checkProof(Buffer.from(await makeProof(dir, seq, false)), [verifier]).record, undefined)
      const bytes = Buffer.from(text)
      for (let at = 0; at < bytes.length; at += 3) {
        const copy = Buffer.from(bytes)
        copy[at] = (copy[at] ?? 0) ^ 2
        assert.throws(() => checkProof(copy, [verifier]), NoteError, `byte ${at}`)
      }
    }
    await assert.rejects(makeProof(dir, 300, true), NoteError)
  } finally {
    rmSync(dir, { recursive: true })
  }
})

test('reading follows a journal that grows, over its segments', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'holdfast-log-'))
  const stop = new AbortController()
  try {
    const { journal } = await Ledger.open(realDisk, dir)
    const seen: string[] = []
    const reading = (async () => {
      for await (const entry of readLog(dir, { follow: true, signal: stop.signal })) {
        seen.push(entry.record.toString())
        if (seen.length === 60) stop.abort()
      }
    })()
    for (let n = 0; n < 60; n++) await journal.append(Buffer.from(`entry ${n}`))
    await reading
    assert.deepEqual(
      seen,
      Array.from({ length: 60 }, (_, n) => `entry ${n}`),
    )
    await journal.close()
    let count = 0
    for await (const entry of readLog(dir)) assert.equal(entry.seq, count++)
    assert.equal(count, 60)
  } finally {
    rmSync(dir, { recursive: true })
  }
})
