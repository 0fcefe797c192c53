import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import type { KeyRow } from '../../client/api.ts'
import type { RootStatus } from '../../client/root.ts'
import { checkRowTag, openSecret } from '../../crypto/rows.ts'
import { openKey } from '../../crypto/sealed.ts'
import { realDisk } from '../../journal/disk.ts'
import { openKeyFile } from '../../root/keyfile.ts'
import { horizonOf, openRoot, parseRootFile } from '../../root/rootfile.ts'
import { BoundaryError, FORGOTTEN_KINDS, type Row, type WriteSet } from '../../words.ts'
import { fails, headerOfRow, type InProcess, inProcess, newKey, SCOPE } from '../testing/in-process.ts'
import { diskWithFolder } from '../testing/power.ts'

const nameOf = ({ kind, id }: Pick<Row, 'kind' | 'id'>): string => `${kind} ${id}`
const grantOf = (key: Row, digit: string): string => `${key.id}#${digit.repeat(64)}`

/** Asks until the rotation is complete. */
async function complete({ control }: InProcess): Promise<RootStatus> {
  for (;;) {
    const status = await control.rootStatus()
    assert.equal(status.problem, '')
    if (status.generations.length === 1) return status
  }
}

/** The rows that write sets make of an empty store. */
function rowsOf(sets: readonly WriteSet[]): Map<string, Row> {
  const rows = new Map<string, Row>()
  for (const { rows: changed } of sets)
    for (const row of changed) {
      const name = nameOf(row)
      assert.ok(row.revision > (rows.get(name)?.revision ?? 0), name)
      if (row.body === null && FORGOTTEN_KINDS.has(row.kind)) rows.delete(name)
      else rows.set(name, row)
    }
  return rows
}

async function fetched({ use }: InProcess, after: number): Promise<{ horizon: number; sets: WriteSet[] }> {
  const sets: WriteSet[] = []
  const first = await use.writeSets(after, 100)
  for (let page = first; page.sets.length > 0; page = await use.writeSets(sets.at(-1)?.number ?? 0, 100))
    sets.push(...page.sets)
  return { horizon: first.horizon, sets }
}

const asserted = (operation: string) => ({ operation, requestId: randomUUID() })

/** A use, repeated once with the row of a refusal, as the front end does. */
async function used<T>(row: KeyRow, use: (row: KeyRow) => Promise<T>): Promise<T> {
  return use(row).catch(error => {
    if (!(error instanceof BoundaryError) || error.code !== 'StaleKey' || error.row == null) throw error
    return use(error.row as KeyRow)
  })
}

/** Rows of every protection, live and deleted. */
async function fill({ use, control }: InProcess) {
  const keys = [
    await newKey(use),
    await newKey(use, { spec: 'RSA_2048', usage: 'SIGN_VERIFY' }),
    await newKey(use, { origin: 'EXTERNAL' }),
  ]
  for (let n = 0; n < 150; n++) keys.push(await newKey(use))
  const [key, , third] = keys as [KeyRow, KeyRow, KeyRow]
  const put = { scope: SCOPE, link: key.id, expected: 0, body: Buffer.from('body') }
  await use.putRows(
    [
      { ...put, kind: 'alias', id: `${SCOPE}/alias/one` },
      { ...put, kind: 'alias', id: `${SCOPE}/alias/gone` },
      { ...put, kind: 'grant', id: grantOf(key, 'a') },
      { ...put, kind: 'grant', id: grantOf(key, 'b') },
    ],
    {},
  )
  await use.putRows([{ ...put, kind: 'alias', id: `${SCOPE}/alias/gone`, expected: 1, body: null }], {})
  await use.putRows([{ ...put, kind: 'grant', id: grantOf(key, 'b'), expected: 1, body: null }], {})
  await control.putRows(
    [{ kind: 'credential', id: 'AKIA', scope: '1', link: 'arn', expected: 0, body: Buffer.from('s3cret') }],
    {},
  )
  await use.scheduleKeyDeletion(third.id, 7, {})
  await control.advanceClock(8 * 86_400_000)
  return { key, keys, third }
}

