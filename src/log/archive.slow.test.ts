/** Archives: made and brought up to date, read alone and beside a journal whose old segments are gone, and refused where a bit of anything is wrong. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { realDisk, replaceFile } from '../boundary/journal/disk.ts'
import { Ledger } from '../boundary/journal/testing.ts'
import { createKeyFile, openKeyFile } from '../boundary/root/keyfile.ts'
import { makeRoot, type OpenedRoot, withBase } from '../boundary/root/rootfile.ts'
import { archiveLog } from './archive.ts'
import { checkArchived } from './archive-check.ts'
import { endOf, readIndex } from './archive-index.ts'
import { NoteError, parseCheckpoint, parseNote, parseVerifier } from './note.ts'
import { checkProof, makeProof } from './proof-file.ts'
import { proveConsistency, verifyConsistency } from './proofs.ts'
import { readLog } from './read.ts'
import { tileSubtrees } from './tiles.ts'
import { verifyFolder } from './verify.ts'

const NAME = 'promise 7: the log only grows, and outsiders can check it'
const ROOT = join(import.meta.dirname, '..', '..')
const made = mkdtempSync(join(tmpdir(), 'holdfast-archive-'))
after(() => rmSync(made, { recursive: true }))
let folders = 0

/** A boundary's folder with a real root file, and a journal under its key. */
class Site {
  readonly dir: string
  readonly archive: string
  ledger: Ledger
  root: OpenedRoot

  private constructor(dir: string, root: OpenedRoot, ledger: Ledger) {
    this.dir = dir
    this.archive = `${dir}-archive`
    this.root = root
    this.ledger = ledger
  }

  static async make(): Promise<Site> {
    const dir = join(made, String(++folders))
    await realDisk.mkdir(dir)
    await createKeyFile(`${dir}.key`)
    const { bytes, opened } = await makeRoot(await openKeyFile(`${dir}.key`), { service: 'kms', dev: false, now: 1 })
    await replaceFile(realDisk, join(dir, 'root'), bytes)
    return new Site(dir, opened, await Site.open(dir, opened))
  }

  static open(dir: string, { file, logKey }: OpenedRoot): Promise<Ledger> {
    const { boundaryId, base } = file
    return Ledger.open(realDisk, dir, { boundaryId, base, signer: logKey, segmentBytes: 4000 })
  }

  async fill(to: number): Promise<void> {
    for (let n = this.ledger.journal.size; n < to; n += 20)
      await Promise.all(
        Array.from({ length: Math.min(20, to - n) }, (_, at) =>
          this.ledger.append(`entry ${n + at}`, at % 7 === 0 ? 'rows' : undefined),
        ),
      )
    await this.ledger.journal.checkpoint()
  }

  async erase(before: number): Promise<number> {
    const { journal } = this.ledger
    const seq = journal.segments().findLast(({ firstSeq }) => firstSeq <= before)?.firstSeq ?? 0
    await journal.erase(seq, async base => {
      const { bytes, opened } = withBase(this.root, base)
      await replaceFile(realDisk, join(this.dir, 'root'), bytes)
      this.root = opened
    })
    return seq
  }

  /** Its first segment that an archive would take: none is written to any more. */
  closed(): string[] {
    return readdirSync(join(this.dir, 'journal')).sort().slice(0, -1)
  }
}

const filesOf = (dir: string): string[] =>
  readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile())
    .map(entry => join(entry.parentPath, entry.name))
    .sort()

async function entriesOf(dir: string, archive?: string): Promise<{ seqs: number[]; erased: number[][] }> {
  const erased: number[][] = []
  const seqs: number[] = []
  const options = archive === undefined ? {} : { archive }
  for await (const { seq, record } of readLog(dir, { ...options, onErased: (from, to) => erased.push([from, to]) })) {
    assert.equal(record.toString(), `entry ${seq}`)
    seqs.push(seq)
  }
  return { seqs, erased }
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, at) => from + at)

