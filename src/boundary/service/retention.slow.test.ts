/** Erasing segments by a boundary: the rule, what stays in force, what every later start knows, and a loss of power anywhere in it. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import type { KeyRow, PutRow } from '../client/api.ts'
import type { BoundaryConfig } from '../config.ts'
import { parseRootFile } from '../root/rootfile.ts'
import { ROW_KINDS, type Row, type RowKind } from '../words.ts'
import { fails, type InProcess, type InProcessOptions, inProcess, newKey, SCOPE } from './testing/in-process.ts'
import { diskWithFolder } from './testing/power.ts'

const DAY = 86_400_000
const DAYS = 3
const SEGMENT = 4000
const KINDS = Object.keys(ROW_KINDS) as RowKind[]

/** Real time, which the test moves. */
let now = Date.now() - 100 * DAY

const start = (more: Partial<InProcessOptions> = {}, config: Partial<BoundaryConfig> = {}): Promise<InProcess> =>
  inProcess({
    now: () => now,
    ...more,
    config: { retentionDays: DAYS, limits: { segmentBytes: SEGMENT }, ...config },
  })

const alias = (name: string, link: string, more: Partial<PutRow> = {}): PutRow => ({
  kind: 'alias',
  id: `${SCOPE}/alias/${name}`,
  scope: SCOPE,
  link,
  expected: 0,
  body: Buffer.from(name),
  ...more,
})

const credential: PutRow = {
  kind: 'credential',
  id: 'HFAKEXAMPLE',
  scope: '111122223333',
  link: 'arn:aws:iam::111122223333:user/a',
  expected: 0,
  body: Buffer.from('a secret'),
}

interface Life {
  readonly key: KeyRow
  readonly message: Buffer
  readonly gone: KeyRow
  readonly secret: Row
}

/** A key with what hangs on it, one that is deleted, a secret; and then time passes, with uses that fill segments. */
async function live({ use, control }: InProcess, days: number): Promise<Life> {
  const key = await newKey(use)
  const gone = await newKey(use)
  await use.putRows([alias('old', key.id)], {})
  await use.putRows([alias('doomed', gone.id)], {})
  const [deleted] = await use.putRows([alias('brief', key.id)], {})
  await use.putRows([alias('brief', key.id, { expected: deleted?.revision ?? 0, body: null })], {})
  const [secret] = await control.putRows([credential], {})
  assert.ok(secret)
  const { ciphertext } = await use.encrypt(key, Buffer.from('kept'), [['a', 'b']], { operation: 'Encrypt', requestId: randomUUID() }) // biome-ignore format: one line says it
  await use.scheduleKeyDeletion(gone.id, 30, {})
  for (let day = 0; day < days; day++) {
    now += DAY
    for (let n = 0; n < 25; n++) await use.generateRandom(8, { operation: 'GenerateRandom' })
  }
  return { key, message: ciphertext, gone, secret }
}

/** Everything that a boundary says of its rows, without revisions and seals, which a row that is written again has anew. */
async function known({ use, control, running }: InProcess, ids: readonly string[]): Promise<unknown> {
  const rows: unknown[] = []
  for (const kind of KINDS) {
    for (let after = ''; ; ) {
      const page = await control.listRows(kind, after, 1000)
      if (page.length === 0) break
      for (const { id, scope, link, body } of page) {
        const clear = ROW_KINDS[kind].protection === 'tagged' ? body?.toString() : undefined
        rows.push([kind, id, scope, link, clear])
      }
      after = page.at(-1)?.id ?? ''
    }
  }
  const uses = await Promise.all(ids.map(async id => (await use.keyLastUsage(id)).use))
  const { keys, lifecycleNow } = running.boundary.status()
  return { rows, uses, keys, ahead: lifecycleNow - now }
}

const journal = (folder: string): string[] => fs.readdirSync(path.join(folder, 'b', 'journal')).sort()
const baseOf = (folder: string) => parseRootFile(fs.readFileSync(path.join(folder, 'b', 'root'))).base
const noSnapshots = (folder: string): void => fs.rmSync(path.join(folder, 'b', 'snapshot'), { recursive: true })