test('a rotation seals everything anew beside the uses and destroys the old generation; a store is filled from the horizon; a replay without it gives the same', async t => {
  let rotating = true
  let beginning = true
  let boundary = await inProcess()
  t.after(async () => {
    beginning = rotating = false
    await boundary.stop()
    boundary.remove()
  })
  const { key, keys, third } = await fill(boundary)
  const { use, control, folder } = boundary
  const { ciphertext } = await use.encrypt(key, Buffer.from('before'), [], asserted('Encrypt'))
  const idle = keys.at(-1) as KeyRow
  await use.encrypt(idle, Buffer.from('long ago'), [], asserted('Encrypt'))
  const before = rowsOf(boundary.sets)

  let uses = 0
  const worker = async (of: KeyRow): Promise<void> => {
    for (let row = of; rotating; uses++) {
      row = (await control.getRow('key', row.id)) as KeyRow
      const made = await used(row, at => use.encrypt(at, Buffer.from('during'), [], asserted('Encrypt')))
      const { plaintext } = await used(row, at => use.decrypt(at, made.ciphertext, [], asserted('Decrypt')))
      assert.equal(plaintext.toString(), 'during')
    }
  }
  // Rows that are made at the very moment at which the generation begins: each is sealed under the one that its place in the journal says.
  const made: Row[] = []
  const makeOne = async (id: string): Promise<void> => {
    const put = { kind: 'credential', id, scope: '1', link: 'arn', expected: 0, body: Buffer.from(id) } as const
    const [[row], key] = await Promise.all([control.putRows([put], {}), newKey(use)])
    made.push(row as Row, key)
  }
  // One in each turn of the event loop, not when the last is answered: some come while the generation begins.
  const maker = async (n: number): Promise<void> => {
    for (let round = 0; beginning; round++) {
      const under = []
      for (let each = 0; each < 40 && beginning; each++) {
        under.push(makeOne(`AKIA${n}-${round}-${each}`))
        await new Promise(setImmediate)
      }
      await Promise.all(under)
    }
  }
  const load = Promise.all([...[0, 3, 4, 5].map(at => worker(keys[at] as KeyRow)), ...[1, 2].map(maker)])
  while (made.length < 40) await new Promise(setImmediate)
  await control.rotateRoot(undefined)
  beginning = false
  await assert.rejects(control.rotateRoot(undefined), fails('InvalidState'))
  const status = await complete(boundary)
  rotating = false
  await load
  assert.ok(uses > 10, `${uses} uses`)
  assert.deepEqual([status.generations[0]?.generation, status.destroyed, status.kind], [2, 1, 'keyfile'])
  assert.ok(status.total >= 150 && status.done >= status.total)

  const file = parseRootFile(fs.readFileSync(path.join(folder, 'b', 'root')))
  assert.deepEqual(
    fs.readdirSync(path.join(folder, 'b')).filter(name => name.startsWith('root')),
    ['root'],
  )
  assert.equal(fs.readdirSync(path.join(folder, 'b', 'snapshot')).length, 1)
  const { keyring } = await openRoot(await openKeyFile(path.join(folder, 'root.key')), file)
  const { horizon, sets } = await fetched(boundary, 0)
  assert.deepEqual([horizon, sets[0]?.number], [horizonOf(file), horizon + 1])
  assert.ok(horizon > 150)
  for (const { rows } of sets)
    for (const row of rows)
      if (row.kind === 'key' && row.body !== null) assert.equal(headerOfRow(row).rootGeneration, 2, 'from the first on')
  const after = rowsOf(sets)
  for (const [name, row] of before) {
    const now = after.get(name)
    assert.ok(now !== undefined && now.revision > row.revision, name)
    assert.deepEqual([now.scope, now.link, now.body === null], [row.scope, row.link, row.body === null], name)
    if (row.kind !== 'key' || row.body === null || now.body === null) continue
    assert.throws(() => openKey(keyring, row.body as Buffer), /does not open/)
    const { header } = openKey(keyring, now.body)
    const was = headerOfRow(row)
    assert.deepEqual(header, { ...was, revision: now.revision, rootGeneration: 2 })
  }
  assert.ok(made.length > 8)
  for (const { kind, id } of made) assert.ok(after.has(`${kind} ${id}`), id)
  for (const row of after.values()) {
    if (row.body === null) continue
    assert.ok(checkRowTag(keyring, row), nameOf(row))
    if (row.kind === 'key') openKey(keyring, row.body)
    if (row.kind === 'credential' && row.id !== 'AKIA') assert.equal(openSecret(keyring, row).toString(), row.id)
  }
  assert.equal(after.get(`key ${third.id}`)?.body, null)
  const credential = after.get('credential AKIA')
  assert.equal((await use.openSecret(credential as Row)).toString(), 's3cret')
  const current = (await control.getRow('key', key.id)) as KeyRow
  assert.equal((await use.decrypt(current, ciphertext, [], {})).plaintext.toString(), 'before')
  assert.equal((await use.checkRows([{ ...current, kind: 'grant', id: grantOf(key, 'b') }]))[0], undefined)

  const told = async ({ use: at, control: by }: InProcess) => ({
    keys: (await by.status()).keys,
    last: await at.keyLastUsage(idle.id),
    busy: await at.keyLastUsage(key.id),
    aliases: await by.listRows('alias', '', 10),
    grants: await by.listRows('grant', '', 10),
  })
  const known = await told(boundary)
  assert.equal(known.last.use?.operation, 'Encrypt')
  for (const snapshots of [true, false]) {
    await boundary.stop()
    const snapshotFolder = path.join(folder, 'b', 'snapshot')
    if (!snapshots) for (const name of fs.readdirSync(snapshotFolder)) fs.rmSync(path.join(snapshotFolder, name))
    boundary = await inProcess({ folder })
    assert.deepEqual(await told(boundary), known, snapshots ? 'from the snapshot' : 'from the journal alone')
    assert.deepEqual(rowsOf((await fetched(boundary, 0)).sets), after)
  }
  // And once more: what a rotation made can be rotated again.
  await boundary.control.rotateRoot(undefined)
  assert.equal((await complete(boundary)).destroyed, 2)
  const last = (await boundary.control.getRow('key', key.id)) as KeyRow
  assert.equal((await boundary.use.decrypt(last, ciphertext, [], {})).plaintext.toString(), 'before')
})