function checkLog(dir: string, vkey: string): string {
  const { status, stdout, stderr } = spawnSync('python3', [join(ROOT, 'scripts/check-log.py'), dir, vkey], { encoding: 'utf8' }) // biome-ignore format: one line says it
  assert.equal(status, 0, stdout + stderr)
  return stdout
}

test(`${NAME} — an archive takes what is closed, again and again, and what was erased is read, verified and proven from it`, async () => {
  const site = await Site.make()
  await site.fill(300)
  const { vkey } = site.ledger.journal
  const first = await archiveLog(site.dir, site.archive, { vkey })
  assert.deepEqual([first.copied, first.size], [site.closed().length, 300])
  assert.deepEqual(readdirSync(join(site.archive, 'journal')).sort(), site.closed())
  for (const file of filesOf(site.archive)) assert.equal(statSync(file).mode & 0o777, 0o600, file)
  const note = readFileSync(join(site.dir, 'checkpoint'))
  assert.equal((await archiveLog(site.dir, site.archive)).copied, 0)

  const kept = await site.erase(200)
  assert.ok(kept > 150)
  await site.fill(900)
  const second = await archiveLog(site.dir, site.archive)
  assert.ok(second.copied > 3 && second.entries === endOf(second.index).seq - endOf(first.index).seq)
  const later = await site.erase(700)
  assert.ok(later > 600 && later < endOf(second.index).seq)
  await site.fill(960)
  const end = endOf(second.index).seq

  for (const dir of [site.dir, site.archive]) assert.match(checkLog(dir, vkey), /good/)
  const alone = await verifyFolder(site.dir, { vkey })
  assert.deepEqual([alone.bad?.message, alone.entries, alone.erased, alone.archived], [undefined, 960, later, 0])
  const both = await verifyFolder(site.dir, { vkey, archive: site.archive })
  assert.deepEqual([both.bad?.message, both.entries, both.erased, both.archived], [undefined, 960, 0, later])
  assert.deepEqual(both.root, alone.root)
  const archive = await verifyFolder(site.archive, { vkey })
  assert.deepEqual([archive.bad?.message, archive.entries, archive.erased], [undefined, 900, 900 - end])

  assert.deepEqual(await entriesOf(site.dir), { seqs: range(later, 960), erased: [[0, later]] })
  assert.deepEqual(await entriesOf(site.dir, site.archive), { seqs: range(0, 960), erased: [] })
  assert.deepEqual(await entriesOf(site.archive), { seqs: range(0, end), erased: [] })

  const verifier = [parseVerifier(vkey)]
  for (const [dir, from] of [[site.dir, site.archive], [site.archive, undefined]] as const) // biome-ignore format: one line says it
    for (const seq of [0, 255, kept, later - 1, later]) {
      const checked = checkProof(Buffer.from(await makeProof(dir, seq, true, from)), verifier)
      assert.deepEqual([checked.index, checked.record?.toString()], [seq, `entry ${seq}`])
    }
  assert.equal(checkProof(Buffer.from(await makeProof(site.dir, 3, false)), verifier).index, 3)
  await assert.rejects(makeProof(site.archive, end, true), /not in this archive/)

  // The checkpoint of before the erasing is a beginning of the one after it.
  const [old, now] = [note, readFileSync(join(site.dir, 'checkpoint'))].map(each =>
    parseCheckpoint(parseNote(each).text),
  )
  assert.ok(old && now && now.size === 960)
  const path = proveConsistency(tileSubtrees(site.dir, now.size), old.size, now.size)
  assert.ok(verifyConsistency(old.size, now.size, old.root, now.root, path))

  await site.ledger.journal.close()
  const again = await Site.open(site.dir, site.root)
  await again.journal.close()
  assert.equal((await verifyFolder(site.dir, { vkey, archive: site.archive })).bad, undefined)
})

