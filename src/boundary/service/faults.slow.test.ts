import assert from 'node:assert/strict'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { type Disk, realDisk } from '../journal/disk.ts'
import { BoundaryError, type Row } from '../words.ts'
import { StartRefused } from './lock.ts'
import { fails, headerOfRow, inProcess, newKey } from './testing/in-process.ts'
import { diskWithFolder } from './testing/power.ts'

const DAY = 86_400_000

/** A real disk whose data syncs fail from a moment on. */
function failingDisk(): { disk: Disk; fail: { now: boolean } } {
  const fail = { now: false }
  const disk: Disk = {
    ...realDisk,
    open: async (file, mode) => {
      const opened = await realDisk.open(file, mode)
      return {
        path: opened.path,
        write: (bytes, position) => opened.write(bytes, position),
        read: (into, position) => opened.read(into, position),
        datasync: done => (fail.now ? setImmediate(done, new Error('EIO')) : opened.datasync(done)),
        truncate: size => opened.truncate(size),
        size: () => opened.size(),
        close: () => opened.close(),
      }
    },
  }
  return { disk, fail }
}

test('promise 4: after a failed fsync nothing that waits is answered, neither as done nor otherwise', async () => {
  const { disk, fail } = failingDisk()
  const boundary = await inProcess({ disk })
  const { use } = boundary
  const key = await newKey(use)
  fail.now = true
  const answers: string[] = []
  const waiting = [
    use.encrypt(key, Buffer.from('x'), [], {}),
    use.disableKey(key.id, {}),
    use.generateRandom(8, {}),
    use.record({ outcome: 'denied', error: 'x', keyId: '', asserted: {}, count: 0 }),
  ].map(each =>
    each.then(
      () => answers.push('answered'),
      error => answers.push((error as BoundaryError).code),
    ),
  )
  while (boundary.fatal === undefined) await new Promise(resolve => setImmediate(resolve))
  assert.match(boundary.fatal.message, /EIO/)
  for (let i = 0; i < 20; i++) await new Promise(resolve => setImmediate(resolve))
  assert.deepEqual(answers, [])
  // The process ends here: to the front end that is the end of the connection.
  boundary.use.close()
  await Promise.all(waiting)
  assert.deepEqual(answers, Array(4).fill('Unavailable'))
  await boundary.stop()
  boundary.remove()
})

test('below the floor of free space uses are refused, and what takes power away still works', async () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'holdfast-service-'))
  const first = await inProcess({ folder })
  const key = await newKey(first.use)
  const message = (await first.use.encrypt(key, Buffer.from('x'), [], {})).ciphertext
  await first.stop()
  const low = await inProcess({ folder, config: { limits: { floorBytes: Number.MAX_SAFE_INTEGER } } })
  const { use } = low
  await assert.rejects(use.encrypt(key, Buffer.from('x'), [], {}), fails('DiskFull'))
  await assert.rejects(use.decrypt(key, message, [], {}), fails('DiskFull'))
  await assert.rejects(use.generateRandom(8, {}), fails('DiskFull'))
  await assert.rejects(newKey(use), fails('DiskFull'))
  await assert.rejects(use.enableKey(key.id, {}), fails('DiskFull'))
  assert.equal(headerOfRow(await use.disableKey(key.id, {})).state, 'Disabled')
  assert.ok((await use.status()).warnings.some(each => each.includes('free space')))
  await low.stop()
  low.remove()
})

test('a wall clock earlier than the last record stops the start', async () => {
  const boundary = await inProcess()
  await boundary.stop()
  const folder = path.dirname(path.dirname(boundary.running.useSocket))
  await assert.rejects(inProcess({ folder, now: () => Date.now() - DAY }), error => {
    assert.ok(error instanceof StartRefused)
    assert.match(error.message, /set the clock/)
    return true
  })
  boundary.remove()
})

