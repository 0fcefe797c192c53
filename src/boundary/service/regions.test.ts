import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import path from 'node:path'
import { after, before, test } from 'node:test'
import type { KeyRow } from '../client/api.ts'
import type { BoundaryError } from '../words.ts'
import { fails, headerOfRow as header, type InProcess, inProcess, newKey } from './testing/in-process.ts'

const DAY = 86_400_000
const ACCOUNT = '111122223333'
const [A, B, C] = ['eu-north-1', 'us-west-2', 'ap-south-1'] as const
const POLICY = Buffer.from('{"Statement":[]}')

const held = { now: false }
let boundary: InProcess
before(async () => {
  boundary = await inProcess({ held: () => held.now })
})
after(async () => {
  await boundary.stop()
  boundary.remove()
})

const bare = (id: string): string => id.slice(id.indexOf('/') + 1)
const at = (region: string, key: KeyRow | string): string => `${region}/${bare(typeof key === 'string' ? key : key.id)}`
const make = (more: object = {}): Promise<KeyRow> =>
  newKey(boundary.use, { id: `${A}/mrk-${randomBytes(16).toString('hex')}`, multiRegion: true, ...more })
const replicate = (key: KeyRow, region: string): Promise<KeyRow> =>
  boundary.use.replicateKey(key.id, { region, policy: POLICY, rows: [] }, {})

/** What is due at once has been done. */
const settle = async (): Promise<void> => {
  await boundary.control.advanceClock(1)
}

/** The rows of a set, which all say the same of it. */
async function setOf(key: KeyRow): Promise<KeyRow[]> {
  const said = header(await boundary.key(key.id))
  const rows = await Promise.all(
    [said.primaryRegion, ...said.replicaRegions].map(region => boundary.key(at(region, key))),
  )
  for (const row of rows) {
    const { primaryRegion, replicaRegions, multiRegion, id } = header(row)
    assert.deepEqual(
      { primaryRegion, replicaRegions },
      { primaryRegion: said.primaryRegion, replicaRegions: said.replicaRegions },
    )
    assert.equal(multiRegion, id.startsWith(`${primaryRegion}/`) ? 'PRIMARY' : 'REPLICA')
  }
  return rows
}

test('a replica is Creating, then Enabled, in one write set with its primary, and opens what the primary encrypted', async () => {
  const primary = await make()
  held.now = true
  const creating = await replicate(primary, B)
  assert.equal(header(creating).state, 'Creating')
  assert.equal(creating.scope, `${ACCOUNT}/${B}`)
  const names = boundary.sets.at(-1)?.rows.map(row => `${row.kind} ${row.id}`)
  assert.deepEqual(names, [`key ${primary.id}`, `key ${at(B, primary)}`, `policy ${at(B, primary)}`])
  await assert.rejects(boundary.use.encrypt(creating, Buffer.from('x'), [], {}), fails('InvalidState'))
  await assert.rejects(replicate(primary, B), fails('AlreadyExists'))
  await assert.rejects(boundary.use.disableKey(creating.id, {}), fails('InvalidState'))
  held.now = false
  await settle()
  const [first, second] = (await setOf(primary)) as [KeyRow, KeyRow]
  assert.equal(header(second).state, 'Enabled')
  await assert.rejects(boundary.use.encrypt(creating, Buffer.from('x'), [], {}), fails('StaleKey'))
  const { ciphertext } = await boundary.use.encrypt(first, Buffer.from('x'), [['a', 'b']], {})
  assert.equal((await boundary.use.decrypt(second, ciphertext, [['a', 'b']], {})).plaintext.toString(), 'x')
  await assert.rejects(replicate(primary, A), fails('AlreadyExists'))
  await assert.rejects(replicate(second, C), fails('NotPermitted'))
  await assert.rejects(replicate(primary, 'Nowhere'), fails('InvalidRequest'))
})

test('without anybody asking, a replica is Enabled soon after', async () => {
  const primary = await make()
  await replicate(primary, B)
  while (header(await boundary.key(at(B, primary))).state !== 'Enabled') await new Promise(setImmediate)
  await boundary.use.updatePrimaryRegion(primary.id, B, {})
  for (const region of [A, B]) {
    while (header(await boundary.key(at(region, primary))).state !== 'Enabled') await new Promise(setImmediate)
  }
})