async function eraseAll(boundary: InProcess) {
  const would = await boundary.control.eraseSegments({ firstToKeep: 0, expected: 0, dryRun: true })
  const { begins: expected, firstToKeep } = would
  return { would, erased: await boundary.control.eraseSegments({ firstToKeep, expected, dryRun: false }) }
}

test('what is in force survives the erasing of what it stood in, for starts with and without snapshots', async () => {
  let boundary = await start()
  const { folder } = boundary
  const { key, message, gone, secret } = await live(boundary, 10)
  await boundary.use.encrypt(key, Buffer.from('later'), [], { operation: 'Encrypt', requestId: randomUUID() })
  const ids = [key.id, gone.id]
  const before = await known(boundary, ids)
  const segments = journal(folder)
  const { would, erased } = await eraseAll(boundary)
  assert.ok(would.rows > 5 && would.segments > 3 && would.days === DAYS, JSON.stringify(would))
  assert.ok(erased.rows >= would.rows)
  assert.equal(baseOf(folder).seq, would.firstToKeep)
  assert.deepEqual(journal(folder).slice(0, 2), segments.slice(would.segments, would.segments + 2))
  const nothing = await boundary.control.eraseSegments({ firstToKeep: 0, expected: 0, dryRun: true })
  assert.deepEqual([nothing.segments, nothing.begins], [0, would.firstToKeep])

  const checks = async (): Promise<void> => {
    assert.deepEqual(await known(boundary, ids), before)
    const current = await boundary.key(key.id)
    assert.ok(current.revision > key.revision)
    assert.equal((await boundary.use.decrypt(current, message, [['a', 'b']], {})).plaintext.toString(), 'kept')
    assert.deepEqual(await boundary.use.checkRows([current]), ['ok'])
    const again = await boundary.control.getRow(secret.kind, secret.id)
    assert.ok(again)
    assert.equal((await boundary.use.openSecret(again)).toString(), 'a secret')
    // A row of before is no longer current, and neither is one that was deleted in what was erased.
    await assert.rejects(boundary.use.decrypt(key, message, [['a', 'b']], {}), fails('StaleKey'))
    await assert.rejects(boundary.use.openSecret(secret), fails('StaleKey'))
    await assert.rejects(boundary.use.putRows([alias('brief', key.id, { expected: 1 })], {}), fails('Conflict'))
    await assert.rejects(newKey(boundary.use, { id: key.id }), fails('AlreadyExists'))
  }
  await checks()
  for (const without of [false, true, true]) {
    await boundary.stop()
    if (without) noSnapshots(folder)
    boundary = await start({ folder })
    await checks()
  }
  // The deletion that was asked for in what was erased is done when its day comes.
  now += 30 * DAY
  await boundary.stop()
  boundary = await start({ folder })
  for (let row: Row | undefined; row?.body !== null; ) row = await boundary.control.getRow('key', gone.id)
  await boundary.stop()
  boundary.remove()
})

test('the last uses that stood in erased records are known by a snapshot, and said to be unknown without one', async () => {
  let boundary = await start()
  const { folder } = boundary
  const { key } = await live(boundary, 10)
  const { since, use } = await boundary.use.keyLastUsage(key.id)
  assert.equal(use?.operation, 'Encrypt')
  const { erased } = await eraseAll(boundary)
  assert.deepEqual(await boundary.use.keyLastUsage(key.id), { since, use })
  await boundary.stop()
  noSnapshots(folder)
  boundary = await start({ folder })
  const later = await boundary.use.keyLastUsage(key.id)
  assert.equal(later.use, undefined)
  assert.ok(later.since !== since && later.since < now - DAYS * DAY && erased.segments > 0)
  await boundary.stop()
  boundary.remove()
})