test('everything is there after a restart: switches, clock, dates, and what fell due meanwhile', async () => {
  const config = { service: 'kms' } as const
  const first = await inProcess({ config })
  const folder = path.dirname(path.dirname(first.running.useSocket))
  const doomed = await newKey(first.use)
  const alias = { kind: 'alias', id: 'a/b/alias/doomed', scope: 'a/b', link: doomed.id } as const
  await first.use.putRows([{ ...alias, expected: 0, body: Buffer.from('1') }], {})
  await first.use.scheduleKeyDeletion(doomed.id, 7, {})
  const { lifecycleNow } = await first.control.advanceClock(3 * DAY)
  await first.stop()
  const later = Date.now() + 5 * DAY
  const second = await inProcess({ config, folder, now: () => later })
  assert.ok((await second.use.status()).lifecycleNow - lifecycleNow >= 5 * DAY)
  // What fell due while it was away is done at the start, without being asked.
  let row: Row | undefined
  do row = await second.control.getRow('key', doomed.id)
  while (row?.body !== null)
  assert.equal((await second.control.getRow('alias', alias.id))?.body, null)
  await second.stop()
  second.remove()
  const owner = await inProcess({ config: { service: 'ekm' } })
  await owner.control.revoke({ tenant: 'acme' }, {})
  await owner.stop()
  const again = await inProcess({
    config: { service: 'ekm' },
    folder: path.dirname(path.dirname(owner.running.useSocket)),
  })
  const key = await again.control.createExternalKey(
    {
      id: 'acme/k',
      scope: 'acme',
      tenant: 'acme',
      spec: 'EXTERNAL_AES_256',
      backing: 'SEALED',
      tokenObject: '',
      mayEncrypt: true,
      mayDecrypt: true,
    },
    {},
  )
  const use = again.use.externalEncrypt(key, Buffer.from('x'), Buffer.alloc(0), false, {})
  await assert.rejects(use, fails('KeyRevoked'))
  await again.stop()
  again.remove()
})

test('what a start refuses, it refuses with what to change', async () => {
  const boundary = await inProcess()
  await boundary.stop()
  const folder = path.dirname(path.dirname(boundary.running.useSocket))
  const refused = (config: object, message: RegExp) =>
    assert.rejects(inProcess({ folder, config }), error => {
      assert.ok(error instanceof StartRefused, String(error))
      assert.match(error.message, message)
      return true
    })
  await refused({ dev: false }, /made with --dev/)
  await refused({ service: 'ekm' }, /belongs to a kms/)
  await refused({ root: { kind: 'passphrase' } }, /of kind keyfile/)
  const other = path.join(folder, 'other.key')
  await refused({ root: { kind: 'keyfile', file: other } }, /other\.key/)
  const key = path.join(folder, 'root.key')
  fs.chmodSync(key, 0o644)
  await refused({}, /chmod 600/)
  fs.chmodSync(key, 0o600)
  fs.renameSync(path.join(folder, 'b', 'root'), path.join(folder, 'root.moved'))
  await refused({}, /missing beside a journal/)
  boundary.remove()
})

test('promise 4: power is lost at any moment, and every acknowledged row is there after it', async () => {
  for (let seed = 1; seed <= 12; seed++) {
    const { disk, folder } = await diskWithFolder(seed)
    const first = await inProcess({ disk, folder })
    disk.lossAt = disk.calls + 5 + seed * 7
    const acknowledged = new Map<string, Row>()
    const worker = async (): Promise<void> => {
      try {
        for (;;) {
          const key = await newKey(first.use)
          acknowledged.set(key.id, key)
          acknowledged.set(key.id, await first.use.disableKey(key.id, {}))
        }
      } catch (error) {
        assert.ok(error instanceof BoundaryError)
      }
    }
    const workers = Array.from({ length: 4 }, worker)
    while (first.fatal === undefined) await new Promise(resolve => setImmediate(resolve))
    first.use.close()
    await Promise.all(workers)
    await first.stop()
    const second = await inProcess({ disk: disk.reboot(), folder })
    for (const [id, row] of acknowledged) {
      const found = await second.key(id)
      assert.ok(found !== undefined && found.revision >= row.revision, `seed ${seed}: ${id}`)
    }
    await second.stop()
    second.remove()
  }
})
