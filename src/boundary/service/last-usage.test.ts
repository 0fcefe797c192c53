import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import { after, before, test } from 'node:test'
import type { KeyRow } from '../client/api.ts'
import { fails, type InProcess, inProcess, newKey } from './testing/in-process.ts'

let boundary: InProcess
before(async () => {
  boundary = await inProcess()
})
after(async () => {
  await boundary.stop()
  boundary.remove()
})

const last = async (key: KeyRow) => (await boundary.use.keyLastUsage(key.id)).use
const asserted = (operation: string) => ({ operation, requestId: randomUUID() })

/** Starts again on the same folder: from the snapshot, or from the journal alone. */
async function restart(snapshot: boolean): Promise<void> {
  await boundary.stop()
  const folder = path.join(boundary.folder, 'b', 'snapshot')
  if (!snapshot) for (const name of fs.readdirSync(folder)) fs.rmSync(path.join(folder, name))
  boundary = await inProcess({ folder: boundary.folder })
}

test('what succeeded is the last use, under the name that the API gave it; what was refused is none', async () => {
  const { use } = boundary
  const key = await newKey(use)
  assert.equal(await last(key), undefined)
  const encrypt = asserted('Encrypt')
  const { ciphertext } = await use.encrypt(key, Buffer.from('x'), [], encrypt)
  const first = await last(key)
  assert.deepEqual([first?.operation, first?.requestId], ['Encrypt', encrypt.requestId])
  await assert.rejects(
    use.decrypt(key, ciphertext, [['another', 'context']], asserted('Decrypt')),
    fails('InvalidCiphertext'),
  )
  await use.record({ outcome: 'allowed', error: '', keyId: key.id, asserted: asserted('DescribeKey'), count: 0 })
  await use.record({
    outcome: 'denied',
    error: 'AccessDeniedException',
    keyId: key.id,
    asserted: asserted('Encrypt'),
    count: 0,
  })
  assert.deepEqual(await last(key), first)
  await use.generateDataKey(key, 32, false, [], asserted('GenerateDataKeyWithoutPlaintext'))
  const second = await last(key)
  assert.equal(second?.operation, 'GenerateDataKeyWithoutPlaintext')
  assert.ok((second?.time ?? 0) >= (first?.time ?? 0))
  assert.notEqual(second?.eventId, first?.eventId)
})

test('the id of the event names the record: its last bits are the sequence number', async () => {
  const { use } = boundary
  const key = await newKey(use)
  const { logSize, boundaryId } = await use.status()
  await use.encrypt(key, Buffer.from('x'), [], asserted('Encrypt'))
  const { eventId = '' } = (await last(key)) ?? {}
  assert.match(eventId, /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-8000-[0-9a-f]{12}$/)
  assert.equal(Number.parseInt(eventId.slice(-12), 16), logSize)
  assert.equal(eventId.slice(0, 8), boundaryId.slice(0, 8))
})

test('ReEncrypt is a use of both keys', async () => {
  const { use } = boundary
  const [source, destination] = [await newKey(use), await newKey(use)]
  const { ciphertext } = await use.encrypt(source, Buffer.from('x'), [], asserted('Encrypt'))
  const side = (key: KeyRow) => ({ key, algorithm: 'SYMMETRIC_DEFAULT', context: [] }) as const
  const request = asserted('ReEncrypt')
  await use.reEncrypt(side(source), ciphertext, side(destination), request)
  assert.deepEqual(await last(source), await last(destination))
  assert.equal((await last(source))?.requestId, request.requestId)
})

test('with a key in an external store the owner’s answer decides', async () => {
  const { use } = boundary
  const keyStoreId = '111122223333/eu-north-1/cks-1'
  await use.putRows(
    [
      {
        kind: 'keystore',
        id: keyStoreId,
        scope: '111122223333/eu-north-1',
        link: '',
        expected: 0,
        body: Buffer.from('{}'),
      },
    ],
    {},
  )
  const key = await newKey(use, { origin: 'EXTERNAL_KEY_STORE', keyStoreId, xksKeyId: 'external' })
  await use.encrypt(key, Buffer.from('x'), [], asserted('Encrypt'))
  assert.equal(await last(key), undefined)
  const request = asserted('Encrypt')
  await use.record({ outcome: 'allowed', error: '', keyId: key.id, asserted: request, count: 0 })
  assert.equal((await last(key))?.requestId, request.requestId)
})

for (const snapshot of [true, false]) {
  test(`a start from ${snapshot ? 'a snapshot' : 'the journal alone'} knows the same uses`, async () => {
    const keys = await Promise.all(Array.from({ length: 50 }, () => newKey(boundary.use)))
    for (const key of keys.slice(0, 40)) await boundary.use.encrypt(key, Buffer.from('x'), [], asserted('Encrypt'))
    const uses = await Promise.all(keys.map(last))
    assert.equal(uses.filter(use => use === undefined).length, 10)
    const { since } = await boundary.use.keyLastUsage(keys[0]?.id ?? '')
    await restart(snapshot)
    assert.deepEqual(await Promise.all(keys.map(last)), uses)
    assert.equal((await boundary.use.keyLastUsage(keys[0]?.id ?? '')).since, since)
    assert.equal(await last({ ...(keys[0] as KeyRow), id: 'eu-north-1/never' }), undefined)
  })
}

test('lifecycle time is the time of a use', async () => {
  const key = await newKey(boundary.use)
  const { lifecycleNow } = await boundary.control.advanceClock(86_400_000)
  await boundary.use.encrypt(key, Buffer.from('x'), [], asserted('Encrypt'))
  assert.ok(((await last(key))?.time ?? 0) >= lifecycleNow)
})