test('the boundary keeps to the rule, whoever asks for what: no rule, too young, being written, not a segment, another beginning, twice, low space', async () => {
  let boundary = await start({}, {})
  const { folder } = boundary
  const ask = (firstToKeep: number, expected = 0, dryRun = false) =>
    boundary.control.eraseSegments({ firstToKeep, expected, dryRun })
  await live(boundary, 2)
  const young = await ask(0, 0, true)
  assert.deepEqual([young.segments, young.firstToKeep], [0, 0])
  const starts = journal(folder).map(name => Number(name.slice(0, 20)))
  for (const seq of starts.slice(1)) await assert.rejects(ask(seq), fails('NotPermitted'))
  now += 20 * DAY
  const { firstToKeep } = await ask(0, 0, true)
  assert.equal(firstToKeep, starts.at(-1), 'all but the one that is being written')
  await assert.rejects(ask(firstToKeep + 1), fails('NotPermitted'))
  await assert.rejects(ask(firstToKeep - 1), fails('InvalidRequest'))
  await assert.rejects(ask(0), fails('InvalidRequest'))
  await assert.rejects(ask(firstToKeep, 1), fails('Conflict'))
  const [one, two] = await Promise.allSettled([ask(starts[1] ?? 0), ask(starts[2] ?? 0)])
  assert.deepEqual([one?.status, two?.status], ['fulfilled', 'rejected'])
  assert.deepEqual(baseOf(folder).seq, starts[1])
  await assert.rejects(ask(starts[2] ?? 0), fails('Conflict'))
  await boundary.stop()
  boundary = await start({ folder }, { limits: { segmentBytes: SEGMENT, floorBytes: Number.MAX_SAFE_INTEGER } })
  await assert.rejects(ask(starts[2] ?? 0, starts[1]), fails('DiskFull'))
  await boundary.stop()
  boundary = await inProcess({ folder, now: () => now })
  for (const dryRun of [true, false])
    await assert.rejects(ask(starts[2] ?? 0, starts[1], dryRun), fails('NotPermitted'))
  await boundary.stop()
  boundary.remove()
})

test('a rotation of the root and an erasing do not begin while the other is under way', async () => {
  const boundary = await start()
  await live(boundary, 10)
  const { firstToKeep } = await boundary.control.eraseSegments({ firstToKeep: 0, expected: 0, dryRun: true })
  const erasing = boundary.control.eraseSegments({ firstToKeep, expected: 0, dryRun: false })
  await assert.rejects(boundary.control.rotateRoot(undefined), fails('InvalidState'))
  await erasing
  now += 10 * DAY
  await boundary.control.rotateRoot(undefined)
  const rotating = async () => (await boundary.control.rootStatus()).generations.length > 1
  if (await rotating()) {
    const asked = boundary.control.eraseSegments({ firstToKeep: firstToKeep + 1, expected: firstToKeep, dryRun: false })
    await assert.rejects(asked, fails('InvalidState', 'InvalidRequest'))
  }
  while (await rotating()) await new Promise(resolve => setImmediate(resolve))
  const { erased } = await eraseAll(boundary)
  assert.ok(erased.segments > 0)
  await boundary.stop()
  noSnapshots(boundary.folder)
  const again = await start({ folder: boundary.folder })
  await again.stop()
  again.remove()
})

test('a front end that was away while its write sets were erased gets the whole from the horizon on', async () => {
  const boundary = await start()
  const { key } = await live(boundary, 10)
  await eraseAll(boundary)
  const { horizon, sets } = await boundary.use.writeSets(1, 1000)
  assert.equal(horizon, baseOf(boundary.folder).writeSet)
  assert.equal(sets[0]?.number, horizon + 1)
  const rows = new Map<string, Row>()
  for (const set of sets) for (const row of set.rows) rows.set(`${row.kind} ${row.id}`, row)
  const current = await boundary.key(key.id)
  assert.deepEqual(rows.get(`key ${key.id}`), current)
  for (const kind of KINDS)
    for (const row of await boundary.control.listRows(kind, '', 1000)) assert.deepEqual(rows.get(`${kind} ${row.id}`), row) // biome-ignore format: one line says it
  await boundary.stop()
  boundary.remove()
})