test('keys of one Region stay so, and ids say which a key is', async () => {
  const single = await newKey(boundary.use)
  await assert.rejects(replicate(single, B), fails('NotPermitted'))
  await assert.rejects(boundary.use.updatePrimaryRegion(single.id, B, {}), fails('NotPermitted'))
  await assert.rejects(newKey(boundary.use, { multiRegion: true }), fails('InvalidRequest'))
  await assert.rejects(make({ multiRegion: false }), fails('InvalidRequest'))
  await assert.rejects(make({ manager: 'AWS', managerService: 'objects' }), fails('InvalidRequest'))
})

test('the primary moves: both keys are Updating and work, and then are what they were', async () => {
  const primary = await make()
  await replicate(primary, B)
  await replicate(primary, C)
  await settle()
  held.now = true
  await assert.rejects(boundary.use.updatePrimaryRegion(primary.id, 'eu-west-9', {}), fails('InvalidRequest'))
  const moved = await boundary.use.updatePrimaryRegion(primary.id, B, {})
  assert.equal(header(moved).state, 'Updating')
  const next = await boundary.key(at(B, primary))
  assert.deepEqual([header(next).state, header(next).multiRegion], ['Updating', 'PRIMARY'])
  assert.equal(header(await boundary.key(at(C, primary))).state, 'Enabled')
  await setOf(primary)
  const { ciphertext } = await boundary.use.encrypt(next, Buffer.from('x'), [], {})
  assert.equal((await boundary.use.decrypt(moved, ciphertext, [], {})).plaintext.toString(), 'x')
  for (const refused of [
    boundary.use.disableKey(next.id, {}),
    boundary.use.scheduleKeyDeletion(next.id, 7, {}),
    boundary.use.rotateKeyOnDemand(next.id, {}),
  ]) {
    await assert.rejects(refused, fails('InvalidState'))
  }
  await boundary.use.setKeyRotation(next.id, true, 100, {})
  await boundary.use.updatePrimaryRegion(next.id, C, {})
  held.now = false
  await settle()
  for (const row of await setOf(primary)) assert.equal(header(row).state, 'Enabled')
  await assert.rejects(boundary.use.updatePrimaryRegion(primary.id, B, {}), fails('NotPermitted'))
  await boundary.use.disableKey(at(A, primary), {})
  await assert.rejects(boundary.use.updatePrimaryRegion(at(C, primary), A, {}), fails('KeyDisabled'))
})

test('rotation is the primary’s, and reaches every member in one write set', async () => {
  const primary = await make()
  await replicate(primary, B)
  await settle()
  await boundary.use.disableKey(at(B, primary), {})
  await assert.rejects(boundary.use.setKeyRotation(at(B, primary), true, 100, {}), fails('NotPermitted'))
  await boundary.use.enableKey(at(B, primary), {})
  await assert.rejects(boundary.use.rotateKeyOnDemand(at(B, primary), {}), fails('NotPermitted'))
  const old = (await boundary.use.encrypt(await boundary.key(primary.id), Buffer.from('old'), [], {})).ciphertext
  await boundary.use.setKeyRotation(primary.id, true, 100, {})
  await boundary.use.rotateKeyOnDemand(primary.id, {})
  assert.deepEqual(
    boundary.sets.at(-1)?.rows.map(row => row.id),
    [primary.id, at(B, primary)],
  )
  await boundary.control.advanceClock(101 * DAY)
  const [first, second] = (await setOf(primary)) as [KeyRow, KeyRow]
  assert.equal(header(first).materials.length, 3)
  assert.deepEqual(header(second).materials, header(first).materials)
  assert.deepEqual(header(second).nextRotationAt, header(first).nextRotationAt)
  const { ciphertext } = await boundary.use.encrypt(second, Buffer.from('new'), [], {})
  assert.equal((await boundary.use.decrypt(first, ciphertext, [], {})).plaintext.toString(), 'new')
  assert.equal((await boundary.use.decrypt(second, old, [], {})).plaintext.toString(), 'old')
  // The new primary takes the schedule over.
  await boundary.use.updatePrimaryRegion(primary.id, B, {})
  await boundary.control.advanceClock(101 * DAY)
  const [after, before] = (await setOf(primary)) as [KeyRow, KeyRow]
  assert.equal(header(after).id, at(B, primary))
  assert.equal(header(after).materials.length, 4)
  assert.deepEqual(header(before).materials, header(after).materials)
})