test(`${NAME} — a second archive begins where the journal does, and one with a gap is refused`, async () => {
  const site = await Site.make()
  await site.fill(300)
  await archiveLog(site.dir, site.archive)
  const { seq } = endOf(await readIndex(site.archive))
  await site.fill(600)
  const kept = await site.erase(500)
  assert.ok(kept > seq)
  await assert.rejects(archiveLog(site.dir, site.archive), /were erased/)
  const other = `${site.archive}-2`
  const { index } = await archiveLog(site.dir, other)
  assert.deepEqual(index.base, site.root.file.base)
  assert.match(checkLog(other, site.ledger.journal.vkey), /good/)
  assert.equal((await verifyFolder(other)).bad, undefined)
  assert.deepEqual(await entriesOf(other), { seqs: range(kept, endOf(index).seq), erased: [[0, kept]] })
  const elsewhere = await Site.make()
  await elsewhere.fill(100)
  await assert.rejects(archiveLog(elsewhere.dir, site.archive), /another log/)
  await assert.rejects(
    checkArchived(elsewhere.dir, site.archive, 0, 20, () => {}),
    /another log/,
  )
})

test(`${NAME} — nothing that a bit was flipped in gets into an archive, and no archive with a flipped bit passes for whole`, async () => {
  const site = await Site.make()
  await site.fill(520)
  const closed = site.closed()
  const last = join(site.dir, 'journal', closed[2] ?? '')
  for (const file of [last, ...filesOf(join(site.dir, 'tile')), join(site.dir, 'checkpoint')]) {
    const bytes = readFileSync(file)
    for (let at = 0; at < bytes.length; at += Math.max(1, Math.floor(bytes.length / 5))) {
      const copy = Buffer.from(bytes)
      copy[at] = (copy[at] ?? 0) ^ (1 << (at % 8))
      writeFileSync(file, copy)
      await assert.rejects(archiveLog(site.dir, site.archive), Error, `${file} at ${at}`)
      await assert.rejects(readIndex(site.archive), { code: 'ENOENT' })
    }
    writeFileSync(file, bytes)
  }
  await archiveLog(site.dir, site.archive)
  const { seq } = endOf(await readIndex(site.archive))
  const compare = () => checkArchived(site.dir, site.archive, 0, seq, () => {})
  assert.equal(await compare(), closed.length)
  for (const file of filesOf(site.archive)) {
    const bytes = readFileSync(file)
    for (const at of [0, Math.floor(bytes.length / 2), bytes.length - 1]) {
      const copy = Buffer.from(bytes)
      copy[at] = (copy[at] ?? 0) ^ 4
      writeFileSync(file, copy)
      const verified = await verifyFolder(site.archive).then(({ bad }) => bad !== undefined, error => error instanceof NoteError) // biome-ignore format: one line says it
      assert.ok(verified, `${file} at ${at}`)
      if (file.endsWith('.seg')) await assert.rejects(compare(), /not the one/)
    }
    writeFileSync(file, bytes)
  }
  const there = join(site.archive, 'journal', closed[1] ?? '')
  const whole = readFileSync(there)
  rmSync(there)
  await assert.rejects(compare(), /missing/)
  writeFileSync(there, whole)
  assert.equal(await compare(), closed.length)
  await assert.rejects(
    checkArchived(site.dir, site.archive, 0, seq + 1, () => {}),
    /archive them first/,
  )
  await assert.rejects(
    checkArchived(site.dir, made, 0, seq, () => {}),
    /no archive/,
  )
  // What an interrupted run left means nothing.
  const half = `${site.archive}-half`
  cpSync(site.archive, half, { recursive: true })
  rmSync(join(half, 'index'))
  rmSync(join(half, 'checkpoint'))
  writeFileSync(join(half, 'journal', `${closed[0]}.new`), 'half a segment')
  assert.equal((await archiveLog(site.dir, half)).copied, closed.length)
  assert.equal((await verifyFolder(half)).bad, undefined)
})