test('a root file of before the erasing, or a journal of before it: what is there is used, and what nobody erased is missed', async () => {
  const rootOf = (folder: string): string => path.join(folder, 'b', 'root')
  let boundary = await start()
  const { folder } = boundary
  const { key, message } = await live(boundary, 10)
  await boundary.stop()
  const kit = fs.readFileSync(rootOf(folder))
  const older = `${folder}-older`
  fs.cpSync(folder, older, { recursive: true, filter: source => !source.endsWith('.sock') })
  boundary = await start({ folder })
  const before = await known(boundary, [key.id])
  const { firstToKeep } = (await eraseAll(boundary)).would
  await boundary.stop()
  const opens = async (): Promise<void> => {
    const current = await boundary.key(key.id)
    assert.equal((await boundary.use.decrypt(current, message, [['a', 'b']], {})).plaintext.toString(), 'kept')
    assert.deepEqual(await known(boundary, [key.id]), before)
    await boundary.stop()
  }
  const newer = fs.readFileSync(rootOf(folder))
  // The root file comes from a kit of long ago.
  fs.writeFileSync(rootOf(folder), kit)
  boundary = await start({ folder })
  assert.equal(baseOf(folder).seq, firstToKeep)
  await opens()
  // The journal comes from a backup of before the erasing.
  fs.writeFileSync(rootOf(older), newer)
  boundary = await start({ folder: older })
  assert.equal(baseOf(older).seq, 0)
  assert.equal(journal(older)[0], `${'0'.repeat(20)}.seg`)
  await opens()
  // Segments that no record says were erased.
  fs.rmSync(path.join(older, 'b', 'journal', journal(older)[0] ?? ''))
  await assert.rejects(start({ folder: older }), /no record says that those before were erased/)
  const left = journal(folder)
  fs.rmSync(path.join(folder, 'b', 'journal', left[0] ?? ''))
  await assert.rejects(start({ folder }), /no record says that those before were erased/)
  assert.deepEqual(journal(folder), left.slice(1), 'a start that is refused removes nothing')
  for (const each of [folder, older]) fs.rmSync(each, { recursive: true })
})

test('promise 4: acknowledged means durable — power lost at every step of an erasing by the boundary', async () => {
  let done = false
  for (let step = 1; !done; step++) {
    const { disk, folder } = await diskWithFolder(step)
    const first = await start({ disk, folder })
    const { key, message } = await live(first, 5)
    const before = await known(first, [key.id])
    const { firstToKeep } = await first.control.eraseSegments({ firstToKeep: 0, expected: 0, dryRun: true })
    assert.ok(firstToKeep > 0)
    disk.lossAt = disk.calls + step
    const erasing = first.control.eraseSegments({ firstToKeep, expected: 0, dryRun: false })
    const ended = erasing.then(
      () => {
        done = true
      },
      () => {},
    )
    while (!done && first.fatal === undefined) await new Promise(resolve => setImmediate(resolve))
    // The process ends here.
    first.use.close()
    first.control.close()
    await ended
    if (done) disk.lossAt = Number.POSITIVE_INFINITY
    await first.running.stop()
    const second = await start({ disk: disk.reboot(), folder })
    const base = baseOf(folder).seq
    assert.ok(base === firstToKeep || (base === 0 && !done), `power lost at step ${step}: ${base}`)
    assert.deepEqual(await known(second, [key.id]), before, `power lost at step ${step}`)
    const current = await second.key(key.id)
    assert.equal((await second.use.decrypt(current, message, [['a', 'b']], {})).plaintext.toString(), 'kept')
    if (base === 0) assert.equal((await eraseAll(second)).erased.firstToKeep, firstToKeep)
    await second.stop()
    second.remove()
    assert.ok(!done || step > 10)
  }
})