test('a primary waits for its replicas before its own window begins', async () => {
  const primary = await make()
  await replicate(primary, B)
  await replicate(primary, C)
  await settle()
  const waiting = await boundary.use.scheduleKeyDeletion(primary.id, 8, {})
  assert.deepEqual(
    [header(waiting).state, header(waiting).deletionDate, header(waiting).pendingWindowDays],
    ['PendingReplicaDeletion', 0, 8],
  )
  await assert.rejects(boundary.use.encrypt(waiting, Buffer.from('x'), [], {}), fails('KeyPendingDeletion'))
  await assert.rejects(replicate(primary, 'eu-west-1'), fails('KeyPendingDeletion'))
  await assert.rejects(boundary.use.updatePrimaryRegion(primary.id, B, {}), fails('KeyPendingDeletion'))
  assert.equal(header(await boundary.use.cancelKeyDeletion(primary.id, {})).state, 'Disabled')
  await boundary.use.scheduleKeyDeletion(primary.id, 8, {})
  await boundary.use.scheduleKeyDeletion(at(B, primary), 7, {})
  await assert.rejects(replicate(primary, B), fails('KeyPendingDeletion'))
  await boundary.control.advanceClock(8 * DAY)
  assert.equal((await boundary.key(at(B, primary))).body, null)
  assert.deepEqual(header(await boundary.key(primary.id)).replicaRegions, [C])
  await setOf(primary)
  await boundary.use.scheduleKeyDeletion(at(C, primary), 7, {})
  await boundary.control.advanceClock(8 * DAY)
  const last = header(await boundary.key(primary.id))
  assert.equal(last.state, 'PendingDeletion')
  assert.deepEqual(last.replicaRegions, [])
  assert.ok(last.deletionDate > 0)
  await boundary.control.advanceClock(7 * DAY)
  assert.notEqual((await boundary.key(primary.id)).body, null)
  await boundary.control.advanceClock(2 * DAY)
  assert.equal((await boundary.key(primary.id)).body, null)
})

test('promises 3 and 12: a member that is disabled, deleted or taken from another Region opens nothing', async () => {
  const primary = await make()
  await replicate(primary, B)
  await settle()
  const [first, second] = (await setOf(primary)) as [KeyRow, KeyRow]
  const { ciphertext } = await boundary.use.encrypt(first, Buffer.from('x'), [], {})
  const disabled = await boundary.use.disableKey(second.id, {})
  await assert.rejects(boundary.use.decrypt(second, ciphertext, [], {}), fails('StaleKey'))
  await assert.rejects(boundary.use.decrypt(disabled, ciphertext, [], {}), fails('KeyDisabled'))
  assert.equal((await boundary.use.decrypt(first, ciphertext, [], {})).plaintext.toString(), 'x', 'only it stops')
  // The primary's row in the place of the replica's, under any revision and digest that it could be given.
  for (const revision of [first.revision, disabled.revision]) {
    const copied = { ...first, id: second.id, scope: second.scope, revision, digest: undefined }
    await assert.rejects(boundary.use.decrypt(copied, ciphertext, [], {}), fails('StaleKey'))
    const [answer] = await boundary.use.checkRows([copied])
    assert.notEqual(answer, 'ok')
  }
  const forged = { ...disabled, body: first.body }
  await assert.rejects(boundary.use.decrypt(forged, ciphertext, [], {}), (error: BoundaryError) =>
    fails('StaleKey', 'InvalidRequest')(error),
  )
  await boundary.use.scheduleKeyDeletion(second.id, 7, {})
  await boundary.control.advanceClock(8 * DAY)
  for (const row of [second, disabled]) {
    await assert.rejects(boundary.use.decrypt(row, ciphertext, [], {}), fails('KeyGone'))
  }
  // A Region may have a replica again; what was its row before is still refused.
  const again = await replicate(primary, B)
  await settle()
  assert.ok(again.revision > disabled.revision + 2)
  for (const row of [second, disabled, again]) {
    await assert.rejects(boundary.use.decrypt(row, ciphertext, [], {}), fails('StaleKey'))
  }
  const usable = await boundary.key(second.id)
  assert.equal((await boundary.use.decrypt(usable, ciphertext, [], {})).plaintext.toString(), 'x')
})

test('promise 4: what was left Creating or Updating is finished by the next start', async () => {
  const first = await inProcess({ held: () => true })
  const folder = path.dirname(path.dirname(first.running.useSocket))
  const key = await newKey(first.use, { id: `${A}/mrk-${'7'.repeat(32)}`, multiRegion: true })
  await first.use.replicateKey(key.id, { region: B, policy: POLICY, rows: [] }, {})
  await first.stop()
  const second = await inProcess({ folder })
  while (header(await second.key(at(B, key))).state !== 'Enabled') await new Promise(setImmediate)
  await second.stop()
  second.remove()
})