test('who changes a row from the revision before a rotation loses to nobody; who is behind a real change still does', async () => {
  const boundary = await inProcess()
  const { use, control } = boundary
  const key = await newKey(use)
  const alias = { kind: 'alias', id: `${SCOPE}/alias/cas`, scope: SCOPE, link: key.id, body: Buffer.from('1') } as const
  const hold = { kind: 'principal', id: 'arn:p', scope: '1', link: '', body: Buffer.from('p') } as const
  await use.putRows([{ ...alias, expected: 0 }], {})
  await control.putRows([{ ...hold, expected: 0 }], {})
  await control.rotateRoot(undefined)
  await complete(boundary)
  const [made] = await use.putRows([{ ...alias, expected: 1, body: Buffer.from('2') }], {})
  assert.equal(made?.revision, 3)
  await assert.rejects(use.putRows([{ ...alias, expected: 1 }], {}), fails('Conflict'))
  await assert.rejects(use.putRows([{ ...alias, expected: 2 }], {}), fails('Conflict'))
  await assert.rejects(use.putRows([{ ...alias, expected: 0 }], {}), fails('Conflict'))
  const [deleted] = await control.putRows([{ ...hold, expected: 1, body: null }], {})
  assert.equal(deleted?.revision, 3)
  await boundary.stop()
  boundary.remove()
})

