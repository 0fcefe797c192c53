/** An older state than the boundary has had: refused at a start, and accepted by one who names what is given up. */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { after, before, test } from 'node:test'
import type { KeyRow } from '../client/api.ts'
import { connectControl } from '../client/control.ts'
import { type BoundaryConfig, EXIT_CODES } from '../config.ts'
import { parseFrame, parseHeader } from '../journal/frame.ts'
import { decodeRecord } from '../record.ts'
import { StartRefused } from './lock.ts'
import { startBoundary } from './start.ts'
import { fails, headerOfRow, type InProcess, inProcess, newKey } from './testing/in-process.ts'

let folder: string
let key: KeyRow
let first: InProcess

/** A key is made, the folder copied, the key disabled, and the copy of journal and snapshots put back under the newer checkpoint. */
before(async () => {
  first = await inProcess()
  folder = first.folder
  key = await newKey(first.use)
  await first.stop()
  fs.cpSync(path.join(folder, 'b'), path.join(folder, 'copy'), {
    recursive: true,
    filter: name => !name.endsWith('.sock'),
  })
  const second = await inProcess({ folder })
  await second.use.disableKey(key.id, {})
  await second.stop()
  for (const each of ['journal', 'snapshot']) {
    fs.rmSync(path.join(folder, 'b', each), { recursive: true })
    fs.cpSync(path.join(folder, 'copy', each), path.join(folder, 'b', each), { recursive: true })
  }
})
after(() => first.remove())

const startAlone = (
  acceptOlderState: boolean,
  where = folder,
  root: BoundaryConfig['root'] = { kind: 'keyfile', file: path.join(where, 'root.key') },
) =>
  startBoundary({
    config: {
      service: 'kms',
      folder: path.join(where, 'b'),
      dev: true,
      root,
      logOrigin: 'test.example/log',
      acceptOlderState,
    },
    warnings: [],
    log: () => {},
    onFatal: error => assert.fail(error),
    onStop: () => {},
  })

const lastRecord = () => {
  const journal = path.join(folder, 'b', 'journal')
  const bytes = fs.readFileSync(path.join(journal, fs.readdirSync(journal).sort().at(-1) ?? ''))
  const seed = parseHeader(bytes).crc
  const records: Buffer[] = []
  for (let at = 108; at < bytes.length; ) {
    const frame = parseFrame(bytes, at, seed)
    if (typeof frame === 'string') assert.fail(frame)
    records.push(frame.record)
    at += frame.length
  }
  return decodeRecord(records.at(-1) ?? Buffer.alloc(0))
}

const sizeOf = (note: string): number => Number(note.split('\n')[1])
const checkpoint = () => fs.readFileSync(path.join(folder, 'b', 'checkpoint'), 'utf8')

test('a start is refused, and says what is missing and what there is to do', async () => {
  const seen = checkpoint()
  await assert.rejects(startAlone(false), (error: unknown) => {
    assert.ok(error instanceof StartRefused)
    assert.equal(error.exitCode, EXIT_CODES.damaged)
    assert.match(
      error.message,
      /holds an older state than this boundary has had: it has signed for \d+ records \(root [0-9a-f]{16}…\)/,
    )
    assert.match(error.message, /its journal holds \d+ \(root [0-9a-f]{16}…, the last of 20\d\d-\S+Z\)/)
    assert.match(error.message, new RegExp(`holdfast restore accept-older --data ${folder} --config FILE`))
    return true
  })
  assert.equal(checkpoint(), seen, 'a refused start signs nothing')
})

test('promise 7: the log only grows, and outsiders can check it — an older state goes on once the newer one is named, and the record has both', async () => {
  const seenSize = sizeOf(checkpoint())
  const running = await startAlone(true)
  const control = connectControl({ socket: running.controlSocket })
  assert.ok(!fs.existsSync(path.join(folder, 'b', 'use.sock')), 'it serves no front end')
  const { seen, held, note } = await control.acceptOlderState(undefined)
  assert.deepEqual([seen.size, note], [seenSize, ''])
  assert.ok(held.size < seen.size)
  await assert.rejects(control.putRows([], {}), fails('Locked', 'InvalidRequest'))
  await assert.rejects(control.checkpoint(), fails('Locked'))
  await assert.rejects(control.acceptOlderState({ ...seen, size: seen.size - 1 }), fails('Conflict'))
  await assert.rejects(control.acceptOlderState(held), fails('Conflict'))
  const accepted = await control.acceptOlderState({ size: seen.size, root: seen.root })
  assert.equal(sizeOf(accepted.note), held.size + 1)
  await assert.rejects(control.acceptOlderState(seen), fails('Locked'))
  control.close()
  await running.stop()
  assert.equal(checkpoint(), accepted.note)
  const record = lastRecord()
  assert.equal(record.boundaryOperation, 'acceptOlderState')
  assert.equal(record.count, seen.size - held.size)
  const root = (head: { size: number; root: Buffer }) => `${head.size} ${head.root.toString('hex')}`
  assert.equal(record.transition, `${root(seen)}>${root(held)}`)
})

test('it starts then, with the state that was accepted, and there is nothing more to accept', async () => {
  const again = await inProcess({ folder })
  const row = await again.key(key.id)
  assert.equal(headerOfRow(row).state, 'Enabled', 'what was disabled later is not')
  await again.use.encrypt(row, Buffer.from('x'), [], {})
  await assert.rejects(again.control.acceptOlderState(undefined), fails('InvalidState'))
  await again.stop()
  await assert.rejects(startAlone(true), (error: unknown) => {
    assert.ok(error instanceof StartRefused)
    assert.match(error.message, /holds all that this boundary is known to have had/)
    return true
  })
})

test('under a passphrase it is locked first, and says nothing before it has been given', async () => {
  const passphrase = () => Buffer.from('correct horse battery staple')
  const made = await inProcess({ config: { root: { kind: 'passphrase' } } })
  const other = made.folder
  const options = { folder: other, config: { root: { kind: 'passphrase' } } } as const
  try {
    await made.control.unlock(passphrase())
    await made.stop()
    fs.cpSync(path.join(other, 'b', 'journal'), path.join(other, 'copy'), { recursive: true })
    const second = await inProcess(options)
    await second.control.unlock(passphrase())
    await second.stop()
    for (const each of ['journal', 'snapshot']) fs.rmSync(path.join(other, 'b', each), { recursive: true })
    fs.cpSync(path.join(other, 'copy'), path.join(other, 'b', 'journal'), { recursive: true })
    const refused = await inProcess(options)
    await assert.rejects(refused.control.unlock(passphrase()), (error: unknown) => {
      fails('InvalidState')(error)
      assert.match((error as Error).message, /holds an older state than this boundary has had/)
      return true
    })
    await refused.stop()
    const alone = await startAlone(true, other, { kind: 'passphrase' })
    const control = connectControl({ socket: alone.controlSocket })
    assert.equal((await control.status()).locked, true)
    await assert.rejects(control.acceptOlderState(undefined), fails('Locked'))
    await control.unlock(passphrase())
    assert.equal((await control.status()).locked, false)
    const { seen } = await control.acceptOlderState(undefined)
    await control.acceptOlderState(seen)
    control.close()
    await alone.stop()
    const again = await inProcess(options)
    await again.control.unlock(passphrase())
    await again.stop()
  } finally {
    made.remove()
  }
})
