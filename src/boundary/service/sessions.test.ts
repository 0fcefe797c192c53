import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { fails, type InProcess, inProcess } from './testing/in-process.ts'

let boundary: InProcess
let clock = Date.now()

before(async () => {
  boundary = await inProcess({ now: () => clock })
})
after(async () => {
  await boundary.stop()
  boundary.remove()
})

const size = async () => (await boundary.use.status()).logSize
const HOUR = 3_600_000

test('sealing has one record and opening has one; the boundary’s own clock ends a session', async () => {
  const { use } = boundary
  const before = await size()
  const expiresAt = clock + HOUR
  const { token } = await use.sealSession(Buffer.from('who'), expiresAt, { operation: 'AssumeRole', subject: 'role' })
  assert.equal(await size(), before + 1)
  assert.ok(!token.includes('who'))
  assert.deepEqual(await use.openSession(token, {}), { body: Buffer.from('who'), expiresAt })
  assert.equal(await size(), before + 2)
  clock = expiresAt
  await assert.rejects(use.openSession(token, {}), fails('ExpiredSession'))
})

test('lifecycle time, which an administrator can move, ends none', async () => {
  const { use, control } = boundary
  const { token } = await use.sealSession(Buffer.from('who'), clock + HOUR, {})
  await control.advanceClock(2 * HOUR)
  assert.equal((await use.openSession(token, {})).body.toString(), 'who')
})

test('what strangers send as tokens leaves no record', async () => {
  const { use } = boundary
  const before = await size()
  for (const token of [Buffer.alloc(0), Buffer.alloc(25), Buffer.alloc(100, 1), Buffer.alloc(12_288)]) {
    await assert.rejects(use.openSession(token, {}), fails('InvalidSession'))
  }
  assert.equal(await size(), before)
})

test('promise 2: a session that ends in the past or after more than 36 hours is refused, on the record', async () => {
  const { use } = boundary
  const before = await size()
  await assert.rejects(use.sealSession(Buffer.from('x'), clock, {}), fails('InvalidRequest'))
  await assert.rejects(use.sealSession(Buffer.from('x'), clock + 36 * HOUR + 1, {}), fails('InvalidRequest'))
  await use.sealSession(Buffer.from('x'), clock + 36 * HOUR, {})
  assert.equal(await size(), before + 3)
})