test('promise 4: power is lost at any moment of a rotation: the next start goes on with it, or with nothing of it, and every key opens', async () => {
  let resumed = 0
  let whole = 0
  for (let seed = 1; seed <= 24; seed++) {
    const { disk, folder } = await diskWithFolder(seed)
    const first = await inProcess({ disk, folder })
    const rows: KeyRow[] = []
    for (let n = 0; n < 12; n++) rows.push(await newKey(first.use))
    const made = await Promise.all(rows.map(row => first.use.encrypt(row, Buffer.from(row.id), [], {})))
    disk.lossAt = disk.calls + seed * 3
    // Whatever waits when the power goes is never answered: it ends with its connection.
    const load = (async () => {
      await first.control.rotateRoot(undefined)
      for (;;) await newKey(first.use)
    })().catch(() => {})
    while (first.fatal === undefined) await new Promise(setImmediate)
    first.use.close()
    first.control.close()
    await load
    await first.stop()

    const second = await inProcess({ disk: disk.reboot(), folder })
    const found = await second.control.rootStatus()
    if (found.generations.length > 1) resumed++
    else if (found.destroyed === 0) whole++
    await complete(second)
    for (const [at, row] of rows.entries()) {
      const now = await second.key(row.id)
      const { plaintext } = await second.use.decrypt(now, made[at]?.ciphertext ?? Buffer.alloc(0), [], {})
      assert.equal(plaintext.toString(), row.id, `seed ${seed}`)
    }
    const { horizon, sets } = await fetched(second, 0)
    const kept = rowsOf(sets)
    for (const row of rows) assert.ok(kept.has(`key ${row.id}`), `seed ${seed}, horizon ${horizon}`)
    await second.stop()
    second.remove()
  }
  assert.ok(resumed > 2 && resumed + whole <= 24, `${resumed} of 24 lives went on, ${whole} had not begun`)
})

test('promise 3: a journal that ends before all was sealed anew lacks what was revoked: no start without the generation that is destroyed', async () => {
  const boundary = await inProcess()
  await fill(boundary)
  await boundary.control.rotateRoot(undefined)
  await complete(boundary)
  await boundary.stop()
  const folder = path.join(boundary.folder, 'b')
  const { generations, wholeAt } = parseRootFile(fs.readFileSync(path.join(folder, 'root')))
  // As one that was copied in the middle of the rotation, without what would say how long it was: only the header of its last segment is left.
  fs.rmSync(path.join(folder, 'checkpoint'))
  fs.rmSync(path.join(folder, 'snapshot'), { recursive: true })
  const last = fs.readdirSync(path.join(folder, 'journal')).sort().at(-1) ?? ''
  const size = Number(last.slice(0, 20))
  assert.ok(size >= (generations[0]?.firstRecord ?? 0) && size < wholeAt)
  fs.truncateSync(path.join(folder, 'journal', last), 108)
  await assert.rejects(inProcess({ folder: boundary.folder }), /all was sealed anew .* opens no more/)
  boundary.remove()
})

test('without free space it waits, says so, and goes on by itself', async t => {
  const first = await inProcess()
  await Promise.all(Array.from({ length: 300 }, () => newKey(first.use)))
  await first.control.rotateRoot(undefined)
  await first.stop()
  let full = true
  const disk = { ...realDisk, freeSpace: (dir: string) => (full ? Promise.resolve(0) : realDisk.freeSpace(dir)) }
  const second = await inProcess({ folder: first.folder, disk })
  t.after(async () => {
    await second.stop()
    second.remove()
  })
  let status = await second.control.rootStatus()
  while (status.problem === '') status = await second.control.rootStatus()
  assert.match(status.problem, /^free space is below the floor: make room/)
  assert.equal(status.generations.length, 2)
  const { warnings } = await second.use.status()
  assert.ok(warnings.some(warning => warning.includes(status.problem)))
  full = false
  while (status.generations.length > 1) status = await second.control.rootStatus()
  assert.equal(status.problem, '')
})
